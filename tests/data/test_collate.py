from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emosym.data.collate import images_array
from emosym.data.sources.emoset import Dataset, load_emoset
from emosym.errors import UsageError
from emosym.types import Sample, picture_sample


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    rows = []
    for index in range(9):
        Image.new("RGB", (12, 8), (index, 0, 9)).save(tmp_path / f"{index}.png")
        # The annotations do not exist: nothing here may read them.
        rows.append(["awe", str(index), f"{index}.png", f"absent/{index}.json"])
    (tmp_path / "train.json").write_text(json.dumps(rows))
    return load_emoset(tmp_path, "train")


@pytest.mark.parametrize("workers", [1, 3])
def test_order_shape_and_values(dataset: Dataset, workers: int) -> None:
    pixels = images_array(dataset, 4, workers)
    assert pixels.shape == (9, 4, 4, 3) and pixels.dtype == np.uint8
    assert pixels[:, 1, 2].tolist() == [[index, 0, 9] for index in range(9)]
    assert images_array([], 4).shape == (0, 4, 4, 3)


def test_the_cache_is_used_until_something_changes(dataset: Dataset, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = images_array(dataset, 4, cache=cache)
    (stored,) = cache.iterdir()
    # A mark in the stored file shows whether it is what comes back.
    np.save(stored, first + 1)
    assert np.array_equal(images_array(dataset, 4, cache=cache), first + 1)
    assert images_array(dataset, 5, cache=cache).shape == (9, 5, 5, 3)
    assert np.array_equal(images_array(dataset[:8], 4, cache=cache), first[:8])
    os.utime(dataset.picture(2), ns=(1, 1))
    assert np.array_equal(images_array(dataset, 4, cache=cache), first)
    Image.new("RGB", (12, 8), (200, 0, 9)).save(dataset.picture(2))
    assert images_array(dataset, 4, cache=cache)[2, 0, 0].tolist() == [200, 0, 9]
    assert len(list(cache.iterdir())) == 5


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY junk"])
def test_a_damaged_cache_is_made_again(dataset: Dataset, tmp_path: Path, damage: bytes) -> None:
    first = images_array(dataset, 4, cache=tmp_path / "cache")
    (stored,) = (tmp_path / "cache").iterdir()
    stored.write_bytes(damage)
    assert np.array_equal(images_array(dataset, 4, cache=tmp_path / "cache"), first)
    assert np.array_equal(np.load(stored), first)


def test_bytes_and_pictures_are_known_by_content(tmp_path: Path) -> None:
    def sample(value: int) -> Sample:
        return picture_sample("one", Image.new("RGB", (4, 4), (value, 0, 0)))

    for value in (10, 20, 10):
        assert images_array([sample(value)], 2, cache=tmp_path)[0, 0, 0, 0] == value
    assert len(list(tmp_path.iterdir())) == 2


def test_a_bad_picture_names_its_sample(dataset: Dataset) -> None:
    dataset.picture(3).write_bytes(b"")
    with pytest.raises(UsageError, match=r"Sample '3': .*3\.png.* is empty"):
        images_array(dataset, 4)
    with pytest.raises(UsageError, match="Sample 'bare' has no picture"):
        images_array([Sample("bare")], 4)
    dataset.picture(3).unlink()
    with pytest.raises(UsageError, match=r"3\.png"):
        images_array(dataset, 4, cache=dataset.root / "cache")
