"""FI: folders of emotions, perhaps one level down, with splits written to disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from emosym.data.sources.fi import load_fi
from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.types import IMAGE_EMOTION


def fill(root: Path, count: int = 10) -> Path:
    for emotion in MIKELS8.labels:
        (root / emotion).mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", (4, 4)).save(root / emotion / f"{emotion}_{index}.jpg")
    return root


def test_splits_are_drawn_once_and_stratified(tmp_path: Path) -> None:
    fill(tmp_path / "emotion_dataset")
    parts = {name: load_fi(tmp_path, name) for name in ("train", "val", "test")}
    assert {name: len(part) for name, part in parts.items()} == {"train": 64, "val": 8, "test": 8}
    assert sorted(parts["test"].labels().tolist()) == list(range(8))
    assert (tmp_path / "emotion_dataset/test.json").is_file()
    assert load_fi(tmp_path, "test").ids() == parts["test"].ids()
    assert len(load_fi(tmp_path)) == 80


def test_folders_of_splits_and_no_emotions(tmp_path: Path) -> None:
    fill(tmp_path / "a" / "train", 1)
    assert load_fi(tmp_path / "a", "train")[0].label_of(IMAGE_EMOTION) == "amusement"
    (tmp_path / "b" / "holiday").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "b" / "holiday" / "x.jpg")
    with pytest.raises(UsageError, match="no folder named after an emotion"):
        load_fi(tmp_path / "b")
    with pytest.raises(UsageError, match="no such folder"):
        load_fi(tmp_path / "none")
