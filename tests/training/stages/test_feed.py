"""Feeds: targets, prefixes kept and computed now, readings in batches."""

from __future__ import annotations

import errno
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.training.makers import count_calls, recipe_of, tiny_feed

from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.models.checkpoint import load_checkpoint
from emosym.models.emosym_model import EmoSymModel
from emosym.training.stages.feed import (
    Feed,
    cache_folder,
    label_targets,
    loose_feed,
    open_feed,
    open_feeds,
)
from emosym.training.stages.prefix_store import store_prefixes
from emosym.training.stages.read_all import read_all
from emosym.types import Sample, Turn, picture_sample


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> EmoSymModel:
    return load_checkpoint(tiny_checkpoint)


@pytest.fixture(scope="module")
def feed(model: EmoSymModel, tiny_pictures) -> Feed:
    return tiny_feed(model.reader, tiny_pictures.pictures[:10], tiny_pictures.labels[:10])


def test_targets_are_votes_where_there_are_any() -> None:
    samples = [
        picture_sample("a", label="awe"),
        picture_sample("b", label="fear", votes={"fear": 3, "awe": 1}),
    ]
    assert label_targets(samples, "mikels8").tolist() == [
        [0, 1, 0, 0, 0, 0, 0, 0],
        [0, 0.25, 0, 0, 0, 0, 0.75, 0],
    ]


@torch.no_grad()
def test_stored_prefixes_equal_prefixes_computed_now(feed: Feed) -> None:
    store = store_prefixes(feed, batch_size=4)
    assert store is not None
    for rows in ([7, 0, 3], [2, 2], [9]):
        indices = np.array(rows)
        kept, now = store.prefix(indices), feed.prefix(indices)
        assert len(kept.keys) == len(now.keys) == 1
        for one, other in zip(kept.keys + kept.values, now.keys + now.values, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
        assert torch.equal(kept.mask, now.mask)
        assert torch.equal(kept.next_position, now.next_position)


def test_a_store_that_would_not_fit_is_not_made(feed: Feed) -> None:
    probe = feed.prefix(np.arange(1))
    each = sum(t.numel() * 4 for t in (*probe.keys, *probe.values))
    assert store_prefixes(feed, limit_bytes=each * 10 - 1) is None
    assert store_prefixes(feed, limit_bytes=each * 10) is not None


def test_readings_do_not_depend_on_the_batch_or_the_store(feed: Feed) -> None:
    whole = read_all(feed)
    assert whole.logits.shape == (10, 8) and whole.context.shape == (10, 2, 96)
    for other in (read_all(feed, 3), read_all(feed, 4, store_prefixes(feed))):
        for name in ("logits", "emotion", "context"):
            torch.testing.assert_close(
                getattr(other, name), getattr(whole, name), atol=2e-5, rtol=1e-4
            )
    assert float(whole.logits.std(0).mean()) > 1e-3  # pictures are told apart


def test_readings_use_no_dropout_and_leave_the_mode(feed: Feed) -> None:
    reasoner = feed.reader.reasoner
    wanted = read_all(feed).logits
    for mode in (True, False):
        reasoner.train(mode)
        assert torch.equal(read_all(feed).logits, wanted)
        assert reasoner.training is mode


def test_bf16_readings_are_near_and_returned_as_fp32(feed: Feed) -> None:
    exact, rough = read_all(feed), read_all(feed, bf16=True)
    assert rough.logits.dtype == rough.emotion.dtype == torch.float32
    assert not torch.equal(exact.logits, rough.logits)
    torch.testing.assert_close(exact.logits, rough.logits, atol=0.1, rtol=0.1)


def test_the_vision_tower_runs_once_per_picture(model: EmoSymModel, tiny_pictures) -> None:
    calls: list[str] = []
    handle = count_calls(model.reader.reasoner.backbone.model.visual, calls, "vision")
    feed = tiny_feed(model.reader, tiny_pictures.pictures[:4], tiny_pictures.labels[:4])
    assert calls == ["vision"]
    read_all(feed)
    feed.prefix(np.arange(2))
    handle.remove()
    assert calls == ["vision"]


@torch.no_grad()
def test_pictures_decoded_per_batch_read_the_same(
    model: EmoSymModel, feed: Feed, tiny_pictures, tmp_path: Path
) -> None:
    samples = []
    for i in range(4):
        path = tmp_path / f"{i}.png"
        Image.fromarray(tiny_pictures.pictures[i]).save(path)
        samples.append(picture_sample(str(i), path, label="awe"))
    opened = open_feed(model.reader, samples, None, workers=1)
    assert opened.pictures is not None and opened.features is not None
    assert np.array_equal(opened.pictures, tiny_pictures.pictures[:4])
    torch.testing.assert_close(opened.features, feed.features[:4], atol=1e-5, rtol=1e-4)
    free = replace(model.reader, image_size=None)
    loose = open_feed(free, samples, None)
    assert loose.pictures is loose.features is None
    wanted = read_all(feed).logits[:4]
    torch.testing.assert_close(read_all(loose, 2).logits, wanted, atol=1e-4, rtol=1e-3)


def test_unlabelled_and_empty_sets_are_refused(model: EmoSymModel) -> None:
    picture = Image.new("RGB", (64, 64))
    samples = [picture_sample("ok", picture, "awe"), picture_sample("odd", picture)]
    with pytest.raises(UsageError, match="odd has none"):
        open_feed(model.reader, samples, None)
    with pytest.raises(UsageError, match="need labelled samples"):
        open_feed(model.reader, [], None)


def test_a_recipes_splits(model: EmoSymModel, tiny_storybook: Path, tmp_path: Path) -> None:
    data = {"root": str(tiny_storybook), "workers": 1, "label_fraction": 0.5}
    train, val = open_feeds(model.reader, recipe_of("rl", tmp_path, data=data))
    assert len(val) == 16 and 16 <= len(train) <= 32
    assert train.targets.shape == (len(train), 8)
    torch.testing.assert_close(train.targets.sum(1), torch.ones(len(train)))
    assert all(s.rationale and s.caption for s in train.samples)


def test_votes_and_pictures_from_a_hub_table_train_like_files(
    model: EmoSymModel, tiny_pictures, tmp_path: Path
) -> None:
    datasets = pytest.importorskip("datasets")
    names = [f"{index}.png" for index in range(4)]
    for name, picture in zip(names, tiny_pictures.pictures, strict=False):
        Image.fromarray(picture).save(tmp_path / name)
    header = "image amusement awe contentment excitement anger disgust fear sadness"
    table = [header, *(f"{name} 0 {index} 1 0 0 0 0 0" for index, name in enumerate(names))]
    for split in ("train", "val"):
        (tmp_path / f"{split}.txt").write_text("\n".join(table))
    data = {"source": "ldl", "root": str(tmp_path), "workers": 1}
    votes, _ = open_feeds(model.reader, recipe_of("align", tmp_path, data=data))
    shares = torch.tensor([[0, 1], [1 / 2, 1 / 2], [2 / 3, 1 / 3], [3 / 4, 1 / 4]])
    torch.testing.assert_close(votes.targets[:, 1:3], shares)
    assert votes.truth.tolist() == [2, 1, 1, 1]
    stored = datasets.Dataset.from_dict(
        {
            "image": [{"bytes": (tmp_path / name).read_bytes(), "path": None} for name in names],
            "label": [2, 1, 1, 1],
        },
        datasets.Features(
            {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(MIKELS8.labels))}
        ),
    )
    datasets.DatasetDict({"train": stored, "val": stored}).save_to_disk(tmp_path / "hub")
    data = {"source": "hub", "root": str(tmp_path / "hub"), "workers": 1}
    hub, _ = open_feeds(model.reader, recipe_of("align", tmp_path, data=data))
    assert hub.pictures is not None and votes.pictures is not None
    assert np.array_equal(hub.pictures, votes.pictures) and np.array_equal(hub.truth, votes.truth)


def test_pictures_are_kept_in_the_run_where_the_data_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = tmp_path / "data", tmp_path / "run"
    assert cache_folder(root, out) == out / ".cache"  # an id of the hub
    root.mkdir()
    assert cache_folder(root, out) == root / ".cache"
    make = tempfile.TemporaryFile

    def read_only(dir: Path) -> Any:
        if dir.is_relative_to(root):
            raise OSError(errno.EROFS, "Read-only file system")
        return make(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    assert cache_folder(root, out) == out / ".cache"


@torch.no_grad()
def test_samples_of_words_and_several_pictures_feed_a_stage(
    model: EmoSymModel, tiny_pictures
) -> None:
    frames = tuple(Image.fromarray(picture) for picture in tiny_pictures.pictures[:3])
    samples = [
        Sample("said", (Turn("Ann", "a ball"), Turn("Bo", "a tree")), targets={"mer": "fear"}),
        Sample("seen", (Turn("Ann", "a ball", frames),), targets={"mer": "awe"}),
        Sample("one", (Turn(frames=frames[:1]),), targets={"mer": "awe"}),
    ]
    targets = label_targets(samples, "mikels8", "mer")
    assert targets.argmax(1).tolist() == [6, 1, 1]
    together = read_all(loose_feed(model.reader, samples, targets), 3)
    alone = read_all(loose_feed(model.reader, samples, targets), 1)
    torch.testing.assert_close(together.logits, alone.logits, atol=1e-5, rtol=1e-4)
    assert store_prefixes(loose_feed(model.reader, samples, targets)) is None  # no known bound
    plain = read_all(tiny_feed(model.reader, tiny_pictures.pictures[:2], tiny_pictures.labels[:2]))
    torch.testing.assert_close(together.logits[2], plain.logits[0], atol=1e-4, rtol=1e-3)
