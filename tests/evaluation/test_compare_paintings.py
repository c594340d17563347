"""Two files of paintings: written, refused, paired by seed or not, by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from emosym.apps.cli.compare import comparison_title
from emosym.errors import UsageError
from emosym.evaluation.compare import verdict
from emosym.evaluation.compare_paintings import compare_paintings, painting_scores
from emosym.evaluation.results.painting_predictions import (
    PaintingPredictions,
    read_painting_predictions,
    write_painting_predictions,
)
from emosym.evaluation.results.result import make_result
from emosym.metrics.intervals import Interval


def file_of(path: Path, shares: np.ndarray, seed: int = 1) -> Path:
    """Write paintings of awe, then of fear; `shares` (P,) are the judge's probability of awe."""
    each = len(shares) // 2
    output = SimpleNamespace(seed=seed, reading=None, withheld=False)
    both = np.stack([shares, 1 - shares], axis=1).astype(np.float32)  # (P, 2)
    painted = SimpleNamespace(
        result=make_result("x", {}, len(shares), seed, extractors={"judge-a": "00", "other": "11"}),
        outputs={"awe": [output] * each, "fear": [output] * each},
        shares={"judge-a": {"awe": both[:each], "fear": both[each:]}},
    )
    write_painting_predictions(path, cast(Any, painted))
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = file_of(tmp_path / "p.parquet", np.array([0.9, 0.4, 0.2, 0.3]))
    found = read_painting_predictions(path)
    assert found.emotions == ("awe", "fear") and found.judges == {"judge-a": "00"}
    assert found.keys == (("awe", 0, 1), ("awe", 1, 1), ("fear", 0, 1), ("fear", 1, 1))
    scores = painting_scores(found)
    assert scores["emo_a_judge_a"].tolist() == [1, 0, 1, 1]
    np.testing.assert_allclose(scores["probability_judge_a"], [0.9, 0.4, 0.8, 0.7], rtol=1e-6)
    assert found.about["extractors"] == {"judge-a": "00", "other": "11"}
    whole = parquet.read_table(path)
    parquet.write_table(whole.take([3, 1, 0, 2]), path)  # the order of rows says nothing
    again = read_painting_predictions(path)
    assert again.keys == found.keys
    np.testing.assert_array_equal(again.shares["judge-a"], found.shares["judge-a"])


@pytest.mark.parametrize(
    ("rows", "column", "said"),
    [
        ([0, 1, 2], None, "as many paintings of each emotion, and has awe 2, fear 1"),
        ([0, 1], None, "has awe 2, fear 0"),
        ([], None, "has awe 0, fear 0"),
        ([0, 0, 2, 3], None, "names painting 0 of 'awe' twice"),
        ([0, 1, 2, 3], ("asked", ["joy"] * 4), "unknown emotion 'joy'"),
        ([0, 1, 2, 3], ("index", [0, None, 0, 1]), "'index' of row 2 holds None"),
        ([0, 1, 2, 3], ("judge-a_awe", [0.9, None, 0.2, 0.3]), "judge-a_ columns of row 2"),
        ([0, 1, 2, 3], ("judge-a_awe", [0.9, 0.4, 0.9, 0.3]), "judge-a_ columns of row 3"),
    ],
)
def test_damaged_files_name_the_first_offender(
    rows: list[int], column: tuple[str, list[Any]] | None, said: str, tmp_path: Path
) -> None:
    path = file_of(tmp_path / "p.parquet", np.array([0.9, 0.4, 0.2, 0.3]))
    table = parquet.read_table(path).take(pa.array(rows, pa.int64()))
    if column is not None:
        name, values = column
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    parquet.write_table(table, path)
    with pytest.raises(UsageError, match=said):
        read_painting_predictions(path)


def test_paintings_of_the_same_seeds_are_paired(tmp_path: Path) -> None:
    low, high = np.tile([0.6, 0.4], 20), np.tile([0.7, 0.4], 20)  # half of awe, half of fear right
    one, other = (
        read_painting_predictions(file_of(tmp_path / f"{name}.parquet", shares))
        for name, shares in (("one", low), ("other", high))
    )
    found = compare_paintings(one, other)
    values = found["values"]
    assert (values["paired"], values["n_first"], found["n"]) == (1, 40, 80)
    assert values["emo_a_judge_a_first"] == values["emo_a_judge_a_second"] == 0.5
    assert values["mcnemar_p_judge_a"] == 1.0 and values["emo_a_judge_a_high"] == 0.0
    # the sure half of awe gains .1 in 10 paintings, the wrong half of fear loses .1 in 10
    assert values["probability_judge_a_difference"] == pytest.approx(0.0, abs=1e-6)
    assert comparison_title(found).startswith("40 pairs of paintings, each of one seed; McNemar p")


def test_paintings_of_other_seeds_are_not_paired(tmp_path: Path) -> None:
    good = np.repeat([0.9, 0.1], 30)  # all judged to be what was asked
    bad = np.repeat([0.2, 0.1], 20)  # none of awe
    one = read_painting_predictions(file_of(tmp_path / "one.parquet", good, seed=1))
    other = read_painting_predictions(file_of(tmp_path / "other.parquet", bad, seed=2))
    found = compare_paintings(one, other)
    values = found["values"]
    assert (values["paired"], values["n_first"], values["n_second"]) == (0, 60, 40)
    assert values["emo_a_judge_a_difference"] == pytest.approx(-0.5)
    bounds = (values[f"emo_a_judge_a_{part}"] for part in ("difference", "low", "high"))
    assert verdict("emo_a_judge_a", Interval(*bounds)) == "worse"
    assert "mcnemar_p_judge_a" not in values
    assert comparison_title(found) == "60 and 40 paintings, not paired"
    back = compare_paintings(other, one)["values"]
    bounds = (back[f"probability_judge_a_{part}"] for part in ("difference", "low", "high"))
    assert verdict("probability_judge_a", Interval(*bounds)) == "better"


def test_only_the_same_judges_are_compared(tmp_path: Path) -> None:
    one = read_painting_predictions(file_of(tmp_path / "p.parquet", np.array([0.9, 0.2])))
    cases: list[tuple[PaintingPredictions, str]] = [
        (replace(one, emotions=("fear", "awe")), "label spaces differ"),
        (replace(one, judges={"judge-a": "99"}), "judge-a is not the same network"),
        (replace(one, judges={**one.judges, "judge-b": "0"}), "judge-b is not the same network"),
    ]
    for other, said in cases:
        with pytest.raises(UsageError, match=said):
            compare_paintings(one, other)


def test_readings_and_paintings_are_not_compared(tmp_path: Path) -> None:
    from emosym.apps.cli.compare import compare_files

    paintings = file_of(tmp_path / "p.parquet", np.array([0.9, 0.2]))
    other = tmp_path / "q.parquet"
    about = {b"emosym": json.dumps({"schema": "emosym.predictions/1"}).encode()}
    parquet.write_table(pa.table({"id": ["a"]}).replace_schema_metadata(about), other)
    for first, second in ((paintings, other), (other, paintings)):
        with pytest.raises(UsageError, match=r"p\.parquet is of paintings and .*q\.parquet is not"):
            compare_files(first, second, 0)
    with pytest.raises(UsageError, match="no predictions file"):
        compare_files(paintings, tmp_path / "none.parquet", 0)
