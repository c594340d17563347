from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emosym.data.storybook.dialogues.draw import draw_dialogue
from emosym.data.storybook.dialogues.writer import write_dialogues
from emosym.data.storybook.drawing.render import paint_array
from emosym.errors import UsageError

COUNTS = {"train": 18, "val": 1, "test": 2}


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_the_same_bytes_for_any_number_of_workers_and_after_a_stop(tmp_path: Path) -> None:
    assert write_dialogues(tmp_path / "one", COUNTS, seed=5)
    assert write_dialogues(tmp_path / "two", COUNTS, seed=5, workers=2)
    whole = contents(tmp_path / "one")
    assert contents(tmp_path / "two") == whole
    assert not write_dialogues(tmp_path / "one", COUNTS, seed=5)
    (tmp_path / "one" / "test.json").unlink()
    picture = next((tmp_path / "one" / "image" / "test").iterdir())
    picture.unlink()
    assert write_dialogues(tmp_path / "one", COUNTS, seed=5)
    assert contents(tmp_path / "one") == whole


def test_a_row_holds_what_was_drawn(tmp_path: Path) -> None:
    write_dialogues(tmp_path, {"train": 1, "val": 1, "test": 2}, seed=9)
    stored = json.loads((tmp_path / "test.json").read_text())
    assert [row["id"] for row in stored["dialogues"]] == ["test_000000", "test_000001"]
    dialogue = draw_dialogue(9, 1, "test")
    for turn, row in zip(dialogue.turns, stored["dialogues"][1]["turns"], strict=True):
        assert (row["speaker"], row["text"]) == (turn.speaker, turn.text)
        assert (row["emotion"], row["cause"]) == (turn.emotion, turn.cause)
        with Image.open(tmp_path / row["picture"]) as picture:
            assert np.array_equal(np.asarray(picture), paint_array(turn.shot, 64))


def test_another_request_or_folder_is_refused(tmp_path: Path) -> None:
    write_dialogues(tmp_path / "a", {"train": 1, "val": 1, "test": 1})
    with pytest.raises(UsageError, match="another storybook"):
        write_dialogues(tmp_path / "a", {"train": 2, "val": 1, "test": 1})
    with pytest.raises(UsageError, match="at least one for each"):
        write_dialogues(tmp_path / "b", {"train": 2, "val": 1, "test": 0})
