"""Flickr-LDL and Twitter-LDL: votes in tables of several shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emosym.data.dataset import voted_on
from emosym.data.sources.ldl import load_ldl
from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.types import IMAGE_EMOTION

# The order and case of ground_truth.txt in both data sets.
HEADER = "images-name Amusement Awe Contentment Excitement Anger Disgust Fear Sadness"


def write(root: Path, name: str, *rows: str, header: str = HEADER, mark: str = " ") -> Path:
    root.mkdir(exist_ok=True)
    text = "\n".join([header, *rows]).replace(" ", mark)
    (root / name).write_text(text + "\n")
    return root


def test_votes_labels_and_pictures(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        "ground_truth.txt",
        "1.jpg 0 1 2 0 0 0 5 0",
        "2.jpg 4 0 4 0 0 0 0 0",
        "3.jpg 0 0 0 0 0 0 0 0",
    )
    (root / "images").mkdir()
    Image.new("RGB", (4, 4)).save(root / "images/1.jpg")
    dataset = load_ldl(root)
    fear, _, none = dataset
    assert dataset.ids() == ("1", "2", "3") and fear.images == (root / "images/1.jpg",)
    labels = [sample.label_of(IMAGE_EMOTION) for sample in dataset]
    assert labels == ["fear", "amusement", None] and fear.label_of("another task") is None
    assert fear.votes_of(IMAGE_EMOTION) == {"awe": 1, "contentment": 2, "fear": 5}
    assert none.votes_of(IMAGE_EMOTION) is None
    assert dataset.labels().tolist() == [6, 0, -1]
    assert MIKELS8.weights(fear.votes_of(IMAGE_EMOTION)) == (0, 1 / 8, 2 / 8, 0, 0, 0, 5 / 8, 0)
    assert dataset.subset([2, 0])[1].votes_of(IMAGE_EMOTION) == fear.votes_of(IMAGE_EMOTION)


def test_rows_whose_votes_sum_to_zero_are_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = ("1.jpg 0 1 2 0 0 0 5 0", "2.jpg 0 0 0 0 0 0 0 0", "3.jpg 0 4 0 0 0 0 0 0")
    dataset = load_ldl(write(tmp_path / "some", "ground_truth.txt", *rows))
    assert voted_on(dataset).ids() == ("1", "3")
    assert "Left out 1 of 3 samples of 'all': their votes sum to 0." in caplog.text
    whole = dataset.subset([0, 2])
    assert voted_on(whole) is whole
    nobody = dataset.subset([1])
    assert voted_on(nobody) is nobody  # there is nothing left to read: what asks for labels says so


@pytest.mark.parametrize("mark", [",", "\t"])
def test_any_order_of_columns_and_other_columns(tmp_path: Path, mark: str) -> None:
    header = "n sadness image fear disgust [anger] excitement prob.contentment awe amusement"
    root = write(tmp_path, "config.csv", "9 1 a 2 0 0 0 0 0 0", header=header, mark=mark)
    assert load_ldl(root)[0].votes_of(IMAGE_EMOTION) == {"fear": 2, "sadness": 1}
    assert load_ldl(root).images == ("a.jpg",)


def test_tables_of_splits(tmp_path: Path) -> None:
    write(tmp_path, "train_ground_truth.txt", "1.jpg 1 0 0 0 0 0 0 0", "2.jpg 0 1 0 0 0 0 0 0")
    write(tmp_path, "test_ground_truth.txt", "3.jpg 0 0 1 0 0 0 0 0")
    (tmp_path / "readme.txt").write_text("nothing of use")
    assert load_ldl(tmp_path, "train").ids() == ("1", "2")
    assert load_ldl(tmp_path, "test")[0].label_of(IMAGE_EMOTION) == "contentment"
    for split in ("val", "all"):
        with pytest.raises(UsageError, match=r"tables of splits.*Valid: test, train"):
            load_ldl(tmp_path, split)


def test_splits_are_drawn_from_one_table(tmp_path: Path) -> None:
    rows = [f"{i}.jpg " + " ".join("8" if j == i % 8 else "0" for j in range(8)) for i in range(80)]
    write(tmp_path, "ground_truth.txt", *rows)
    parts = [load_ldl(tmp_path, name) for name in ("train", "val", "test")]
    assert [np.bincount(part.labels(), minlength=8).tolist() for part in parts] == [
        [8] * 8,
        [1] * 8,
        [1] * 8,
    ]
    assert len({name for part in parts for name in part.ids()}) == 80
    assert parts[1].votes is not None and parts[1].votes.sum() == 64
    with pytest.raises(UsageError, match="several tables of votes"):
        load_ldl(write(tmp_path, "again.txt", *rows[:2]))


def test_what_cannot_be_read(tmp_path: Path) -> None:
    bad = write(tmp_path / "a", "t.txt", "1.jpg 1 0 0 0 0 0 0 -2", "2.jpg 1 0 0 0 0 0 0 0")
    with pytest.raises(UsageError, match=r"t\.txt, row 0: votes must be numbers.*'-2'"):
        load_ldl(bad)
    notes: list = []
    assert load_ldl(bad, notes=notes).ids() == ("2",)
    assert [note.where for note in notes] == ["t.txt, row 0"]
    with pytest.raises(UsageError, match="no such folder"):
        load_ldl(tmp_path / "none")
    other = write(tmp_path / "b", "t.txt", "1 2", header="image joy")
    with pytest.raises(UsageError, match=r"no table of votes; it needs.*image amusement awe"):
        load_ldl(other)
    (other / "flickrldl_config.mat").write_bytes(b"MATLAB 7.3")
    with pytest.raises(UsageError, match=r"\.mat file only.*ground_truth\.txt"):
        load_ldl(other)
