"""`emosym data check`: what a person sees, what a machine gets, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.data.dialogue_makers import meld, turn
from tests.data.makers import broken_emoset, clean_emoset
from typer.testing import CliRunner

from emosym.apps.cli.main import app
from emosym.data.held_out import utterance_hash
from emosym.errors import UsageError


def check(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["data", "check", *map(str, arguments), "--workers", "1"])


def test_clean_data_exit_with_0(tmp_path: Path) -> None:
    done = check(clean_emoset(tmp_path))
    assert done.exit_code == 0, done.output
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0] == f"{tmp_path} (emoset)"
    assert "awe 3 3" in lines and "rows 6 6" in lines and "annotated 6 6" in lines
    assert lines[-1] == "Clean." and lines[-2].startswith("12 of 12 pictures read in ")


def test_problems_exit_with_1_and_are_told(tmp_path: Path) -> None:
    out = tmp_path / "more" / "report.json"
    done = check(broken_emoset(tmp_path / "set"), "--json", out, "--examples", "1")
    assert done.exit_code == 1, done.output
    text = done.stdout
    assert "3 rows with an unknown label" in text and "'Joy': 1 row, first test.json, row 9" in text
    assert "1 group of near duplicates between splits" in text
    assert "1 group of near duplicates within a split (no problem)" in text
    assert "train: image/4.jpg  =  test: image/exact.jpg [labels differ: awe, fear]" in text
    assert "and 1 more (all of them: --json)" in text
    assert "12 problems." in text and "Traceback" not in text
    report = json.loads(out.read_text())
    assert report["problems"] == 12 and report["schema"] == "emosym.data-check/1"


def test_json_alone_is_on_stdout(tmp_path: Path) -> None:
    done = check(broken_emoset(tmp_path), "--json", "-")
    assert json.loads(done.stdout)["source"] == "emoset" and "12 problems." in done.stderr
    again = check(tmp_path, "--json", "-")
    assert again.stdout == done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none"], "no such folder"),
        ([".", "--source", "oasiss"], "Did you mean 'oasis'"),
        ([".", "--source", "emoset"], "no split files"),
        ([".", "--labels", "mikels"], "Did you mean 'mikels8'"),
        ([".", "--json", "."], "is a folder"),
        (["nobody/nothing", "--source", "hub"], "nothing is fetched unasked"),
    ],
)
def test_usage_errors_are_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = check(*arguments)
    assert isinstance(done.exception, UsageError) and sentence in str(done.exception)
    assert done.exception.exit_code == 2


def test_conversations_against_another_test(tmp_path: Path) -> None:
    lines = [f"This is the long line number {n}" for n in range(3)]
    rows = [turn(n, n, text=text) for n, text in enumerate(lines)]
    train = meld(tmp_path / "train", *rows, turn(9, 0, dialogue=1, label="Joy"))
    done = check(train)
    assert done.exit_code == 0, done.output
    text = " ".join(done.stdout.split())
    assert "joy 4" in text and "conversations 2" in text
    assert "1 label in several spellings train: joy is spelled 'joy' (3), 'Joy' (1)." in text
    assert "4 samples of 2 conversations read in " in text and text.endswith("Clean.")
    (tmp_path / "held.txt").write_text("\n".join(map(utterance_hash, lines)))
    found = check(train, "--held-out", tmp_path / "held.txt")
    assert found.exit_code == 1
    assert "1 conversation that stands in a test or another split" in found.stdout
    assert check(train, "--held-out", tmp_path / "nothing").exception is not None
