"""OASIS: its table with bare CR line ends, ratings instead of emotions, a PNG called .jpg."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emosym.data.images import load_image
from emosym.data.sources.oasis import load_oasis
from emosym.errors import UsageError
from emosym.types import AROUSAL, VALENCE, only_picture

HEADER = '"","Theme","Category","Source","Valence_mean","Valence_SD","Valence_N","Arousal_mean"'
ROWS = (
    '"I1","Acorns 1 ","Object","Pixabay",4.68,1.12,103,2.34',
    '"I2","Fire 9","Scene","Flickr",1.47,0.74,101,5.1485',
)


def official(root: Path, rows: tuple[str, ...] = ROWS) -> Path:
    (root / "images").mkdir(parents=True)
    (root / "OASIS.csv").write_bytes("\r".join([HEADER, *rows]).encode())
    Image.new("RGB", (5, 4), "brown").save(root / "images" / "Acorns 1.jpg")
    Image.new("RGB", (5, 4), "red").save(root / "images" / "Fire 9.jpg", "PNG")
    return root


def many(root: Path, count: int = 50) -> Path:
    rows = "".join(f"{i}.jpg,Thing,{1 + 6 * i / count},{4}\n" for i in range(count))
    root.mkdir()
    (root / "ratings.csv").write_text("file,category,valence_mean_1to7,arousal_mean_1to7\n" + rows)
    return root


def test_the_official_table(tmp_path: Path) -> None:
    dataset = load_oasis(official(tmp_path))
    acorns, fire = dataset
    assert dataset.ids() == ("images/Acorns 1.jpg", "images/Fire 9.jpg")
    assert (acorns.number_of(VALENCE), acorns.number_of(AROUSAL)) == (4.68, 2.34)
    assert (fire.number_of(VALENCE), fire.number_of(AROUSAL)) == (1.47, 5.1485)
    assert acorns.targets.keys() == {VALENCE, AROUSAL} and dataset.labels().tolist() == [-1, -1]
    assert acorns.attributes == {
        **{"theme": "Acorns 1", "category": "Object", "source": "Pixabay"},
        **{"valence_sd": 1.12, "valence_n": 103.0},
    }
    assert load_image(only_picture(fire)).getpixel((0, 0)) == (255, 0, 0)  # a PNG called .jpg
    part = dataset.subset([1])
    assert part[0].number_of(VALENCE) == 1.47 and part[0].attributes["theme"] == "Fire 9"


def test_the_simple_table_and_drawn_splits(tmp_path: Path) -> None:
    root = many(tmp_path / "r")
    whole = load_oasis(root)
    splits = {name: load_oasis(root, name) for name in ("train", "val", "test")}
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 40,
        "val": 5,
        "test": 5,
    }
    assert sorted(name for split in splits.values() for name in split.ids()) == sorted(whole.ids())
    assert splits["test"].affect is not None and splits["test"].split == "test"
    # one of every fifth of the valence range, so that a small test split spans it
    fifths = np.floor((splits["test"].affect[:, 0] - 1) / 6 * 5).astype(int)
    assert sorted(fifths.tolist()) == [0, 1, 2, 3, 4]
    stored = json.loads((root / "splits.json").read_text())
    assert stored["seed"] == 0 and stored["splits"]["val"] == list(splits["val"].ids())
    with (root / "ratings.csv").open("a") as table:
        table.write("later.jpg,Thing,4,4\n")
    assert load_oasis(root, "test").ids() == splits["test"].ids()
    assert len(load_oasis(root)) == 51


def test_a_split_that_names_a_lost_picture(tmp_path: Path) -> None:
    root = many(tmp_path / "r")
    load_oasis(root, "train")
    text = (root / "ratings.csv").read_text().splitlines()
    (root / "ratings.csv").write_text("\n".join(text[:-1]))
    refused = []
    for split in ("train", "val", "test"):
        try:
            load_oasis(root, split)
        except UsageError as error:
            refused.append(str(error))
    assert len(refused) == 1 and "'49.jpg'" in refused[0] and "delete that file" in refused[0]
    with pytest.raises(UsageError, match="Did you mean 'train'"):
        load_oasis(root, "trian")


def test_bad_ratings_stop_or_are_noted(tmp_path: Path) -> None:
    root = official(tmp_path / "a", (*ROWS, '"I3","Dog 1","Animal","x",7.3,1,1,2', '"I4","Cat 1"'))
    with pytest.raises(UsageError, match=r"row 2: valence must be a number of 1\.\.7, got '7\.3'"):
        load_oasis(root)
    notes: list = []
    assert len(load_oasis(root, notes=notes)) == 2
    assert [(note.kind, note.where) for note in notes] == [
        ("bad_row", "OASIS.csv, row 2"),
        ("bad_row", "OASIS.csv, row 3"),
    ]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        load_oasis(tmp_path / "none")
    with pytest.raises(UsageError, match=r"neither OASIS\.csv nor ratings\.csv"):
        load_oasis(tmp_path)
    (tmp_path / "ratings.csv").write_text("file,valence_means,arousal\na.jpg,1,2\n")
    with pytest.raises(UsageError, match="Did you mean 'valence_means'"):
        load_oasis(tmp_path)
    (tmp_path / "ratings.csv").write_text("picture,valence,arousal\na.jpg,1,2\n")
    with pytest.raises(UsageError, match="called file or Theme; it has picture, valence, arousal"):
        load_oasis(tmp_path)
