from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emosym.data.sources.emoset import Dataset, attribute_values, load_emoset
from emosym.data.sources.open import open_dataset
from emosym.errors import UsageError
from emosym.types import IMAGE_EMOTION


def write(root: Path, rows: Any, annotations: dict[str, Any] | None = None) -> Path:
    root.mkdir(exist_ok=True)
    (root / "train.json").write_text(json.dumps(rows))
    for name, value in (annotations or {}).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    return root


def test_rows_of_three_and_four_elements(tmp_path: Path) -> None:
    rows = [
        ["awe", "image/awe/awe_1.jpg", "annotation/awe_1.json"],
        ["Fear", "x-7", "image/fear/1.jpg", "annotation/fear_1.json"],
        [None, 12, "image/other/2.jpg", None],
    ]
    notes = {
        "annotation/awe_1.json": {
            "image_id": "awe_1",
            "emotion": "awe",
            "brightness": 0.4,
            "scene": "lake",
            "object": ["Boat", "Tree"],
            "human_action": None,
            "light": "dusk",
            "caption": "a lake",
            "rationale": "still water",
            "qwen_aug": "unused",
            "votes": {"awe": 3, "fear": 1},
        },
        "annotation/fear_1.json": {
            "scene_aug": "a dark wood",
            "qwen_aug": " long shadows ",
            "votes": [0, 0, 0, 0, 0, 0, 1, 0.5],
        },
    }
    three = load_emoset(write(tmp_path / "three", rows[:1], notes), "train")
    assert three.ids() == ("awe_1",)
    dataset = load_emoset(
        write(tmp_path / "four", [["awe", "a", *rows[0][1:]], *rows[1:]], notes), "train"
    )
    assert isinstance(dataset, Sequence) and len(dataset) == 3
    assert dataset.ids() == ("a", "x-7", "12")
    assert dataset.labels().tolist() == [1, 6, -1] and dataset.labels().dtype == np.int64
    awe, fear, other = dataset
    assert awe.images == (tmp_path / "four/image/awe/awe_1.jpg",)
    assert awe.attributes == {
        "brightness": 0.4,
        "scene": "lake",
        "object": ["Boat", "Tree"],
        "light": "dusk",
    }
    assert (awe.caption, awe.rationale) == ("a lake", "still water")
    assert awe.label_of(IMAGE_EMOTION) == "awe"
    assert awe.votes_of(IMAGE_EMOTION) == {"awe": 3.0, "fear": 1.0}
    assert (fear.label_of(IMAGE_EMOTION), fear.rationale) == ("fear", "a dark wood long shadows")
    shares = fear.votes_of(IMAGE_EMOTION)
    assert shares is not None and shares["sadness"] == 0.5 and len(shares) == 8
    assert (other.targets, other.caption, other.attributes) == ({}, None, {})


def test_no_annotation_is_read_before_its_sample(tmp_path: Path) -> None:
    rows = [[label, f"i/{n}.jpg", f"absent/{n}.json"] for n, label in enumerate(["awe", "anger"])]
    dataset = load_emoset(write(tmp_path, rows), "train")
    assert dataset.labels().tolist() == [1, 4] and dataset.ids() == ("0", "1")
    assert dataset.picture(1) == tmp_path / "i/1.jpg"
    with pytest.raises(UsageError, match=r"1\.json does not exist"):
        dataset[1]


def test_subset_slice_and_negative_index(tmp_path: Path) -> None:
    rows = [["awe", str(n), f"{n}.jpg", None] for n in range(5)]
    dataset = load_emoset(write(tmp_path, rows), "train")
    assert dataset.subset(np.array([4, 0, 0])).ids() == ("4", "0", "0")
    part = dataset[1:4:2]
    assert isinstance(part, Dataset) and part.ids() == ("1", "3")
    assert dataset[-1].id == "4" and len(dataset.subset([])) == 0
    with pytest.raises(IndexError):
        dataset[5]
    with pytest.raises(FrozenInstanceError):
        dataset.split = "test"  # type: ignore[misc]
    dataset.labels()[0] = 7
    assert dataset.labels()[0] == 1


def test_pictures_of_one_name_get_their_path_as_id(tmp_path: Path) -> None:
    rows = [["awe", "awe/1.jpg", None], ["fear", "fear/1.jpg", None]]
    assert load_emoset(write(tmp_path, rows), "train").ids() == ("awe/1", "fear/1")


def test_paths_stay_inside_the_root(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    rows = [
        ["awe", "1", "../secret.json", None],
        ["awe", "2", "a.jpg", "../secret.json"],
        ["awe", "3", str(tmp_path / "secret.json"), None],
    ]
    dataset = load_emoset(write(tmp_path / "root", rows), "train")
    for index in range(3):
        with pytest.raises(UsageError, match="leaves its folder"):
            dataset[index]
    with pytest.raises(UsageError, match="leaves its folder"):
        load_emoset(tmp_path / "root", "../secret")


def test_missing_split_lists_those_there_are(tmp_path: Path) -> None:
    write(tmp_path, [["awe", "a.jpg", None]])
    (tmp_path / "test.json").write_text("[]")
    (tmp_path / "info.json").write_text("{}")
    with pytest.raises(UsageError, match=r"no split 'val'; splits there: test, train\.$"):
        load_emoset(tmp_path, "val")
    with pytest.raises(UsageError, match="no such folder"):
        load_emoset(tmp_path / "absent", "train")
    with pytest.raises(UsageError, match="at least one row"):
        load_emoset(tmp_path, "test")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (["amusment", "a.jpg", None], r"train\.json, row 1.*'amusment'.*mean 'amusement'"),
        (["awe", "a.jpg"], r"train\.json, row 1: expected"),
        (["awe", "a", "b", "c", "d"], "row 1: expected"),
        ({"emotion": "awe"}, "row 1: expected"),
        (["awe", None, "a.jpg", None], "row 1: expected"),
        (["awe", "", None], "row 1: expected"),
        ([3, "a.jpg", None], "row 1: expected"),
    ],
)
def test_bad_rows_name_file_and_row(tmp_path: Path, row: Any, says: str) -> None:
    write(tmp_path, [["awe", "1.jpg", None], row])
    with pytest.raises(UsageError, match=says):
        load_emoset(tmp_path, "train")


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        ([], "must hold a JSON object"),
        ({"caption": 3}, "'caption' must be text"),
        ({"votes": {"awe": -1}}, "weights of 0 or more"),
        ({"votes": [1, 2]}, "weights of 0 or more"),
        ({"votes": {"aw": 1}}, "Did you mean 'awe'"),
    ],
)
def test_bad_annotations_are_named(tmp_path: Path, annotation: Any, says: str) -> None:
    dataset = load_emoset(
        write(tmp_path, [["awe", "1.jpg", "a.json"]], {"a.json": annotation}), "train"
    )
    with pytest.raises(UsageError, match=says) as caught:
        dataset[0]
    assert "a.json" in str(caught.value)


def test_votes_that_sum_to_zero_leave_the_label(tmp_path: Path) -> None:
    annotations = {"a.json": {"votes": {"awe": 0, "fear": 0}}, "b.json": {"votes": {"fear": 2}}}
    rows = [["awe", "1.jpg", "a.json"], ["awe", "2.jpg", "b.json"]]
    dataset = load_emoset(write(tmp_path, rows, annotations), "train")
    assert (
        dataset[0].label_of(IMAGE_EMOTION) == "awe" and dataset[0].votes_of(IMAGE_EMOTION) is None
    )
    assert dataset[1].votes_of(IMAGE_EMOTION) == {"fear": 2.0}


def test_attribute_values_follow_their_indices(tmp_path: Path) -> None:
    info = {"brightness": {"idx2label": {"1": 0.1, "0": 0.0}}, "note": 3}
    (tmp_path / "info.json").write_text(json.dumps(info))
    assert attribute_values(tmp_path) == {"brightness": (0.0, 0.1)}
    (tmp_path / "info.json").write_text(json.dumps({"scene": {"idx2label": {"1": "a"}}}))
    with pytest.raises(UsageError, match=r"'scene' must be 0\.\.0"):
        attribute_values(tmp_path)
    (tmp_path / "info.json").write_text("[]")
    with pytest.raises(UsageError, match="describes no field"):
        attribute_values(tmp_path)


def test_open_dataset_by_name_and_fraction(tmp_path: Path) -> None:
    rows = [[label, f"{n}", f"{n}.jpg", None] for n, label in enumerate(["awe", "fear"] * 10)]
    write(tmp_path, rows)
    for source in ("emoset", "storybook", "folder"):
        assert len(open_dataset(source, tmp_path, "train")) == 20
    half = open_dataset("emoset", tmp_path, "train", fraction=0.5, seed=1)
    assert np.bincount(half.labels()).tolist() == [0, 5, 0, 0, 0, 0, 5]
    first, second = (
        open_dataset("emoset", tmp_path, "train", seed=1, part=part).ids()
        for part in ((0.0, 0.5), (0.5, 1.0))
    )
    assert len(first) == len(second) == 10 and not set(first) & set(second)
    fifth = open_dataset("emoset", tmp_path, "train", fraction=0.4, seed=1, part=(0.0, 0.5))
    assert set(fifth.ids()) < set(first) and len(fifth) == 4
    with pytest.raises(UsageError, match="Did you mean 'emoset'"):
        open_dataset("emo-set", tmp_path, "train")


def test_a_missing_storybook_is_told_how_to_draw(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="emosym data storybook"):
        open_dataset("storybook", tmp_path / "none", "train")
    with pytest.raises(UsageError, match="no such folder"):
        open_dataset("emoset", tmp_path / "none", "train")
