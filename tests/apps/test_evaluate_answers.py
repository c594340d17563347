"""`emosym evaluate-answers`: a file of ms-swift's measured from the shell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.toy_wheels import write_wheels
from typer.testing import CliRunner

from emosym.apps.cli.main import app
from emosym.errors import UsageError
from emosym.evaluation.results.result import read_result


def written(path: Path, rows: list[object]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_a_file_is_measured_and_bad_rows_are_told(tmp_path: Path) -> None:
    rows = [
        {"response": "happines", "labels": "Joy."},
        {"response": "Fear.", "labels": "Anger."},
        {"response": "who knows", "labels": "Joy."},
        {"response": "Joy.", "labels": "Envy."},
        {"response": "Joy."},
    ]
    file = written(tmp_path / "infer.jsonl", rows)
    out, kept = tmp_path / "mer.json", tmp_path / "rows.parquet"
    asked = ["evaluate-answers", str(file), "--task", "mer", "-o", str(out), "--answers", str(kept)]
    done = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert done.exit_code == 0 and kept.is_file()
    assert "row 5: it has no 'response', or no 'labels'" in done.output
    assert "the true answer 'Envy.' cannot be read" in done.output
    result = read_result(out)
    assert result["n"] == 3 and result["values"]["accuracy"] == pytest.approx(1 / 3)
    assert result["values"]["majority_accuracy"] == pytest.approx(2 / 3)


def test_cause_pairs_are_scored_to_the_letter_too(tmp_path: Path) -> None:
    rows = [
        {"query": "q", "response": "2_joy,1;2_joy,1", "label": "2_joy,1"},
        {"query": "q", "response": " 3_Fear,3 ", "label": "3_fear,3"},
    ]
    file, out = written(tmp_path / "old.jsonl", rows), tmp_path / "ecpe.json"
    asked = ["evaluate-answers", str(file), "--task", "ecpe", "-o", str(out)]
    assert CliRunner().invoke(app, asked, catch_exceptions=False).exit_code == 0
    values = read_result(out)["values"]
    assert values["pair_f1"] == 1.0
    # the script: 2 hits (one pair twice) of 3 predicted and 2 true
    assert values["compat_pair_f1"] == pytest.approx(4 / 5)
    # self and previous: 2,2 and 2,1; 3,3 and 3,2
    assert values["self_and_previous_pair_f1"] == pytest.approx(4 / 6)
    unknown = [*asked[:3], "ecp", *asked[4:]]
    with pytest.raises(UsageError, match="Did you mean 'ecpe'"):
        CliRunner().invoke(app, unknown, catch_exceptions=False)


def test_emotion_words_are_scored_on_wheels(tmp_path: Path) -> None:
    truth = tmp_path / "ov.csv"
    truth.write_text(
        'name,openset\na,"[unhappy]"\nb,"[witty, glad]"\nc,"[sad]"\nd,"[zebra]"\ne,[]\n'
    )
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"a": ["sad", "mad"], "b": "glad", "d": ["sad"], "x": ["sad"]}))
    wheels = write_wheels(tmp_path / "wheels")
    out, kept = tmp_path / "open.json", tmp_path / "rows.parquet"
    asked = ["evaluate-answers", str(answers), "--task", "open", "-o", str(out)]
    more = ["--truth", str(truth), "--wheels", str(wheels), "--answers", str(kept)]
    done = CliRunner().invoke(app, [*asked, *more], catch_exceptions=False)
    assert done.exit_code == 0 and kept.is_file()
    assert "row 5: no true emotion words are told" in done.output
    assert "'x' has no truth" in done.output
    result = read_result(out)
    values = result["values"]
    # a: {sad, mad} against {sad}; b: right; c: no answer; d: on no wheel.
    assert result["n"] == 4 and values["unreadable"] == 0.25
    assert values["precision_per_wheel"] == pytest.approx([0.5, 2 / 3, 0.5, 0.5, 0.5])
    assert values["recall_per_wheel"] == pytest.approx([2 / 3] * 5)
    assert values["scored_per_wheel"] == [3] * 5
    assert values["wheel_f1_interval"] is None  # some draws hold nothing that a wheel knows
    low, high = values["word_f1_interval"]
    assert low <= values["word_f1"] <= high

    both = written(tmp_path / "one.jsonl", [{"response": "sad.", "labels": "sad, mad"}] * 2)
    done = CliRunner().invoke(app, ["evaluate-answers", str(both), *asked[2:]])
    assert done.exit_code == 0
    assert read_result(out)["values"]["word_recall"] == 0.5
    with pytest.raises(UsageError, match="give --task open"):
        CliRunner().invoke(app, [*asked[:3], "mer", *asked[4:], *more], catch_exceptions=False)
