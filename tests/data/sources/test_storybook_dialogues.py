from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emosym.data.notes import Note
from emosym.data.sources.detect import detect_source
from emosym.data.sources.open import open_dataset
from emosym.data.sources.storybook_dialogues import load_storybook_dialogues
from emosym.data.storybook.dialogues.draw import draw_dialogue
from emosym.data.storybook.dialogues.reasons import reason_of
from emosym.data.storybook.dialogues.writer import write_dialogues
from emosym.data.storybook.faces import action_units
from emosym.errors import UsageError
from emosym.types import CausePair


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dialogues")
    write_dialogues(root, {"train": 1, "val": 1, "test": 4}, seed=2)
    return root


def test_what_was_drawn_is_read(drawn: Path) -> None:
    assert detect_source(drawn) == "storybook-dialogues"
    found = open_dataset("storybook-dialogues", drawn, "test")
    samples = list(found)
    assert found.space.name == "meld7"
    turns = [
        (draw_dialogue(2, index, "test"), place)
        for index in range(4)
        for place in range(len(draw_dialogue(2, index, "test").turns))
    ]
    assert len(samples) == len(turns)
    for sample, (dialogue, place) in zip(samples, turns, strict=True):
        turn = dialogue.turns[place]
        assert sample.focus == place and len(sample.turns) == len(dialogue.turns)
        assert sample.turns[place].text == turn.text and sample.turns[place].emotion == turn.emotion
        cause = () if turn.cause is None else (CausePair(place, turn.emotion, turn.cause),)
        assert sample.targets["ecpe"] == cause
        assert (sample.targets["mer"], sample.targets["msa"]) == (turn.emotion, turn.sentiment)
        assert sample.targets["fer"] == action_units(turn.showing.face)
        assert sample.targets.get("eri") == reason_of(dialogue, place)
        assert sample.attributes["mode"] == turn.showing.mode
        frame = sample.turns[place].frames[0]
        assert isinstance(frame, Path) and frame.is_file()


def changed(root: Path, out: Path, **values: Any) -> Path:
    """Copy the test split with other values in the second conversation's first turn."""
    stored = json.loads((root / "test.json").read_text())
    stored["dialogues"][1]["turns"][0].update(values)
    out.mkdir()
    (out / "test.json").write_text(json.dumps(stored))
    return out


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"cause": 9}, "'cause' must be a turn of 0 to"),
        ({"sentiment": "good"}, "'sentiment' must be a number"),
        ({"action_units": ["AU99"]}, "AU99"),
        ({"picture": None}, "a path under 'picture'"),
    ],
)
def test_a_damaged_conversation_is_left_out_and_told(
    drawn: Path, tmp_path: Path, values: dict[str, Any], told: str
) -> None:
    notes: list[Note] = []
    found = load_storybook_dialogues(
        changed(drawn, tmp_path / "odd", **values), "test", notes=notes
    )
    assert [note.kind for note in notes] == ["bad_row"] and told in notes[0].sentence
    assert len(found.conversations) == 3


def test_a_picture_outside_the_folder_is_refused(drawn: Path, tmp_path: Path) -> None:
    found = load_storybook_dialogues(changed(drawn, tmp_path / "out", picture="../x.png"), "test")
    with pytest.raises(UsageError, match="leaves its folder"):
        list(found)
