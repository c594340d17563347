"""`emosym evaluate-answers`: a file of ms-swift's measured from the shell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
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
