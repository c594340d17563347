"""The written folder: EmoSet's layout, whole, resumable, and never over foreign files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emosym.apps.cli.storybook import storybook
from emosym.data.storybook import caption_of, draw_story, paint_story, write_storybook
from emosym.data.storybook.writer import brightness_of, colorfulness_of, split_counts
from emosym.emotions import MIKELS8
from emosym.errors import UsageError

COUNTS = {"train": 14, "val": 2, "test": 4}


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder by relative name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_layout_and_annotations(tmp_path: Path) -> None:
    steps: list[int] = []
    assert write_storybook(tmp_path / "book", COUNTS, 32, 9, 1, steps.append)
    book = tmp_path / "book"
    info = json.loads((book / "info.json").read_text())
    assert info["emotion"]["label2idx"] == {name: i for i, name in enumerate(MIKELS8.labels)}
    assert info["brightness"]["idx2label"]["3"] == 0.3
    assert info["brightness"]["label2idx"]["1.0"] == 10
    assert sum(steps) == 20
    for split, count in COUNTS.items():
        rows = json.loads((book / f"{split}.json").read_text())
        assert len(rows) == count
        for index, (emotion, image, annotation) in enumerate(rows):
            story = draw_story(9, index, split)
            found = json.loads((book / annotation).read_text())
            assert Path(image).stem == Path(annotation).stem == found["image_id"]
            assert found["emotion"] == emotion == MIKELS8.labels[story.label]
            assert found["caption"] == caption_of(story)
            assert ("votes" in found) == story.mixed
            for key in ("scene", "facial_expression", "human_action", "light"):
                assert found[key] in info[key]["label2idx"]
            assert all(item in info["object"]["label2idx"] for item in found["object"])
            assert str(found["brightness"]) in info["brightness"]["label2idx"]
            with Image.open(book / image) as picture:
                assert picture.tobytes() == paint_story(story, 32).tobytes()


def test_a_broken_off_book_is_completed_to_the_same_bytes(tmp_path: Path) -> None:
    book = tmp_path / "book"
    write_storybook(book, COUNTS, 32, 9)
    whole = contents(book)
    assert not write_storybook(book, COUNTS, 32, 9)
    (book / "test.json").unlink()
    for name in sorted(whole)[5:12]:
        if name.startswith(("image", "annotation")):
            (book / name).unlink()
    assert write_storybook(book, COUNTS, 32, 9)
    assert contents(book) == whole


def test_other_content_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        write_storybook(tmp_path, COUNTS, 32)
    assert contents(tmp_path) == {"notes.txt": b"mine"}
    write_storybook(tmp_path / "book", COUNTS, 32, 1)
    with pytest.raises(UsageError, match="another storybook"):
        write_storybook(tmp_path / "book", COUNTS, 32, 2)
    with pytest.raises(UsageError, match="file"):
        write_storybook(tmp_path / "notes.txt", COUNTS, 32)


def test_counts() -> None:
    assert split_counts(100) == {"train": 70, "val": 10, "test": 20}
    with pytest.raises(UsageError, match="10"):
        split_counts(4)
    with pytest.raises(UsageError, match="at least one"):
        write_storybook(Path("never"), {"train": 3, "val": 0, "test": 1}, 32)
    assert not Path("never").exists()


def test_brightness_and_colourfulness_by_hand() -> None:
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert brightness_of(black) == 0.0 and brightness_of(white) == 1.0
    assert colorfulness_of(white) == 0.0
    red = black.copy()
    red[..., 0] = 255
    assert brightness_of(red) == 0.3
    # No spread; mean opponents (255, 127.5): 0.3 * 285.1 / 130 = 0.66.
    assert colorfulness_of(red) == 0.7


def test_shell_verb_writes_book_and_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storybook(tmp_path / "book", 10, 64, 3, 1, None, None, None, tmp_path / "sheet.png")
    shown = capsys.readouterr().out
    assert "97.2%" in shown and "35.6%" not in shown and "train 7, val 1, test 2" in shown
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (8 * 66 + 2, 8 * 66 + 2)
    with pytest.raises(UsageError, match="size"):
        storybook(tmp_path / "other", 10, 20, 3, 1, None, None, None, None)
    with pytest.raises(UsageError, match="--test"):
        storybook(tmp_path / "other", 10, 64, 3, 1, 4, 4, None, None)
    assert not (tmp_path / "other").exists()
