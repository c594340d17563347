"""The shell on a checkpoint that was taught pictures and conversations, at toy size."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from tests.training.stages.test_sets import MELD7, drawn, trained

from emosym.emotions import MIKELS8
from emosym.models.checkpoint import load_checkpoint

__all__ = ("drawn", "trained")


def test_the_shell_reads_and_measures_both(
    command: Any, trained: Path, drawn: Path, tmp_path: Path
) -> None:
    picture = sorted((drawn / "pictures").rglob("*.png"))[0]
    code, _, _ = command("understand", picture, "-m", trained, "--csv", tmp_path / "p.csv")
    (row,) = csv.DictReader((tmp_path / "p.csv").open(newline=""))
    assert code == 0 and (row["emotion"] or row["reason"]) and "awe" in " ".join(row)
    talk = tmp_path / "d.json"
    talk.write_text(json.dumps([{"speaker": "Ann", "text": "Oh!", "picture": str(picture.name)}]))
    (tmp_path / picture.name).write_bytes(picture.read_bytes())
    code, _, _ = command("understand", talk, "-m", trained, "--csv", tmp_path / "d.csv")
    (row,) = csv.DictReader((tmp_path / "d.csv").open(newline=""))
    assert code == 0 and row["emotion"] in MELD7.labels and not row["error"]
    asked = ("evaluate", trained, "--source", "storybook", "--data", drawn / "pictures")
    code, _, err = command(*asked, "--out", tmp_path / "p.json", "--batch-size", 4)
    assert code == 0, err
    assert json.loads((tmp_path / "p.json").read_text())["n"] == 9
    asked = ("evaluate", trained, "--source", "storybook-dialogues", "--data", drawn / "talks")
    code, _, err = command(*asked, "--out", tmp_path / "d.json", "--tasks", "mer,msa")
    assert code == 0, err
    found = json.loads((tmp_path / "d-mer.json").read_text())
    assert found["labels"] == list(MELD7.labels)
    code, _, err = command(
        *("calibrate", trained, "--data", drawn / "pictures", "--source", "storybook"),
        *("--split", "val", "--out", tmp_path / "new"),
    )
    assert code == 0, err
    again = load_checkpoint(tmp_path / "new")
    assert (again.space, again.pictures) == (MELD7, MIKELS8)
    assert again.calibrations["mikels8"].n == 44
