"""Data sets in Hugging Face's format, from disk only: the real library, its cache in tmp_path."""

from __future__ import annotations

import io
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from emosym.data.collate import images_array
from emosym.data.images import decode_batches, load_image
from emosym.data.sources.hub import HubOptions, hub_splits, load_hub
from emosym.data.sources.open import open_dataset
from emosym.emotions import MIKELS8
from emosym.errors import EmoSymError, UsageError
from emosym.types import IMAGE_EMOTION, StoredImage

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("something went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def encoded(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (6, 4), (shade, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def table(labels: list[Any], kind: Any = None, **more: Any) -> Any:
    """Return a data set of PNGs in shades 0, 10, 20, ... with a column `emotion`."""
    names = [label.title() for label in reversed(MIKELS8.labels)]  # another order and case
    features = {
        "picture": datasets.Image(),
        "emotion": kind or datasets.ClassLabel(names=names),
        **{name: feature for name, (feature, _) in more.items()},
    }
    columns = {
        "picture": [{"bytes": encoded(10 * i), "path": None} for i in range(len(labels))],
        "emotion": labels,
        **{name: values for name, (_, values) in more.items()},
    }
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def test_a_folder_of_parquet_with_class_labels(tmp_path: Path) -> None:
    root = tmp_path / "set"
    ids = (datasets.Value("string"), ["a", "b", "c"])
    table(["Awe", "Fear", -1], image_id=ids).to_parquet(root / "train-00000-of-00001.parquet")
    table(["Sadness"]).to_parquet(root / "validation-00000-of-00001.parquet")
    train = open_dataset("hub", root, "train")
    assert train.ids() == ("a", "b", "c") and train.labels().tolist() == [1, 6, -1]
    assert [sample.label_of(IMAGE_EMOTION) for sample in train] == ["awe", "fear", None]
    picture = train.picture(1)
    assert isinstance(picture, StoredImage) and str(picture) == f"{root}, train, row 1"
    assert load_image(picture).getpixel((0, 0)) == (10, 0, 0)
    assert train.subset([2]).picture(0).read() == encoded(20)  # type: ignore[union-attr]
    assert load_hub(root, "val")[0].label_of(IMAGE_EMOTION) == "sadness"
    cut = load_hub(root, "train[1:]")
    assert len(cut) == 2 and cut[0].label_of(IMAGE_EMOTION) == "fear"
    assert hub_splits(root) == ["train", "validation"]
    with pytest.raises(UsageError, match="Did you mean 'train'"):
        load_hub(root, "trian")


def test_a_folder_of_pictures_keeps_them_in_their_files(tmp_path: Path) -> None:
    for name in ("awe/a.png", "fear/b.png"):
        path = tmp_path / "set/train" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(encoded(30))
    dataset = load_hub(tmp_path / "set", "train")
    assert dataset.labels().tolist() == [1, 6]
    assert load_image(dataset.picture(0)).getpixel((0, 0)) == (30, 0, 0)
    (tmp_path / "set/train/fear/b.png").unlink()
    with pytest.raises(UsageError, match=r"b\.png' cannot be read.*no such file"):
        load_image(dataset.picture(1))


def test_stored_pictures_go_where_files_go(tmp_path: Path) -> None:
    table(["Awe", "Fear"]).to_parquet(tmp_path / "one.parquet")
    dataset = load_hub(tmp_path / "one.parquet", "train")
    pixels = images_array(dataset, 4, cache=tmp_path / "kept")
    assert pixels[:, 0, 0, 0].tolist() == [0, 10]
    assert np.array_equal(images_array(dataset, 4, cache=tmp_path / "kept"), pixels)
    assert len(list((tmp_path / "kept").iterdir())) == 1
    ((first, _), (second, _)) = next(
        decode_batches([dataset.picture(i) for i in range(2)], 2)  # names, not bytes
    )
    assert first.endswith("row 0") and second.endswith("row 1")


def test_what_save_to_disk_wrote(tmp_path: Path) -> None:
    words = table(["awe", None, "Fear"], datasets.Value("string"))
    words.save_to_disk(tmp_path / "one")
    assert load_hub(tmp_path / "one", "all").labels().tolist() == [1, -1, 6]
    both = datasets.DatasetDict({"train": words, "test": words.select([0])})
    both.save_to_disk(tmp_path / "two")
    assert hub_splits(tmp_path / "two") == ["train", "test"]
    assert len(load_hub(tmp_path / "two", "test")) == 1
    with pytest.raises(UsageError, match="Valid: train, test"):
        load_hub(tmp_path / "two", "val")


def test_columns_named_and_not_to_be_told_apart(tmp_path: Path) -> None:
    classes = datasets.ClassLabel(names=list(MIKELS8.labels))
    thumb = [{"bytes": encoded(9), "path": None}]
    path = tmp_path / "x.parquet"
    table([7], second=(classes, [1]), thumb=(datasets.Image(), thumb)).to_parquet(path)
    with pytest.raises(UsageError, match=r"several.*picture, thumb.*--image-column"):
        load_hub(path, "train")
    with pytest.raises(UsageError, match=r"several.*emotion, second.*data\.label_column"):
        load_hub(path, "train", options=HubOptions(image_column="thumb"))
    chosen = load_hub(path, "train", options=HubOptions("thumb", "second"))
    assert chosen[0].label_of(IMAGE_EMOTION) == "awe" and chosen.picture(0).read() == encoded(9)  # type: ignore[union-attr]
    with pytest.raises(UsageError, match=r"column.*'secnd'.*Did you mean 'second'"):
        load_hub(path, "train", options=HubOptions("thumb", "secnd"))


def test_no_labels_and_unknown_ones(tmp_path: Path) -> None:
    numbers = table([1, 2], datasets.Value("int64"))
    numbers.to_parquet(tmp_path / "bare.parquet")
    assert load_hub(tmp_path / "bare.parquet", "train").labels().tolist() == [-1, -1]
    numbers.remove_columns("picture").to_parquet(tmp_path / "no-pictures.parquet")
    with pytest.raises(UsageError, match=r"no column of pictures.*Columns: emotion"):
        load_hub(tmp_path / "no-pictures.parquet", "train")
    joyful = datasets.ClassLabel(names=["awe", "feer"])
    table([0, 1, 1], joyful).to_parquet(tmp_path / "odd.parquet")
    with pytest.raises(UsageError, match=r"row 1\) 'feer'\. Did you mean 'fear'"):
        load_hub(tmp_path / "odd.parquet", "train")
    notes: list = []
    assert load_hub(tmp_path / "odd.parquet", "train", notes=notes).labels().tolist() == [1, -1, -1]
    assert [note.got for note in notes] == ["feer", "feer"]


def test_nothing_is_fetched_unasked(tmp_path: Path) -> None:
    before = datasets.config.HF_HUB_OFFLINE
    with pytest.raises(EmoSymError, match=r"nothing is fetched unasked.*--download") as caught:
        load_hub("nobody/nothing", "train")
    assert not isinstance(caught.value, UsageError)
    assert before == datasets.config.HF_HUB_OFFLINE
    with pytest.raises(UsageError, match="looks like user/name"):
        load_hub(tmp_path / "none", "train")
    (tmp_path / "x.csv").write_text("a,b\n")
    with pytest.raises(UsageError, match=r"no \.parquet"):
        load_hub(tmp_path / "x.csv", "train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="cannot be read as a data set"):
        load_hub(tmp_path / "empty", "train")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UsageError, match="cannot be read as a data set"):
        load_hub(tmp_path / "broken.parquet", "train")
