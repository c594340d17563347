"""`emosym understand`: any number of files in, a table and whole output files out."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

from emosym.apps.cli.outputs import with_outputs
from emosym.apps.cli.understand import (
    OUTSIDE,
    display_names,
    find_pictures,
    print_explained,
)
from emosym.data.images import decode_batches
from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.pipelines.reading_rows import flat_columns, flat_row, reading_row
from emosym.types import BadInput, UnderstandingOutput


@pytest.fixture
def folder(tiny_pictures, tmp_path) -> Path:
    """Three good pictures, one of them below, and an empty file."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name, picture in zip(("a", "c", "deep/d"), tiny_pictures.pictures, strict=False):
        Image.fromarray(picture).save(tmp_path / "in" / f"{name}.png")
    (tmp_path / "in" / "b.png").touch()
    return tmp_path / "in"


def test_files_folders_and_globs_in_all_formats(command, folder, tiny_checkpoint, tmp_path) -> None:
    out = tmp_path / "new" / "deeper"
    code, said, _ = command(
        *("understand", folder / "*.png", folder / "deep", folder / "gone.png"),
        *("--model", tiny_checkpoint, "--batch-size", 2),
        *("--json", out / "r.json", "--csv", out / "r.csv", "--parquet", out / "r.parquet"),
    )
    assert code == 0
    rows = json.loads((out / "r.json").read_text())
    names = [Path(row["source"]).name for row in rows]
    assert names == ["a.png", "b.png", "c.png", "d.png", "gone.png"]
    assert [row["error"] is None for row in rows] == [True, False, True, True, False]
    assert "no such file" in rows[4]["error"]
    assert sum(rows[0]["probabilities"].values()) == pytest.approx(1.0)
    with (out / "r.csv").open(newline="") as stream:
        flat = list(csv.DictReader(stream))
    table = parquet.read_table(out / "r.parquet").to_pylist()
    for row, cells, typed in zip(rows, flat, table, strict=True):
        assert cells["source"] == typed["source"] == row["source"]
        assert cells["emotion"] == (row["emotion"] or "")
        assert typed["outside"] == row["outside"]
        if row["error"] is None:
            assert float(cells["p_awe"]) == typed["p_awe"] == row["probabilities"]["awe"]
        else:
            assert typed["p_awe"] is None and cells["p_awe"] == ""
    assert "3 read; 2 could not be read" in said
    assert "it is empty" in said
    assert sorted(path.name for path in out.iterdir()) == ["r.csv", "r.json", "r.parquet"]


def test_outside_is_said_instead_of_an_emotion(command, tiny_checkpoint, tmp_path) -> None:
    noise = np.random.default_rng(0).integers(0, 2, (64, 64, 3), dtype=np.uint8) * 255
    Image.fromarray(noise).save(tmp_path / "noise.png")
    code, said, _ = command("understand", tmp_path / "noise.png", "-m", tiny_checkpoint)
    assert code == 0
    assert OUTSIDE in said
    assert not any(label in said for label in MIKELS8.labels)


def test_what_is_below_the_threshold_is_marked(command, folder, tiny_checkpoint, tmp_path) -> None:
    from dataclasses import replace

    from emosym.models.checkpoint import load_checkpoint, save_checkpoint

    model = load_checkpoint(tiny_checkpoint)
    kept = replace(model.calibration, abstain_below=0.99, target=0.95)
    save_checkpoint(replace(model, calibration=kept, domain=None), tmp_path / "unsure")
    out = tmp_path / "r.json"
    ask = ("understand", folder, "--json", out, "--csv", tmp_path / "r.csv", "--model")
    code, said, _ = command(*ask, tmp_path / "unsure")
    assert code == 0 and "3 unsure" in said and "below 0.99" in said
    assert said.count("(unsure)") == 3
    rows = json.loads(out.read_text())
    assert [row["abstains"] for row in rows] == [True, None, True, True]
    assert all(row["confidence"] < 0.99 for row in rows if row["error"] is None)
    code, said, _ = command(*ask, tiny_checkpoint)  # chose no threshold
    assert code == 0 and "unsure" not in said
    assert {row["abstains"] for row in json.loads(out.read_text())} == {None}
    assert "abstains" in (tmp_path / "r.csv").read_text().splitlines()[0].split(",")


def test_outside_no_reason_is_given_either() -> None:
    from io import StringIO

    from rich.console import Console

    readings = []
    for outside in (False, True):
        found = UnderstandingOutput(
            emotion="awe",
            probabilities={"awe": 1.0},
            confidence=1.0,
            polarity="positive",
            valence_norm=None,
            arousal_norm=None,
            dominance_norm=None,
            in_domain=0.5,
            outside=outside,
            emotion_latent=np.zeros(2),
            context_latents=np.zeros((1, 2)),
            rationale=f"a reason, outside {outside}",
        )
        readings.append((f"{outside}.png", found))
    stream = StringIO()
    print_explained(Console(file=stream, width=120), readings)
    assert "    a reason, outside False" in stream.getvalue()
    assert "a reason, outside True" not in stream.getvalue()


def test_json_to_the_terminal_is_only_json(command, folder, tiny_checkpoint) -> None:
    code, out, err = command(
        "understand", folder, "--model", tiny_checkpoint, "--json", "-", "--explain"
    )
    assert code == 0
    assert len(json.loads(out)) == 4
    assert "3 read" in err


def test_exit_codes_of_bad_input(command, folder, tiny_checkpoint, tmp_path) -> None:
    out = tmp_path / "r.json"
    ask = ("--model", tiny_checkpoint, "--json", out)
    # one picture asked for and not readable: a usage error, and no file
    code, _, err = command("understand", folder / "b.png", *ask)
    assert (code, out.exists()) == (2, False)
    assert "it is empty" in err and len(err.strip().splitlines()) == 1
    code, _, err = command("understand", folder / "nothing.png", *ask)
    assert (code, out.exists()) == (2, False)
    assert "no such file" in err
    # several, and none readable: rows that say why, and exit code 1
    (folder / "e.png").write_text("text")
    code, _, _ = command("understand", folder / "b.png", folder / "e.png", *ask)
    assert code == 1
    assert all(row["error"] for row in json.loads(out.read_text()))


def test_bad_outputs_are_refused_before_any_work(command, folder, tmp_path) -> None:
    for option, path, sentence in (
        ("--json", tmp_path, "is a folder"),
        ("--csv", folder / "a.png" / "r.csv", "is a file, not a folder"),
        ("--parquet", "-", "Parquet is binary"),
    ):
        code, _, err = command("understand", folder, "--model", "none-needed", option, path)
        assert code == 2
        assert sentence in err
    code, _, err = command("understand", folder, "--model", "storybok")
    assert code == 2
    assert "Did you mean 'storybook'" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_is_one_sentence(command, folder, tiny_checkpoint, tmp_path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    code, _, err = command("understand", folder, "-m", tiny_checkpoint, "--csv", closed / "r.csv")
    assert code == 1
    assert "No permission" in err


def test_nothing_is_left_when_the_reading_breaks(tmp_path) -> None:
    outputs = {kind: tmp_path / f"r.{kind}" for kind in ("json", "csv", "parquet")}
    row = reading_row("a", BadInput("a", "why"))

    def body(sink) -> None:
        sink(row)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        with_outputs(outputs, lambda: MIKELS8, body)
    assert list(tmp_path.iterdir()) == []
    with_outputs(outputs, lambda: MIKELS8, lambda sink: [sink(row) for _ in range(3000)])
    assert parquet.read_table(outputs["parquet"]).num_rows == 3000
    assert len(json.loads(outputs["json"].read_text())) == 3000
    assert len(outputs["csv"].read_text().splitlines()) == 3001


def test_no_rows_are_whole_files_too(tmp_path) -> None:
    outputs = {kind: tmp_path / f"r.{kind}" for kind in ("json", "parquet")}
    with_outputs(outputs, lambda: MIKELS8, lambda sink: None)
    assert json.loads(outputs["json"].read_text()) == []
    assert parquet.read_table(outputs["parquet"]).num_rows == 0


def test_names_that_are_no_text_are_written(tmp_path) -> None:
    row = reading_row(os.fsdecode(b"caf\xe9.png"), BadInput("x", "why"))
    outputs = {kind: tmp_path / f"r.{kind}" for kind in ("json", "csv", "parquet")}
    with_outputs(outputs, lambda: MIKELS8, lambda sink: sink(row))
    assert json.loads(outputs["json"].read_text())[0]["source"] == "caf?.png"
    assert parquet.read_table(outputs["parquet"]).to_pylist()[0]["source"] == "caf?.png"


def test_rows_have_the_same_columns_whatever_happened() -> None:
    bad = flat_row(reading_row("a", BadInput("a", "why")), MIKELS8)
    assert list(bad) == list(flat_columns(MIKELS8))
    assert [bad[f"p_{label}"] for label in MIKELS8.labels] == [None] * 8


def test_missing_files_keep_their_place(tmp_path) -> None:
    (tmp_path / "a.png").touch()
    found, _ = find_pictures(
        [str(tmp_path / "x.png"), str(tmp_path / "a.png"), str(tmp_path / "y*")]
    )
    kinds = [type(item) for item in found]
    assert kinds == [BadInput, type(tmp_path), BadInput]
    (batch,) = decode_batches(found, 3)
    assert [source for source, _ in batch] == [str(tmp_path / x) for x in ("x.png", "a.png", "y*")]
    assert all(isinstance(item, BadInput) for _, item in batch)
    with pytest.raises(UsageError, match="no such file"):
        find_pictures([str(tmp_path / "x.png")])


def test_equal_names_are_told_apart_by_their_folders() -> None:
    assert display_names(["x/a.png", "y/b.png"]) == ["a.png", "b.png"]
    assert display_names(["x/a.png", "y/a.png"]) == ["x/a.png", "y/a.png"]
