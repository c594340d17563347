"""Where rows go: whole files, pipes and devices as they come, and cells that are only text."""

from __future__ import annotations

import csv
import json
import os
import threading
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.service.rows import flat_columns, flat_row, reading_row
from emosym.service.sinks import (
    Journal,
    cell,
    check_outputs,
    journal_place,
    left_to_read,
    live_sinks,
    write_files,
)
from emosym.types import BadInput, UnderstandingOutput

KINDS = ("json", "csv", "parquet")


def reading(**changed: object) -> UnderstandingOutput:
    given = {
        "emotion": "awe",
        "probabilities": dict.fromkeys(MIKELS8.labels, 0.125),
        "confidence": 0.125,
        "polarity": "positive",
        "valence_norm": -0.3,
        "arousal_norm": None,
        "dominance_norm": None,
        "in_domain": 0.5,
        "outside": False,
        "emotion_latent": np.zeros(2, np.float32),
        "context_latents": np.zeros((1, 2), np.float32),
    }
    return UnderstandingOutput(**{**given, **changed})  # type: ignore[arg-type]


def write(outputs: dict[str, Path], rows: list[dict]) -> None:
    place = journal_place(outputs)
    assert place is not None
    journal = Journal(place, {}, False)
    for row in rows:
        journal.add(row)
    write_files(outputs, journal, MIKELS8)
    journal.remove()


def test_many_rows_and_none_are_whole_files(tmp_path) -> None:
    outputs = {kind: tmp_path / f"r.{kind}" for kind in KINDS}
    row = reading_row("a", BadInput("a", "why"))
    for count in (3000, 0):
        write(outputs, [row] * count)
        assert parquet.read_table(outputs["parquet"]).num_rows == count
        assert len(json.loads(outputs["json"].read_text())) == count
        assert len(outputs["csv"].read_text().splitlines()) == (count + 1 if count else 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.csv", "r.json", "r.parquet"]


def test_names_that_are_no_text_come_back_as_they_were(tmp_path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    outputs = {kind: tmp_path / f"r.{kind}" for kind in KINDS}
    write(outputs, [reading_row(name, reading())])
    assert json.loads(outputs["json"].read_text())[0]["source"] == name
    assert parquet.read_table(outputs["parquet"]).to_pylist()[0]["source"] == "caf\\udce9.png"
    assert "caf\\udce9.png" in outputs["csv"].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-2", "'-2"),
        ("@sum", "'@sum"),
        ("\t=1", "\\t=1"),
        ("\r=1", "\\r=1"),
        ("＝1", "'＝1"),
        ("a\nb\x07\x1b[31m", "a\\nb\\x07\\x1b[31m"),
        ("plain, = é 好", "plain, = é 好"),
        ("", ""),
    ],
)
def test_cells_are_no_formulas(text, shown) -> None:
    assert cell(text) == shown


def test_numbers_stay_numbers_and_text_is_quoted(tmp_path) -> None:
    outputs = {"csv": tmp_path / "r.csv"}
    write(outputs, [reading_row("=a,b.png", reading(rationale='-so "it" is'))])
    with outputs["csv"].open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["source"] == "'=a,b.png" and row["rationale"] == '\'-so "it" is'
    assert float(row["valence_norm"]) == -0.3


def test_rows_have_the_same_columns_whatever_happened() -> None:
    bad = flat_row(reading_row("a", BadInput("a", "why")), MIKELS8)
    assert list(bad) == list(flat_columns(MIKELS8))
    assert [bad[f"p_{label}"] for label in MIKELS8.labels] == [None] * 8
    outside = reading_row("a", reading(outside=True, rationale="x"))
    assert list(outside) == list(reading_row("a", BadInput("a", "why")))
    assert (outside["emotion"], outside["polarity"], outside["rationale"]) == (None, None, None)
    assert outside["reason"] and outside["probabilities"]["awe"] == 0.125


def test_a_reading_is_ready_for_json() -> None:
    found = reading(raw_probabilities={"awe": 1.0}).to_dict()
    assert json.loads(json.dumps(found))["raw_probabilities"] == {"awe": 1.0}
    assert "emotion_latent" not in found
    latents = reading().to_dict(latents=True)
    assert latents["context_latents"] == [[0.0, 0.0]] and json.dumps(latents)


def test_pipes_get_rows_as_they_come(tmp_path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    outputs = check_outputs({"csv": pipe})
    assert journal_place(outputs) is None
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()), daemon=True)
    reader.start()
    with ExitStack() as stack:
        sink = live_sinks(outputs, lambda: MIKELS8, stack)
        sink(reading_row("a.png", reading()))
    reader.join(30)
    assert got[0].splitlines()[1].startswith("a.png,awe,0.125")
    assert pipe.is_fifo()
    with pytest.raises(UsageError, match="Parquet is binary"):
        check_outputs({"parquet": pipe})


def test_the_terminal_by_any_of_its_names() -> None:
    for name in ("-", "/dev/stdout", "/dev/fd/1"):
        assert check_outputs({"csv": Path(name)}) == {"csv": Path("-")}
        with pytest.raises(UsageError, match="Parquet is binary"):
            check_outputs({"parquet": Path(name)})
    with pytest.raises(UsageError, match="cannot both be"):
        check_outputs({"csv": Path("-"), "json": Path("/dev/stdout")})


def test_what_is_left_is_counted_by_name() -> None:
    found = [Path("a"), Path("b"), BadInput("c", "why"), Path("a")]
    assert left_to_read(found, ["a", "c"]) == [Path("b"), Path("a")]
    assert left_to_read(found, []) == found
