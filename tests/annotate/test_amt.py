"""The AMT set: built in memory, read back, written for ms-swift, hostile rows refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from emosym.annotate.amt import Part, build_amt, units_of_tables, write_swift
from emosym.apps.cli.main import app
from emosym.data.check.run import check_dataset
from emosym.data.dataset import Dataset
from emosym.data.notes import Note
from emosym.data.sources.amt import load_amt
from emosym.data.sources.detect import detect_source
from emosym.data.sources.open import open_dataset
from emosym.emotions import LABEL_SPACES
from emosym.errors import UsageError
from emosym.tasks.swift import read_row, read_rows
from emosym.types import CausePair, Target, Turn

MELD = LABEL_SPACES["meld7"]
PAIRS = (CausePair(1, "anger", 0), CausePair(1, "anger", 1))


def talk(root: Path, split: str = "train") -> Dataset:
    """Return one dialogue of two turns with a picture and all truths, as readers give them."""
    root.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(root / "bo.png")
    turns = (
        Turn("Ann", "I sold it.", emotion="neutral", clip=Path("ann.mp4"), start=0.5, end=2.0),
        Turn("Bo", 'You "what"?', (Path("bo.png"),), emotion="anger"),
    )
    truths: tuple[Mapping[str, Target], ...] = (
        {"msa": "neutral", "ecpe": ()},
        {"msa": -1.5, "ecpe": PAIRS, "fer": ("AU04", "AU12", "AU23")},
    )
    return Dataset(
        root=root,
        split=split,
        space=MELD,
        codes=np.array([MELD.index("neutral"), MELD.index("anger")], dtype=np.int16),
        names=("d0u0", "d0u1"),
        images=(),
        annotations=(None, None),
        task="mer",
        targets=truths,
        conversations=(turns,),
        places=np.array([[0, 0], [0, 1]]),
    )


@pytest.fixture
def built(tmp_path: Path) -> Path:
    out = tmp_path / "amt"
    found = build_amt(out, [Part("talks", "train", talk(tmp_path / "talks"))])
    assert found.counts == {
        "train": {"msa": 2, "mer": 2, "fer": 1, "eri": 1, "ecpe": 1, "text_emotion": 0}
    }
    assert dict(found.left_out) == {"ecpe: a turn without an emotion": 1}
    return out


def test_it_is_read_back_with_all_truths(built: Path) -> None:
    for dataset in (load_amt(built), open_dataset("amt", built, "train")):
        calm, angry = dataset
        assert calm.id == "talks/d0u0" and calm.focus == 0
        assert calm.targets == {"msa": "neutral", "mer": "neutral"}
        # AU12, a smile, does not go with anger
        assert angry.targets == {
            "msa": -1.5,
            "mer": "anger",
            "fer": ("AU04", "AU23"),
            "ecpe": PAIRS,
            "eri": 'A face shows brows lowered, lips tightened. The words are "You "what"?". '
            "The speaker feels anger.",
        }
        assert angry.turns[0].clip == built / "media/talks/ann.mp4" and angry.turns[0].start == 0.5
        assert angry.turns[1].frames[0].read_bytes()  # type: ignore[union-attr]
        assert angry.turns[1].emotion == "anger" and dataset.labels().tolist() == [4, 0]


def test_units_of_a_table_and_reasons_of_an_annotator(tmp_path: Path) -> None:
    part = Part("talks", "dev", talk(tmp_path / "talks", "dev"))
    seen = {"d0u0": ("AU04",), "d0u1": ()}
    found = build_amt(
        tmp_path / "amt", [part], ["fer", "eri"], units=lambda source, sample: seen[sample.id]
    )
    # the data set's own units go before the table's; no unit goes with neutral
    assert found.counts == {"dev": {"fer": 1, "eri": 1}}
    assert found.left_out["fer: no unit of its emotion"] == 1


def test_units_come_from_tables_of_openface(tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "d0u0.csv").write_text("frame,success,AU04_r,AU12_r\n1,1,0,0.2\n2,1,0,2.5\n")
    (folder / "d0u1.csv").write_text("frame,success\n1,1\n")
    units = units_of_tables({"talks": folder})
    calm, angry = talk(tmp_path / "talks")
    assert units("talks", calm) == ("AU12",) and units("other", calm) is None
    assert units("talks", angry) is None  # a table without units is told and passed over
    with pytest.raises(UsageError, match="no folder of action units"):
        units_of_tables({"talks": tmp_path / "none"})


def test_rows_for_ms_swift_in_each_form(built: Path, tmp_path: Path) -> None:
    counts = write_swift(built, "train", built / "now.jsonl", "messages", "emoverse", MELD)
    assert counts == {"msa": 2, "mer": 2, "fer": 1, "eri": 1, "ecpe": 1}
    rows = {row["task"]: row for row in read_rows(built / "now.jsonl")}
    assert rows["fer"]["messages"][-1]["content"] == "Brows lowered; lips tightened."
    assert rows["fer"]["images"] == ["media/talks/bo.png"]
    assert rows["fer"]["messages"][1]["content"].startswith("<image>Detail the facial")
    assert rows["ecpe"]["messages"][-1]["content"] == "2_anger,1;2_anger,2"
    read = read_row(rows["fer"], built)
    assert read.conversation[1].parts[0] == built / "media/talks/bo.png"
    write_swift(built, "train", built / "rl.jsonl", "grpo", "emosym", MELD)
    rows = {row["task"]: row for row in read_rows(built / "rl.jsonl")}
    assert rows["mer"]["solution"] == "Anger." and len(rows["mer"]["messages"]) == 1
    asked = ["data", "amt", "convert", str(built / "now.jsonl"), str(built / "old.jsonl")]
    done = CliRunner().invoke(app, [*asked, "--form", "old"], catch_exceptions=False)
    assert done.exit_code == 0
    old = {row["task"]: row for row in read_rows(built / "old.jsonl")}
    assert old["fer"]["query"] == "Detail the facial expressions used in the image."
    assert old["fer"]["system"] and old["fer"]["images"] == ["media/talks/bo.png"]


def test_a_new_folder_is_wanted_and_something_to_build_from(built: Path, tmp_path: Path) -> None:
    part = Part("talks", "train", talk(tmp_path / "talks"))
    with pytest.raises(UsageError, match="already and not empty"):
        build_amt(built, [part])
    with pytest.raises(UsageError, match="nothing to build"):
        build_amt(tmp_path / "x", [part], ["text_emotion"])
    with pytest.raises(UsageError, match="leaves its folder"):
        build_amt(tmp_path / "x", [Part("../up", "train", part.dataset)])
    assert {path.name for path in tmp_path.iterdir()} == {"amt", "talks"}  # nothing half-written
    with pytest.raises(UsageError, match="Did you mean 'mer'"):
        build_amt(tmp_path / "y", [part], ["mr"])
    with pytest.raises(UsageError, match="SOURCE=DIR"):
        CliRunner().invoke(
            app, ["data", "amt", "build", "z", "--from", "meld"], catch_exceptions=False
        )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"focus": 9}, "2 turns, no turn 9"),
        ({"conversation": "other"}, "no conversation 'other'"),
        ({"task": "mr"}, "Did you mean 'mer'"),
        ({"target": "envy"}, "envy"),
        ({"task": "fer", "target": "AU04"}, "no truth of fer"),
        ({"task": "ecpe", "target": [[0, "joy", 7]]}, "points outside"),
        ({"task": "ecpe", "target": [[0, "joy"]]}, "no truth of ecpe"),
        ({"task": "msa", "target": True}, "no truth of msa"),
    ],
)
def test_bad_rows_are_told_or_noted(built: Path, change: dict[str, Any], told: str) -> None:
    path = built / "train.jsonl"
    rows = read_rows(path)
    bad = {**next(row for row in rows if row["task"] == "mer"), **change}
    path.write_text("".join(json.dumps(row) + "\n" for row in (*rows, bad)) + "{cut\n")
    notes: list[Note] = []
    assert len(load_amt(built, notes=notes)) == 2
    assert told in notes[0].sentence and "not valid JSON" in notes[1].sentence
    with pytest.raises(UsageError, match=told):
        load_amt(built)


def test_a_path_may_not_leave_the_folder(built: Path) -> None:
    path = built / "conversations.jsonl"
    row = json.loads(path.read_text())
    row["turns"][1]["frames"] = ["../../secret.png"]
    path.write_text(json.dumps(row))
    with pytest.raises(UsageError, match="leaves its folder"):
        load_amt(built)
    (built / "amt.json").write_text('{"schema": "emosym.amt/9"}')
    with pytest.raises(UsageError, match="no AMT set of this version"):
        load_amt(built)


def amt_of(root: Path, target: str, task: str) -> Path:
    """Write an AMT folder of one row; `target` is its JSON."""
    root.mkdir()
    (root / "amt.json").write_text('{"schema": "emosym.amt/1", "counts": {"train": {}}}')
    (root / "conversations.jsonl").write_text('{"id": "c", "turns": [{"text": "Well."}]}\n')
    row = f'"id": "x", "conversation": "c", "focus": 0, "task": "{task}", "target": {target}'
    (root / "train.jsonl").write_text(f"{{{row}}}\n")
    return root


@pytest.mark.parametrize(
    ("task", "target"),
    [("msa", "NaN"), ("msa", "3.5"), ("msa", "1" + "0" * 400), ("fer", '["AU99"]')],
)
def test_a_truth_that_is_none_is_told_with_its_row(tmp_path: Path, task: str, target: str) -> None:
    with pytest.raises(UsageError, match=f"line 1: .* is no truth of {task}"):
        load_amt(amt_of(tmp_path / "amt", target, task))


def test_labels_of_words_are_those_of_the_space(tmp_path: Path) -> None:
    several = amt_of(tmp_path / "amt", '["annoyance", "anger", "grief"]', "text_emotion")
    assert load_amt(several)[0].targets == {"text_emotion": ("anger", "sadness")}
    rows = tmp_path / "rows.jsonl"
    assert write_swift(several, "train", rows, "messages", "emosym", MELD) == {"text_emotion": 1}
    one = amt_of(tmp_path / "one", '"annoyance"', "text_emotion")
    assert load_amt(one)[0].targets == {"text_emotion": "anger"}


def test_it_can_be_checked(built: Path) -> None:
    assert detect_source(built) == "amt"
    report = check_dataset(built, "amt")
    assert report["splits"]["train"]["conversations"] == 1 and report["rows"] == 2
    (built / "amt.json").write_text('{"schema": "emosym.amt/1", "counts": 3}')
    with pytest.raises(UsageError, match="no AMT set of this version"):
        check_dataset(built, "amt")


def test_a_face_without_a_picture_of_its_turn_is_left_out(tmp_path: Path) -> None:
    angry = np.full(2, MELD.index("anger"), dtype=np.int16)
    talks = replace(talk(tmp_path / "talks"), codes=angry, targets=({"fer": ("AU04",)}, {}))
    build_amt(tmp_path / "amt", [Part("talks", "train", talks)], ["fer"])
    rows = tmp_path / "rows.jsonl"
    told = write_swift(tmp_path / "amt", "train", rows, "messages", "emosym", MELD)
    assert told["fer without a picture"] == 1
