from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from emosym.data.sources.emoset import load_emoset
from emosym.data.sources.folder import load_folder
from emosym.errors import UsageError
from emosym.types import IMAGE_EMOTION

HALVES = {"train": 0.5, "test": 0.5}


def fill(root: Path, *folders: str, count: int = 4) -> Path:
    for folder in folders:
        (root / folder).mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", (4, 4)).save(root / folder / f"{index}.png")
    return root


def test_emotion_folders_are_labels(tmp_path: Path) -> None:
    dataset = load_folder(fill(tmp_path, "fear/deep", "Awe"))
    assert dataset.labels().tolist() == [1] * 4 + [6] * 4
    assert dataset.ids()[4] == "fear/deep/0.png" and dataset[4].label_of(IMAGE_EMOTION) == "fear"
    assert dataset.picture(0) == tmp_path / "Awe/0.png"


def test_a_plain_folder_has_no_labels(tmp_path: Path) -> None:
    dataset = load_folder(fill(tmp_path, "holiday", "work"))
    assert dataset.labels().tolist() == [-1] * 8 and dataset[0].label_of(IMAGE_EMOTION) is None


def test_a_folder_that_is_labelled_in_part_is_refused(tmp_path: Path) -> None:
    root = fill(tmp_path, "awe", "amusment")
    with pytest.raises(UsageError, match=r"'amusment'\. Did you mean 'amusement'"):
        load_folder(root)
    loose = fill(tmp_path / "fear", "awe").parent / "fear"
    Image.new("RGB", (4, 4)).save(loose / "loose.png")
    with pytest.raises(UsageError, match="loose pictures"):
        load_folder(loose)
    with pytest.raises(UsageError, match="matches no picture"):
        load_folder(fill(tmp_path / "empty", "none", count=0))
    with pytest.raises(UsageError, match="no such folder"):
        load_folder(tmp_path / "absent")


def test_splits_are_written_once_in_the_emoset_layout(tmp_path: Path) -> None:
    root = fill(tmp_path, "awe", "fear", count=10)
    (root / "info.json").write_text('{"note": "mine"}')
    train = load_folder(root, "train", fractions=HALVES, seed=2)
    test = load_folder(root, "test", fractions=HALVES, seed=2)
    assert sorted(train.ids() + test.ids()) == sorted(load_folder(root).ids())
    assert train.labels().tolist().count(1) == test.labels().tolist().count(1) == 5
    assert load_emoset(root, "train").ids() == train.ids()
    assert train.picture(0).is_file()
    info = json.loads((root / "info.json").read_text())
    assert info["split"] == {"seed": 2, "fractions": HALVES} and info["note"] == "mine"
    Image.new("RGB", (4, 4)).save(root / "awe" / "later.png")
    assert load_folder(root, "train", fractions=HALVES, seed=2).ids() == train.ids()
    with pytest.raises(UsageError, match="drawn with seed 2"):
        load_folder(root, "train", fractions=HALVES, seed=3)
    with pytest.raises(UsageError, match="drawn with seed 2"):
        load_folder(root, "train", seed=2)
    with pytest.raises(UsageError, match="Did you mean 'test'"):
        load_folder(root, "tests", fractions=HALVES)


def test_folders_of_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    root = fill(tmp_path, "train/awe", "test/fear")
    assert load_folder(root, "train").labels().tolist() == [1] * 4
    assert load_folder(root, "test").split == "test"
    for split in ("val", "all"):
        with pytest.raises(UsageError, match=r"folders of splits.*Valid: train, test"):
            load_folder(root, split)
    assert not list(root.glob("*.json"))


def test_too_few_pictures_for_the_splits(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too few"):
        load_folder(fill(tmp_path, "awe", count=2), "val")
    assert not list(tmp_path.glob("*.json"))
