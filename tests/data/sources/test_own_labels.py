"""Folders, or a list of labels, make a label space of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from emosym.data.sources.folder import load_folder
from emosym.data.sources.own_labels import space_of_data, space_of_folders
from emosym.emotions import MIKELS8, label_space
from emosym.errors import UsageError
from emosym.types import IMAGE_EMOTION


def folders(root: Path, *names: str, count: int = 1) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(root / name / f"{number}.png")
    return root


def test_names_that_no_published_space_has_are_a_space_of_their_own(tmp_path: Path) -> None:
    root = folders(tmp_path / "mine", "joy", "Calm", "fear", "sad")
    space = space_of_folders(root)
    assert space is not None
    assert space.labels == ("calm", "fear", "joy", "sad") and space.name == "calm-fear-joy-sad"
    assert space.polarity("joy") == "positive" and space.polarity("calm") is None
    data = load_folder(root, "all", space)
    assert [data[i].label_of(IMAGE_EMOTION) for i in range(4)] == ["calm", "fear", "joy", "sad"]


def test_names_of_a_published_space_are_that_space_and_misspelt_ones_are_refused(
    tmp_path: Path,
) -> None:
    some = folders(tmp_path / "some", "awe", "Fear ")
    assert space_of_folders(some) is MIKELS8
    assert space_of_folders(folders(tmp_path / "split" / "train", "joy", "anger").parent) is (
        label_space("meld7")
    )
    typo = folders(tmp_path / "typo", "awe", "fear", "sadnes")
    with pytest.raises(UsageError, match=r"'sadnes' is not.*data\.labels=\[awe, fear, sadnes\]"):
        space_of_folders(typo)
    assert space_of_folders(folders(tmp_path / "one", "holiday")) is None


def test_labels_that_are_told_count_and_what_is_known_of_them_is_kept(tmp_path: Path) -> None:
    root = folders(tmp_path / "mine", "joy", "calm")
    told = space_of_data("folder", root, ["calm", "joy", "other"])
    assert told is not None and told.labels == ("calm", "joy", "other")
    rated = space_of_data("folder", root, None, {"calm": "positive"})
    assert rated is not None and rated.polarity("calm") == "positive"
    assert space_of_data("storybook", root) is None
    with pytest.raises(UsageError, match=r"give data\.labels"):
        space_of_data("emoset", root, None, {"calm": "positive"})
