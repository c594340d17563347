"""MMSA's label.csv: ids as text, sentiments as numbers, clips of a video in their order."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.data.dialogue_makers import mosei

from emosym.data.notes import Note
from emosym.data.sources.mosei import load_mosei
from emosym.errors import UsageError

ROWS = (
    "03bSnISJMiM,11,anyhow it was really good,2.4,,,,Positive,train",
    "03bSnISJMiM,2,THEY&#39;RE bad,-1,0.5,x,,Negative,train",
    "-3g5yACwYnA,0,so so,0.0,,,,Neutral,valid",
    "1e5,007,odd id,-0.33333,,,,Negative,test",
)


def test_samples_of_a_split(tmp_path: Path) -> None:
    for name in ("03bSnISJMiM/2.mp4", "03bSnISJMiM/11.mp4", "1e5/007.mp4"):
        (tmp_path / "Raw" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "Raw" / name).write_bytes(b"")
    train = load_mosei(mosei(tmp_path, ROWS))
    assert train.ids() == ("03bSnISJMiM/2", "03bSnISJMiM/11") and train.task == "msa"
    assert [sample.targets for sample in train] == [{"msa": -1.0}, {"msa": 2.4}]
    assert train.labels().tolist() == [0, 2]
    assert [turn.text for turn in train[1].turns] == ["THEY'RE bad", "anyhow it was really good"]
    assert [turn.emotion for turn in train[1].turns] == [None, None]
    assert train[1].focus == 1
    assert train[0].turns[0].clip == tmp_path / "Raw/03bSnISJMiM/2.mp4"
    assert train[0].attributes == {"annotation": "Negative", "label_T": 0.5}
    test = load_mosei(tmp_path, "test")
    assert test.ids() == ("1e5/007",) and test[0].turns[0].clip == tmp_path / "Raw/1e5/007.mp4"
    assert load_mosei(tmp_path, "dev")[0].targets == {"msa": 0.0}
    assert len(load_mosei(tmp_path, "all")) == 4
    assert load_mosei(tmp_path, space="meld7").space.name == "sentiment3"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("a,1,words,4,,,,Positive,train", "label must be a number of -3..3, got '4'"),
        ("a,1,words,nan,,,,Positive,train", "label must be a number of -3..3, got 'nan'"),
        ("a,,words,1,,,,Positive,train", "names no video and clip"),
        ("../../etc,1,words,1,,,,Positive,train", "leaves its folder"),
    ],
)
def test_bad_rows_are_left_out(tmp_path: Path, row: str, told: str) -> None:
    notes: list[Note] = []
    found = load_mosei(mosei(tmp_path, [*ROWS, row]), notes=notes)
    assert len(found) == 2 and [note.kind for note in notes] == ["bad_row"]
    assert told in notes[0].sentence


def test_unknown_splits(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Valid: train, val, all"):
        load_mosei(mosei(tmp_path, ROWS[:3]), "test")
