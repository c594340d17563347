"""ECF 2.0 of both subtasks: causes counted from 0, each once, and what points outside."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.data.dialogue_makers import ecf_turns, write_json

from emosym.data.notes import Note
from emosym.data.sources.ecf import load_ecf
from emosym.errors import UsageError
from emosym.types import CausePair

KEY = "emotion-cause_pairs"


def test_spans_of_the_first_subtask(tmp_path: Path) -> None:
    row = {
        "conversation_ID": 7,
        "conversation": ecf_turns("neutral", "joy", "Surprise"),
        KEY: [["2_joy", "1_Line"], ["2_joy", "1_1 ."], ["2_joy", "2_Line 2 ."], ["3_S", "3_Line"]],
    }
    found = load_ecf(write_json(tmp_path / "Subtask_1_train.json", [row]))
    assert found.ids() == ("7_1", "7_2", "7_3")
    assert [sample.targets["ecpe"] for sample in found] == [
        (),
        (CausePair(1, "joy", 0), CausePair(1, "joy", 1)),
        (CausePair(2, "surprise", 2),),
    ]
    assert [sample.targets["mer"] for sample in found] == ["neutral", "joy", "surprise"]
    assert found[1].attributes["cause_spans"] == ((0, "Line"), (0, "1 ."), (1, "Line 2 ."))
    assert found[1].focus == 1 and found[1].turns[2].emotion == "surprise"


def test_turns_of_the_second_subtask_with_clips(tmp_path: Path) -> None:
    turns = ecf_turns("joy", "anger")
    for turn, name in zip(turns, ("dia7utt1.mp4", "../dia7utt2.mp4"), strict=True):
        turn["video_name"] = name
    row = {"conversation_ID": 7, "conversation": turns, KEY: [["2_anger", "1"], ["2_anger", "1"]]}
    write_json(tmp_path / "Subtask_2_train.json", [row])
    (tmp_path / "train").mkdir()
    (tmp_path / "train/dia7utt1.mp4").write_bytes(b"")
    notes: list[Note] = []
    found = load_ecf(tmp_path, "train", notes=notes)
    assert found[1].targets["ecpe"] == (CausePair(1, "anger", 0),)
    assert [turn.clip for turn in found[0].turns] == [tmp_path / "train/dia7utt1.mp4", None]
    assert Counter(note.kind for note in notes) == {"duplicate_pairs": 1, "missing_clips": 1}


def test_both_subtasks_in_a_folder(tmp_path: Path) -> None:
    for task in (1, 2):
        row = {"conversation_ID": task, "conversation": ecf_turns("joy")}
        write_json(tmp_path / f"Subtask_{task}_train.json", [row])
    assert load_ecf(tmp_path, "train").ids() == ("1_1",)
    second = load_ecf(tmp_path, "subtask_2_train")
    assert second.ids() == ("2_1",) and "ecpe" not in second[0].targets


def test_odd_conversations_are_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    good = {
        "conversation_ID": 1,
        "conversation": [*ecf_turns("joy", "fear")[1:], ecf_turns("joy")[0], {"text": "no id"}, 5],
        KEY: [["1_joy", "9"], ["x", "1"], "pair", ["2_fear", "1"]],
    }
    rows = [
        good,
        {"conversation_ID": 2, "conversation": []},
        {"conversation_ID": 1, "conversation": ecf_turns("joy")},
        {"conversation_ID": 3, "conversation": None},
        "text",
        {"conversation_ID": 4, "conversation": [ecf_turns("joy", "fear", "joy")[2]] * 2},
    ]
    notes: list[Note] = []
    found = load_ecf(write_json(tmp_path / "train.json", rows), notes=notes)
    assert found.ids() == ("1_1", "1_2", "4_3")
    assert found[1].targets["ecpe"] == (CausePair(1, "fear", 0),)
    assert Counter(note.kind for note in notes) == {
        "bad_row": 8,
        "pairs_outside": 1,
        "empty_conversations": 1,
        "id_gaps": 1,
    }
    assert "train.json, conversation 1: the pair ['1_joy', '9'] points outside its 2 turns." in {
        note.sentence for note in notes
    }
    assert load_ecf(tmp_path).ids() == found.ids()
    with pytest.raises(UsageError, match="must hold a JSON list"):
        load_ecf(write_json(tmp_path / "x/train.json", {"conversation_ID": 1}))
