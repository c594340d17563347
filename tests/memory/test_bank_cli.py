from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.memory.makers import entry, reading
from typer.testing import CliRunner

import emosym
from emosym.apps.cli.bank import app, preview
from emosym.errors import UsageError
from emosym.memory.bank import Bank


def run(*arguments: object) -> str:
    result = CliRunner().invoke(
        app, [str(a) for a in arguments], env={"COLUMNS": "100"}, catch_exceptions=False
    )
    assert result.exit_code == 0
    return result.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bank = Bank.open(tmp_path / "run" / "bank", create=True)
    bank.add([entry(0, 1), entry(1, 1, probabilities=reading(6, 0.8)), entry(2, 7, round=1)])
    return tmp_path / "run"


def test_ls(folder: Path) -> None:
    text = run("ls", folder, "--emotion", "awe", "--limit", 1)
    assert "e0" in text
    assert "1-1 of 2 entries; more: --offset 1" in text
    assert "fear" in run("ls", folder / "bank", "--offset", 1, "--limit", 1)
    rows = [json.loads(line) for line in run("ls", folder, "--json").splitlines()]
    assert [(r["id"], r["intent"], r["reads"]) for r in rows][1] == ("e1", "awe", "fear")
    assert [
        json.loads(x)["id"] for x in run("ls", folder, "--round", 1, "--json").split("\n")[:-1]
    ] == ["e2"]
    assert "none of 3 entries" in run("ls", folder, "--offset", 9)


def test_the_bank_of_a_demo_is_found(tmp_path: Path) -> None:
    Bank.open(tmp_path / "demo" / "feedback" / "bank", create=True).add([entry(0, 1)])
    for path in ("demo", "demo/feedback", "demo/feedback/bank"):
        assert "1-1 of 1 entries" in run("ls", tmp_path / path)


def test_stats(folder: Path) -> None:
    text = run("stats", folder)
    assert "3 entries in mikels8" in text
    assert "0: 2, 1: 1" in text
    assert " 50 %" in text
    assert json.loads(run("stats", folder, "--json"))["emotions"]["awe"]["count"] == 2


def test_show_writes_the_picture(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.png"
    text = run("show", folder, "e1", "--out", out)
    assert out.read_bytes() == Bank.open(folder / "bank").get("e1").image
    assert "fear 0.80" in text
    assert "a street" in text
    with pytest.raises(UsageError, match="must end in"):
        run("show", folder, "e1", "--out", tmp_path / "x.jpg")
    with pytest.raises(UsageError, match="Did you mean"):
        run("show", folder, "e11")


def test_preview_draws_two_rows_a_line() -> None:
    pixels = np.array([[[1, 2, 3]], [[4, 5, 6]]], dtype=np.uint8)
    text = preview(pixels)
    assert text.plain == "▀\n"
    assert str(text.spans[0].style) == "rgb(1,2,3) on rgb(4,5,6)"


def test_export_and_prune(folder: Path, tmp_path: Path) -> None:
    assert "wrote 2 pictures" in run("export", folder, tmp_path / "out", "--emotion", "awe")
    assert len(list((tmp_path / "out" / "awe").iterdir())) == 2
    text = run("prune", folder, "--policy", "lowest_confidence", "--capacity", 2, "--reclaim")
    assert "evicted 1 entries by lowest_confidence; 2 left" in text
    assert [e.id for e in Bank.open(folder / "bank").read()] == ["e0", "e2"]


def test_the_verbs_load_nothing_heavy_before_they_run() -> None:
    code = (
        "import sys, emosym.apps.cli.bank, emosym.memory.bank\n"
        "heavy = {'lancedb', 'pyarrow', 'torch', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    source = str(Path(emosym.__file__).parents[1])
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": source}
    )
