"""Predictions files: written, read, refused, compared by hand, and through the shell."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from emosym.apps.cli.main import main
from emosym.data.storybook import write_storybook
from emosym.errors import UsageError
from emosym.evaluation.compare import compare_predictions, sample_scores
from emosym.evaluation.results.predictions import (
    PREDICTIONS_SCHEMA,
    Predictions,
    check_same_samples,
    read_predictions,
)
from emosym.evaluation.results.predictions import write_predictions as write
from emosym.evaluation.results.result import make_result, read_result, subject_of
from emosym.files import sha256_of

EMOTIONS = ("awe", "fear")


def scores_of(read: Predictions) -> dict[str, np.ndarray]:
    return sample_scores(read.calibrated, read.raw, read.labels, read.votes)


def file_of(path: Path, names: str = "cab", change: dict[str, Any] | None = None) -> Path:
    """Write predictions of one-letter ids; the picture of an id is always the same."""
    count = len(names)
    pictures = [path.parent / f"{name}.png" for name in names]
    for picture in pictures:
        picture.write_bytes(picture.name.encode())
    order = np.array([ord(name) - ord("a") for name in names])
    top = (order + 1) / 10
    read: dict[str, Any] = {
        "result": make_result("x", {}, count, 3, subject=subject_of("00ff", "test", names)),
        "names": tuple(names),
        "paths": tuple(pictures),
        "readings": [SimpleNamespace(in_domain=None)] * count,
        "labels": order % 2,
        "probabilities": np.stack([top, 1 - top], axis=1),
        "raw": np.full((count, 2), 0.5),
        "votes": None,
    }
    write(path, cast(Any, SimpleNamespace(**{**read, **(change or {})})), EMOTIONS)
    return path


def test_what_is_written_is_read_sorted_by_id(tmp_path: Path) -> None:
    found = read_predictions(file_of(tmp_path / "p.parquet"))
    assert found.ids == ("a", "b", "c")
    assert found.labels.tolist() == [0, 1, 0]
    assert found.calibrated[:, 0].tolist() == [0.1, 0.2, pytest.approx(0.3)]
    assert found.raw.tolist() == [[0.5, 0.5]] * 3
    assert found.votes is None
    assert found.pictures[0] == sha256_of(tmp_path / "a.png")
    assert found.about["subject"] == subject_of("00ff", "test", "cab")
    assert found.about["seed"] == 3 and "torch" in found.about["versions"]
    assert not list(tmp_path.glob(".tmp*"))


@pytest.mark.parametrize(
    ("names", "change", "said"),
    [
        ("aba", {}, "names 'a' twice"),
        ("ab", {"raw": np.array([[0.5, 0.5], [np.nan, 1.0]])}, "raw_ columns of 'b' are no prob"),
        ("ab", {"votes": np.array([[0.7, 0.7], [0.5, 0.5]])}, "vote_ columns of 'a'"),
        ("ab", {"probabilities": np.array([[1.5, -0.5], [1, 0]])}, "p_ columns of 'a'"),
    ],
)
def test_damaged_predictions_name_the_first_offender(
    names: str, change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        read_predictions(file_of(tmp_path / "p.parquet", names, change))


def test_other_files_are_no_predictions(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    with pytest.raises(UsageError, match="no predictions file"):
        read_predictions(path)
    path.write_text("id,label")
    with pytest.raises(UsageError, match="not a Parquet file"):
        read_predictions(path)
    parquet.write_table(pa.table({"id": ["a"]}), path)
    with pytest.raises(UsageError, match="emosym evaluate --predictions"):
        read_predictions(path)
    whole = parquet.read_table(file_of(path))
    parquet.write_table(whole.drop_columns(["raw_awe"]), path)
    with pytest.raises(UsageError, match="lacks the column 'raw_awe'"):
        read_predictions(path)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("id", ["a", None], "'id' of row 2 holds None"),
        ("picture", [None, "0"], "'picture' of row 1 holds None"),
        ("label", ["awe", "joy"], "'b' has the unknown label 'joy'"),
        ("raw_awe", ["half", "half"], "'raw_awe' of row 1 holds 'half'"),
    ],
)
def test_cells_of_another_kind_are_named(
    name: str, values: list[Any], said: str, tmp_path: Path
) -> None:
    path = file_of(tmp_path / "p.parquet", "ab")
    whole = parquet.read_table(path)
    place = whole.column_names.index(name)
    parquet.write_table(whole.set_column(place, name, pa.array(values)), path)
    with pytest.raises(UsageError, match=said):
        read_predictions(path)


def test_a_file_must_say_which_emotions_it_is_of(tmp_path: Path) -> None:
    path = file_of(tmp_path / "p.parquet")
    about = {b"emosym": json.dumps({"schema": PREDICTIONS_SCHEMA}).encode()}
    parquet.write_table(parquet.read_table(path).replace_schema_metadata(about), path)
    with pytest.raises(UsageError, match="does not say which emotions"):
        read_predictions(path)


def test_only_the_same_samples_are_compared(tmp_path: Path) -> None:
    one = read_predictions(file_of(tmp_path / "p.parquet", "cab"))
    check_same_samples(one, read_predictions(file_of(tmp_path / "q.parquet", "bca")))
    fewer = read_predictions(file_of(tmp_path / "q.parquet", "ac"))
    votes = np.array([[0.5, 0.5]] * 3)
    cases = [
        (one, fewer, "second file lacks 'b'"),
        (fewer, one, "first file lacks 'b'"),
        (one, replace(one, pictures=(*one.pictures[:2], "0")), "'c' is another picture"),
        (one, replace(one, labels=np.array([0, 0, 0])), "'b' is labelled fear in one file, awe"),
        (one, replace(one, emotions=("fear", "awe")), "label spaces differ"),
        (one, replace(one, votes=votes), "Only one of the files has votes"),
        (
            replace(one, votes=votes),
            replace(one, votes=np.array([[0.5, 0.5], [0.4, 0.6], [0.5, 0.5]])),
            "'b' has other votes",
        ),
    ]
    for first, second, said in cases:
        with pytest.raises(UsageError, match=said):
            check_same_samples(first, second)


def sure(right: float, count: int) -> Predictions:
    """Predictions of label 0 with the share `right`, calibrated; raw is undecided."""
    ids = tuple(map(str, range(count)))
    shares = np.tile([right, 1 - right], (count, 1))
    return Predictions(
        EMOTIONS, ids, ids, np.zeros(count, int), shares, np.full((count, 2), 0.5),
        np.tile([0.9, 0.1], (count, 1)), {},
    )  # fmt: skip


def test_values_by_hand() -> None:
    scores = scores_of(sure(0.8, 1))
    assert scores["accuracy"].tolist() == [1.0]
    assert scores["brier"][0] == pytest.approx(0.2**2 + 0.2**2)
    assert scores["brier_raw"][0] == pytest.approx(0.5)
    assert scores["nll"][0] == pytest.approx(-np.log(0.8))
    assert scores["nll_raw"][0] == pytest.approx(np.log(2))
    assert scores["votes_brier"][0] == pytest.approx(0.1**2 + 0.1**2)
    assert scores["votes_brier_raw"][0] == pytest.approx(0.4**2 + 0.4**2)
    # six pictures, all lost by the second: p = 2 / 2^6
    values = compare_predictions(sure(0.8, 6), sure(0.4, 6))["values"]
    assert values["mcnemar_p"] == pytest.approx(2 / 2**6)
    assert (values["accuracy_first"], values["accuracy_difference"]) == (1.0, -1.0)
    assert values["brier_difference"] == pytest.approx(2 * 0.6**2 - 2 * 0.2**2)
    assert (values["nll_raw_low"], values["nll_raw_high"]) == (0.0, 0.0)


def test_the_order_of_a_file_changes_nothing(tmp_path: Path) -> None:
    one = read_predictions(file_of(tmp_path / "p.parquet", "abcde"))
    other = read_predictions(file_of(tmp_path / "q.parquet", "ecbda"))
    half = replace(one, calibrated=one.raw)
    assert compare_predictions(one, half)["values"] == compare_predictions(other, half)["values"]


def test_the_shell_writes_and_compares_predictions(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["emosym", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        return (int(caught.value.code or 0), *capfd.readouterr())

    monkeypatch.setenv("COLUMNS", "120")
    book, file, out = tmp_path / "book", tmp_path / "new" / "p.parquet", tmp_path / "r.json"
    write_storybook(book, {"train": 2, "val": 2, "test": 24}, 64, 5, 1)
    ask = ("evaluate", "--model", tiny_checkpoint, "--data", book, "--out", out)
    code, _, err = run(*ask, "--predictions", out)
    assert code == 2 and "Two outputs cannot both be" in err
    assert run(*ask, "--predictions", file)[0] == 0
    found, result = read_predictions(file), read_result(out)
    assert len(found.ids) == 24 and found.votes is not None
    assert found.about["subject"] == result["subject"]
    assert result["subject"]["model"] == sha256_of(tiny_checkpoint / "emosym.json")
    assert found.pictures[0] == sha256_of(next(book.rglob(f"{found.ids[0]}.*g")))
    # the checkpoint's temperature is 1.7: calibrated is raw^(1/1.7), normalised
    scaled = found.raw ** (1 / 1.7)
    expected = scaled / scaled.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.calibrated, expected, rtol=1e-6)
    brier = scores_of(found)["brier"].mean()
    assert brier == pytest.approx(result["values"]["brier_multiclass"])

    code, said, _ = run("compare", file, file, "--out", tmp_path / "c.json")
    assert code == 0 and said.count("no difference shown") == 7
    assert json.loads((tmp_path / "c.json").read_text())["values"]["mcnemar_p"] == 1.0
    code, _, err = run("compare", file, tiny_checkpoint, "--data", book)
    assert code == 2 and "two predictions files" in err
    code, _, err = run("compare", tiny_checkpoint, tiny_checkpoint)
    assert code == 2 and "need --data" in err
