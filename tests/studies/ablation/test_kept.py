"""Numbers of finished jobs, a file each: complete, checked, committed, and not run again."""

from __future__ import annotations

import json
import logging
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from emosym.errors import UsageError
from emosym.files import read_json
from emosym.studies.ablation.grid import Job
from emosym.studies.ablation.jobs import LOGITS, MEASURED
from emosym.studies.ablation.kept import (
    commit,
    finished,
    keep_numbers,
    kept_file,
    kept_numbers,
    unpacked_right,
)
from emosym.studies.ablation.study import measured_of, results_of

TELL = Job("tell", "own", 1.0, 0, "nothing", {}, None)
ANSWER = Job("answer", "own", 1.0, 0, "reading", {}, TELL.name)


def measured(out: Path, job: Job, logits: bool = False) -> None:
    folder = out / job.name
    folder.mkdir(parents=True)
    values = {"values": {"accuracy": 0.25}, "train_seconds": 1.0, "measure_seconds": 2.0}
    (folder / MEASURED).write_text(json.dumps(values))
    if logits:
        rows = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 4.0]])
        stored = {"test": rows, "test_truth": torch.tensor([0, 0, 1], dtype=torch.uint8)}
        save_file({**stored, "temperature": torch.tensor(1.0)}, folder / LOGITS)


def test_what_is_kept_of_a_job_and_what_is_refused(tmp_path: Path) -> None:
    out, keep = tmp_path / "jobs", tmp_path / "keep"
    measured(out, ANSWER, logits=True)
    path = keep_numbers(ANSWER, out, keep, "abc")
    assert path == keep / "answer/own/labels-100/seed-0.json"
    found = kept_numbers(keep, ANSWER.name, "abc")
    assert found is not None and found["values"] == {"accuracy": 0.25}
    assert unpacked_right(found["right"]["test"], 3).tolist() == [True, False, True]
    assert kept_numbers(keep, TELL.name, "abc") is None and kept_numbers(None, "a", "abc") is None
    with pytest.raises(UsageError, match="numbers of another study"):
        kept_numbers(keep, ANSWER.name, "abd")
    path.write_text(json.dumps({**found, "job": "answer/other"}))
    with pytest.raises(UsageError, match="does not hold the numbers of answer/own"):
        kept_numbers(keep, ANSWER.name, "abc")
    measured(out, TELL)
    assert read_json(keep_numbers(TELL, out, keep, "abc"), "job")["right"] == {}


def test_what_is_kept_is_not_run_again(tmp_path: Path) -> None:
    more = Job("answer", "more", 1.0, 0, "reading", {}, TELL.name)
    jobs, kept = [TELL, ANSWER, more], {job.name: {} for job in (TELL, ANSWER)}
    assert finished(jobs[:2], tmp_path, kept) == set(kept)  # nothing is left to start from `tell`
    assert finished(jobs, tmp_path, kept) == {ANSWER.name}  # its checkpoint is not here
    measured(tmp_path, TELL)
    assert finished(jobs, tmp_path, {}) == {TELL.name}
    shown = Job("answer", "shown", 1.0, 0, "reading", None, ANSWER.name)
    numbers = {ANSWER.name: {"values": {"accuracy": 0.5}}}
    found = measured_of([ANSWER, shown], results_of([ANSWER, shown], tmp_path, numbers))
    assert found[shown.name] == found[ANSWER.name] == {"accuracy": 0.5}


def test_numbers_are_committed_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out, keep = tmp_path / "jobs", tmp_path / "repository" / "keep"
    measured(out, TELL)
    path = keep_numbers(TELL, out, keep, "abc")
    commit(path)  # there is no repository yet
    assert "is written, but not committed" in caplog.text
    for arguments in (
        ("init", "-q"),
        ("config", "user.name", "a"),
        ("config", "user.email", "a@b"),
        ("config", "commit.gpgsign", "false"),
    ):
        subprocess.run(("git", *arguments), cwd=keep.parent, check=True)
    (keep.parent / "other").write_text("not mine")
    subprocess.run(("git", "add", "other"), cwd=keep.parent, check=True)
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        commit(path)
    assert not caplog.text
    shown = subprocess.run(
        ("git", "log", "--format=%s", "--name-only"),
        cwd=keep.parent, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert shown.stdout.split("\n\n") == [
        "Numbers of tell/own/seed-0",
        "keep/tell/own/labels-100/seed-0.json\n",
    ]
    assert kept_file(keep, TELL.name) == path
