"""`emosym understand`: any number of files in, a table and whole output files out."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet
from tests.forks import forked

from emosym.apps.cli.found_pictures import find_pictures
from emosym.apps.cli.readings import print_explained
from emosym.data.images import decode_batches
from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.service.rows import OUTSIDE, UNSURE, reading_row
from emosym.service.words import display_names, how_unusual, in_words
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
    from emosym.models.emosym_model import with_calibration

    model = load_checkpoint(tiny_checkpoint)
    kept = replace(model.calibration, abstain_below=0.99, target=0.95)
    unsure = with_calibration(replace(model, domain=None), kept)
    save_checkpoint(unsure, tmp_path / "unsure")
    out = tmp_path / "r.json"
    ask = ("understand", folder, "--json", out, "--csv", tmp_path / "r.csv", "--model")
    code, said, _ = command(*ask, tmp_path / "unsure")
    assert code == 0 and "3 unsure" in said and "below 0.99" in said
    assert said.count("(unsure)") == 3
    rows = json.loads(out.read_text())
    assert [row["abstains"] for row in rows] == [True, None, True, True]
    assert all(row["confidence"] < 0.99 for row in rows if row["error"] is None)
    code, said, _ = command(*ask, tmp_path / "unsure", "--abstain")
    silent = json.loads(out.read_text())
    assert code == 0 and not any(f"{row['emotion']} " in said for row in rows if row["emotion"])
    assert {row["emotion"] for row in silent} == {row["polarity"] for row in silent} == {None}
    assert [row["reason"] for row in silent] == [UNSURE, None, UNSURE, UNSURE]
    assert [row["probabilities"] for row in silent] == [row["probabilities"] for row in rows]
    with (tmp_path / "r.csv").open(newline="") as stream:
        assert {cells["emotion"] for cells in csv.DictReader(stream)} == {""}
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
        readings.append(reading_row(f"{outside}.png", found))
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


def test_one_reading_is_told_in_words(command, tiny_checkpoint, tiny_pictures, tmp_path) -> None:
    Image.fromarray(tiny_pictures.pictures[0]).save(tmp_path / "a.png")
    code, said, _ = command("understand", tmp_path / "a.png", "-m", tiny_checkpoint, "--explain")
    assert code == 0
    lines = said.splitlines()
    assert lines[0] == "a.png"
    assert "% sure" in lines[1] and lines[2].startswith("  then ")
    assert "pleasantness" in said and "from 1 to 9" in said and "why: " in said
    assert any(line.startswith("  of 100 pictures of the kind it was trained on") for line in lines)


def test_how_unusual_a_picture_is_is_told_as_a_count() -> None:
    assert [how_unusual(share).split(", ")[1] for share in (0.0, 0.004, 0.01, 0.18)] == [
        "fewer than 1 is as unusual as this one",
        "fewer than 1 is as unusual as this one",
        "1 is as unusual as this one",
        "18 are as unusual as this one",
    ]
    row = {"error": None, "outside": True, "in_domain": 0.0}
    assert in_words(row, None) == [f"outside what this preset has seen: {how_unusual(0.0)}"]


def test_an_unsure_reading_is_called_a_guess() -> None:
    row = dict.fromkeys(("error", "outside", "polarity", "valence_norm", "arousal_norm"))
    row |= {"in_domain": None, "rationale": None, "emotion": "awe", "confidence": 0.4}
    row |= {"probabilities": {"awe": 0.4, "fear": 0.35, "anger": 0.25}, "reason": "unsure"}
    assert in_words(row, 0.62) == [
        "awe: 40 % sure; unsure (below 62 %), take it as a guess",
        "then fear 35 %, anger 25 %",
    ]


def test_where_all_is_outside_the_last_line_says_what_next(
    command, tiny_checkpoint, tmp_path
) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        noise = rng.integers(0, 2, (64, 64, 3), dtype=np.uint8) * 255
        Image.fromarray(noise).save(tmp_path / f"{name}.png")
    out = tmp_path / "r.csv"
    _, said, _ = command("understand", tmp_path / "*.png", "-m", tiny_checkpoint, "--csv", out)
    assert f"2 read; 2 {OUTSIDE}" in said
    assert "--zero-shot --preset" in said and "emosym train" in said
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["emotion"], row["rationale"], row["reason"]) for row in rows] == [
        ("", "", OUTSIDE)
    ] * 2
    assert all(float(row["p_awe"]) >= 0 for row in rows)


def test_a_stopped_run_keeps_its_rows_and_goes_on(
    command, folder, tiny_checkpoint, tmp_path, monkeypatch
) -> None:
    from emosym.pipelines.trained import EmoSymPipeline

    whole, out = tmp_path / "whole.csv", tmp_path / "r.csv"
    ask = ("understand", folder, "-m", tiny_checkpoint, "--batch-size", 1, "--csv")
    command(*ask, whole)
    real, calls = EmoSymPipeline.read, []

    def stopped(self, pictures, explain, batch_size):
        calls.append(len(pictures))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, pictures, explain, batch_size)

    monkeypatch.setattr(EmoSymPipeline, "read", stopped)
    code, _, err = command(*ask, out)
    monkeypatch.setattr(EmoSymPipeline, "read", real)
    assert code == 130 and not out.exists()
    assert "--resume goes on" in err
    assert [path.name for path in tmp_path.glob("r.csv*")] == ["r.csv.rows"]
    # nobody's rows are thrown away unasked, and only the same question goes on
    code, _, err = command(*ask, out)
    assert code == 2 and "add --resume" in err
    code, _, err = command(*ask, out, "--resume", "--explain")
    assert code == 2 and "another explain" in err
    with (tmp_path / "r.csv.rows").open("ab") as stream:
        stream.write(b'{"source": "torn')  # as kill -9 leaves it
    code, said, _ = command(*ask, out, "--resume")
    assert code == 0 and "3 read; 1 could not be read" in said
    assert out.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "r.csv.rows").exists()


def interrupted_in(batch: int, begun: Path, words: list[str]) -> None:
    """Run the command, of which one batch takes two minutes; `begun` is made when it begins."""
    from emosym.apps.cli.main import main
    from emosym.pipelines.trained import EmoSymPipeline

    real, sizes = EmoSymPipeline.read, []

    def slow(self, pictures, explain, batch_size):
        sizes.append(len(pictures))
        if len(sizes) == batch:
            begun.touch()
            time.sleep(120)
        return real(self, pictures, explain, batch_size)

    EmoSymPipeline.read = slow
    # a shell's background jobs ignore it, and so would what they start
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["emosym", *words]
    main()


# slow: two processes of their own, which must end by themselves
@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 2])
def test_ctrl_c_ends_in_a_slow_batch_and_what_is_read_is_kept(
    command, folder, tiny_checkpoint, tmp_path, batch
) -> None:
    whole, out, log, begun = (tmp_path / name for name in ("whole.csv", "r.csv", "log", "begun"))
    words = ["understand", str(folder), "-m", str(tiny_checkpoint), "--batch-size", "1", "--csv"]
    with forked(interrupted_in, batch, begun, [*words, str(out)], log=log) as process:
        while not begun.exists():
            assert process.exitcode is None, log.read_text()
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
        process.join(30)
        assert process.exitcode == 130
    *kept, last = log.read_text().strip().splitlines()
    assert last == "Stopped by Ctrl-C; nothing half-written was left behind."
    rows = tmp_path / "r.csv.rows"
    assert not out.exists() and rows.exists() == (batch > 1)
    assert any("--resume goes on" in line for line in kept) == (batch > 1)
    assert command(*words, out, *(["--resume"] if batch > 1 else []))[0] == 0
    assert command(*words, whole)[0] == 0
    assert out.read_bytes() == whole.read_bytes() and not rows.exists()


def test_an_input_is_not_written_over(command, folder, tmp_path) -> None:
    (tmp_path / "link.png").symlink_to(folder / "a.png")
    before = (folder / "a.png").read_bytes()
    for path in (folder / "a.png", tmp_path / "link.png"):
        code, _, err = command("understand", folder, "--csv", path)
        assert code == 2 and "is one of the pictures to read" in err
    assert (folder / "a.png").read_bytes() == before
    code, _, err = command("understand", folder, "--resume")
    assert code == 2 and "--resume needs an output file" in err
