"""RECCON's dialogues: evidence by turn or latent, and labels as they are spelled there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from tests.data.dialogue_makers import write_json

from emosym.data.notes import Note
from emosym.data.sources.reccon import load_reccon
from emosym.types import CausePair


def turn(number: int, emotion: str, *evidence: int | str, spans: tuple[str, ...] = ()) -> Any:
    found = {
        "turn": number,
        "speaker": "A",
        "utterance": f"It\u2019s {number}.",
        "emotion": emotion,
    }
    more = {
        "expanded emotion cause evidence": list(evidence),
        "expanded emotion cause span": list(spans),
        "type": ["no-context"],
    }
    return {**found, **(more if evidence else {})}


def test_evidence_becomes_causes(tmp_path: Path) -> None:
    rows = {
        "tr_1": [[turn(1, "neutral"), turn(2, "happines", 1, 2, "b", spans=("It", "is"))]],
        "tr_2": [[turn(1, "excited", "b"), turn(2, "sad", 2, 2, 9, "x")]],
        "tr_3": [turn(1, "happiness", 1)],
        "tr_4": [[]],
        "tr_5": "no list",
    }
    notes: list[Note] = []
    root = write_json(tmp_path / "dailydialog_train.json", rows)
    found = load_reccon(root, notes=notes)
    assert found.ids() == ("tr_1_1", "tr_1_2", "tr_2_1", "tr_2_2", "tr_3_1")
    assert [sample.label_of("mer") for sample in found] == [
        *("neutral", "joy", "joy", "sadness", "joy"),
    ]
    assert found[1].targets["ecpe"] == (CausePair(1, "joy", 0), CausePair(1, "joy", 1))
    assert found[1].attributes == {"latent_cause": True, "cause_spans": ("It", "is")}
    assert found[0].targets["ecpe"] == found[2].targets["ecpe"] == ()
    assert found[3].targets["ecpe"] == (CausePair(1, "sadness", 1),)
    assert found[0].turns[1].text == "It's 2."
    assert Counter(note.kind for note in notes) == {
        "spellings": 1,
        "duplicate_pairs": 1,
        "pairs_outside": 2,
        "empty_conversations": 1,
        "bad_row": 1,
    }


def test_several_files_of_a_split_are_called_after_themselves(tmp_path: Path) -> None:
    write_json(tmp_path / "dailydialog_test.json", {"a": [[turn(1, "fear", 1)]]})
    write_json(tmp_path / "iemocap_test.json", {"b": [[turn(1, "frustrated", 1)]]})
    assert load_reccon(tmp_path, "test").ids() == ("a_1",)
    assert load_reccon(tmp_path, "iemocap_test")[0].label_of("mer") == "anger"
