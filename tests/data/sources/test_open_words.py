from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from emosym.data.notes import Note
from emosym.data.sources.detect import detect_source
from emosym.data.sources.open_words import load_open_words
from emosym.errors import UsageError
from emosym.types import OPEN


def test_clips_texts_and_pictures(tmp_path: Path) -> None:
    rows = {
        "a": {"openset": ["Sad", "let down"], "subtitle": "Oh,  no."},
        "b": {"openset": "[happy]", "image": "pictures/b.png"},
        "c": {"openset": [], "text": "Well."},
        "d": {"openset": ["sad"]},
        "e": {"openset": ["sad"], "image": "../e.png"},
    }
    (tmp_path / "ov.json").write_text(json.dumps(rows))
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "pictures" / "b.png")
    assert detect_source(tmp_path) == "open-words"
    notes: list[Note] = []
    found = load_open_words(tmp_path, notes=notes)
    assert found.ids() == ("a", "b", "c")
    assert found[0].targets == {OPEN: ("sad", "let down")}
    assert found[0].turns[0].text == "Oh, no."
    assert found[1].images == (tmp_path / "pictures" / "b.png",)
    assert found[2].targets == {}
    assert [note.where for note in notes] == ["ov.json, row 4", "ov.json, row 5"]
    assert "leaves its folder" in notes[1].sentence


def test_splits_by_name(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / f"ov_{split}.csv").write_text(f"name,openset,text\n{split}1,[sad],Hm.\n")
    assert load_open_words(tmp_path, "test").ids() == ("test1",)
    with pytest.raises(UsageError, match="Valid: test, train"):
        load_open_words(tmp_path, "val")
