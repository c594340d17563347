from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from emosym.apps.cli.main import app
from emosym.evaluation.results.result import make_result, write_result
from emosym.evaluation.results.run_folder import write_rows
from emosym.files import write_json

VALUES = {
    "accuracy": 0.75,
    "accuracy_interval": [0.5, 0.875],
    "nll": 0.5,
    "outside_share": None,
    "confusion": [[3, 1], [0, 4]],
    "reliability_count": [4, 4],
    "reliability_confidence": [0.25, 0.75],
    "reliability_accuracy": [0.5, 1.0],
    "coverage": [1.0, 0.5],
    "accuracy_at_coverage": [0.75, 1.0],
}


@pytest.fixture
def result(tmp_path: Path) -> Path:
    path = tmp_path / "mine & yours.json"
    write_result(path, make_result("understanding", VALUES, 8, 0, labels=("calm", "wild")))
    return path


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["report", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


def test_figures_of_a_result_file(result: Path, tmp_path: Path) -> None:
    run(result, "--figures", tmp_path / "figures")
    stems = ("accuracy-by-coverage", "confusion", "reliability")
    wanted = {f"{stem}.{kind}" for stem in stems for kind in ("pdf", "png", "svg")}
    assert {path.name for path in (tmp_path / "figures").iterdir()} == wanted
    drawn = (tmp_path / "figures" / "confusion.svg").read_text()
    assert ">calm</text>" in drawn and ">75</text>" in drawn
    assert not result.with_suffix(".html").exists()  # figures were asked for, no page


def test_latex_with_intervals_of_two_results(result: Path, tmp_path: Path) -> None:
    other = tmp_path / "run"
    values = {"accuracy": 0.5, "ece": 0.125}
    write_result(other / "results" / "u.json", make_result("understanding", values, 4, 1))
    run(result, other, "--latex", tmp_path / "table.tex")
    table = (tmp_path / "table.tex").read_text()
    assert r"Measure & mine \& yours & run \\" in table
    assert r"Accuracy & 75.0\,\% [50.0\,\%, 87.5\,\%] & 50.0\,\% \\" in table
    assert r"Log loss & 0.5 & -- \\" in table
    assert "Called outside" not in table  # undefined in one, missing in the other
    assert table.count(r"\toprule") == table.count(r"\bottomrule") == 1


def test_a_page_of_a_result_file_and_what_training_logged(result: Path, tmp_path: Path) -> None:
    assert str(result.with_suffix(".html")) in run(result)
    assert ">calm</text>" in result.with_suffix(".html").read_text()
    folder = tmp_path / "trained"
    write_json(folder / "stages.json", [{"stage": "align"}])
    rows = [{"step": 10, "loss": 3.0}, {"step": 20, "loss": 2.0}, {"step": 30}]
    write_rows(folder / "align" / "metrics.jsonl", rows)
    run(folder, "--figures", tmp_path / "curves")
    drawn = (tmp_path / "curves" / "losses.svg").read_text()
    assert re.search(">align</text>", drawn) and ">step</text>" in drawn


def test_nothing_to_show_is_told(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    write_json(bare / "stages.json", [{"stage": "align"}])
    for option, told in (("--figures", "nothing to draw"), ("--latex", "no result")):
        done = CliRunner().invoke(app, ["report", str(bare), option, str(tmp_path / "x")])
        assert told in f"{done.output}{done.exception}", option
    done = CliRunner().invoke(app, ["report", str(tmp_path / "gone.json")])
    assert "does not exist" in f"{done.output}{done.exception}"
