"""What a folder is, seen from what lies in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from emosym.data.sources.detect import detect_source, splits_to_check
from emosym.data.sources.folder import load_folder
from emosym.data.sources.hub import NO_OPTIONS
from emosym.emotions import MIKELS8
from emosym.errors import UsageError


def splits(source: str, root: Path) -> list[str]:
    return splits_to_check(source, root, MIKELS8, NO_OPTIONS)[0]


def test_sources_are_told_apart(tmp_path: Path) -> None:
    assert detect_source(tmp_path) == "folder"
    (tmp_path / "train.json").write_text("[]")
    assert detect_source(tmp_path) == "emoset"
    (tmp_path / "ground_truth.txt").write_text("image " + " ".join(MIKELS8.labels))
    assert detect_source(tmp_path) == "ldl"
    (tmp_path / "ratings.csv").write_text("file,valence,arousal")
    assert detect_source(tmp_path) == "oasis"
    (tmp_path / "dataset_dict.json").write_text("{}")
    assert detect_source(tmp_path) == "hub"
    with pytest.raises(UsageError, match="add --source hub"):
        detect_source(tmp_path / "none")


def test_parquet_is_a_data_set_only_without_pictures_beside_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train.parquet").write_bytes(b"")
    assert detect_source(tmp_path) == detect_source(tmp_path / "data/train.parquet") == "hub"
    Image.new("RGB", (4, 4)).save(tmp_path / "x.png")
    assert detect_source(tmp_path) == "folder"


def test_a_folder_with_drawn_splits_stays_a_folder(tmp_path: Path) -> None:
    (tmp_path / "awe").mkdir()
    for index in range(10):
        Image.new("RGB", (4, 4)).save(tmp_path / f"awe/{index}.png")
    assert splits("folder", tmp_path) == splits("fi", tmp_path) == ["all"]
    load_folder(tmp_path, "train")
    assert detect_source(tmp_path) == "folder"
    assert splits("folder", tmp_path) == ["train", "val", "test"]
    assert not (tmp_path / "splits.json").exists()


def test_splits_of_each_source(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no split files"):
        splits("emoset", tmp_path)
    for name in ("test", "extra", "train"):
        (tmp_path / f"{name}.json").write_text("[]")
    (tmp_path / "info.json").write_text("{}")
    assert splits("storybook", tmp_path) == ["train", "test", "extra"]
    assert splits("oasis", tmp_path) == ["all"]
    (tmp_path / "splits.json").write_text(json.dumps({"splits": {"test": [], "train": []}}))
    assert splits("oasis", tmp_path) == splits("ldl", tmp_path) == ["train", "test"]
    (tmp_path / "splits.json").write_text("{}")
    found, told = splits_to_check("oasis", tmp_path, MIKELS8, NO_OPTIONS)
    assert found == ["all"] and "holds no splits" in told[0]
    for name in ("val", "train"):
        (tmp_path / f"{name}.csv").write_text("image," + ",".join(MIKELS8.labels))
    assert splits("ldl", tmp_path) == ["train", "val"]
