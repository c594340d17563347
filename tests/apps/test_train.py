"""`emosym train --stop-after`: one sentence, an exit code to loop on, and the same numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

from emosym import __version__
from emosym.apps.cli.main import app
from emosym.data.storybook import write_storybook

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def recipe(tmp_path: Path, tiny_base: Path) -> Path:
    write_storybook(
        tmp_path / "data", {"train": 16, "val": 8, "test": 2}, size=64, seed=5, workers=1
    )
    raw = {
        "stage": "align",
        "out": str(tmp_path / "run"),
        "init": str(tiny_base),
        "data": {"root": str(tmp_path / "data"), "workers": 1},
        "optim": {"steps": 3, "batch_size": 4, "checkpoint_every": 4, "log_every": 1},
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def test_stopped_runs_exit_75_and_the_same_command_ends_them(recipe: Path, tmp_path: Path) -> None:
    command = ["train", str(recipe), "--stop-after", "0"]
    runs = [CliRunner().invoke(app, command) for _ in range(4)]
    assert [run.exit_code for run in runs] == [75, 75, 0, 0]
    for step, run in enumerate(runs[:2], start=1):
        assert run.stdout.startswith("Stopped after ")
        assert f" minutes: align at step {step} of 3. Run the same command to go on." in run.stdout
    whole = CliRunner().invoke(app, ["train", str(recipe), f"out={tmp_path / 'whole'}"])
    assert whole.exit_code == 0 and "Wrote" in whole.stdout
    told = [run.stdout.splitlines()[:3] for run in (runs[2], whole)]
    assert told[0] == told[1] and all(line.startswith("held-out") for line in told[0])
    one, other = (
        load_file(tmp_path / run / "checkpoint" / "reader.safetensors") for run in ("run", "whole")
    )
    assert one.keys() == other.keys()
    for (
        name,
        wanted,
    ) in other.items():  # bit for bit: tests/training/loop/test_loop.py, in own processes
        torch.testing.assert_close(one[name], wanted, atol=1e-5, rtol=1e-4)


def test_a_time_below_0_is_refused(recipe: Path) -> None:
    done = CliRunner().invoke(app, ["train", str(recipe), "--stop-after", "-1"])
    assert done.exit_code == 2 and "--stop-after" in done.output


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "emosym", "--version"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert (done.returncode, done.stdout.strip()) == (0, f"emosym {__version__}")
