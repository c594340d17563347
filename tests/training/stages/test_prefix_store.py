"""Prefixes kept on disk and of many lengths; never those of other weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.training.makers import recipe_of, tiny_feed

from emosym.models.adapters import merged_adapter, train_adapter
from emosym.models.checkpoint import load_checkpoint, save_checkpoint
from emosym.models.emosym_model import EmoSymModel, new_model
from emosym.models.presets import resolve_base
from emosym.models.reader.prefix import Prefix, spares_prompt
from emosym.models.reader.reader import ADAPTER
from emosym.training.stages.feed import Feed, label_targets, loose_feed
from emosym.training.stages.prefix_store import MARKER, shared_prefixes, store_prefixes
from emosym.training.stages.read_all import read_all
from emosym.training.stages.start import use_lora
from emosym.types import picture_sample


@pytest.fixture
def model(tiny_checkpoint: Path) -> EmoSymModel:
    return load_checkpoint(tiny_checkpoint)


@pytest.fixture
def feed(model: EmoSymModel, tiny_pictures) -> Feed:
    return tiny_feed(model.reader, tiny_pictures.pictures[:10], tiny_pictures.labels[:10])


def same(one: Prefix, other: Prefix) -> None:
    """Equal where the mask is on, and in mask and positions."""
    assert torch.equal(one.mask, other.mask)
    assert torch.equal(one.next_position, other.next_position)
    for a, b in zip(one.keys + one.values, other.keys + other.values, strict=True):
        on = one.mask[:, None, :, None]
        torch.testing.assert_close(a * on, b * on, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_what_does_not_fit_in_memory_is_kept_on_disk_and_found_again(
    feed: Feed, tmp_path: Path
) -> None:
    spill = tmp_path / "prefixes"
    assert store_prefixes(feed, limit_bytes=1) is None
    store = store_prefixes(feed, batch_size=4, limit_bytes=1, spill=spill)
    assert store is not None
    assert {p.name for p in spill.iterdir()} == {MARKER, "keys-0.bin", "values-0.bin"}
    rows = np.array([7, 0, 7])
    same(store.prefix(rows), feed.prefix(rows))
    before = (spill / "keys-0.bin").stat().st_mtime_ns
    again = store_prefixes(feed, limit_bytes=1, spill=spill)
    assert again is not None and (spill / "keys-0.bin").stat().st_mtime_ns == before
    same(again.prefix(rows), feed.prefix(rows))


@torch.no_grad()
def test_files_of_other_weights_or_pictures_are_not_used(
    model: EmoSymModel, feed: Feed, tmp_path: Path
) -> None:
    spill = tmp_path / "prefixes"
    store_prefixes(feed, limit_bytes=1, spill=spill)
    key = json.loads((spill / MARKER).read_text())["key"]
    for parameter in train_adapter(model.reader.reasoner.backbone, ADAPTER, False):
        parameter += 0.02
    changed = store_prefixes(feed, limit_bytes=1, spill=spill)
    assert changed is not None and json.loads((spill / MARKER).read_text())["key"] != key
    same(changed.prefix(np.arange(3)), feed.prefix(np.arange(3)))
    samples = tuple(replace(s, id=f"other-{s.id}") for s in feed.samples)
    key = json.loads((spill / MARKER).read_text())["key"]
    store_prefixes(replace(feed, samples=samples), limit_bytes=1, spill=spill)
    assert json.loads((spill / MARKER).read_text())["key"] != key


@torch.no_grad()
def test_a_store_is_not_read_once_something_before_it_changed(
    model: EmoSymModel, feed: Feed
) -> None:
    store = store_prefixes(feed)
    assert store is not None and store.holds()
    rows = np.arange(4)
    old = store.prefix(rows)
    for weight in train_adapter(model.reader.reasoner.backbone, ADAPTER, False):
        weight += 0.05
    assert not store.holds()
    now = store.prefix(rows)
    same(now, feed.prefix(rows))
    assert float((now.values[0] - old.values[0]).abs().max()) > 1e-4
    fresh = store_prefixes(feed)
    assert fresh is not None and fresh.holds()
    train_adapter(model.reader.reasoner.backbone, ADAPTER, True)
    assert not fresh.holds()  # it may change from now on


@torch.no_grad()
def test_pictures_of_many_lengths(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EMOSYM_MODELS", str(tiny_models))
    base = replace(resolve_base("emosym-2b"), dtype="float32", max_pixels=112 * 112)
    model = new_model(base, 2, True, "emosym", 0)
    rng = np.random.default_rng(0)
    sides = ((112, 112), (60, 200), (90, 56), (112, 84), (56, 56))
    samples = []
    for i, (height, width) in enumerate(sides):
        picture = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        picture.save(tmp_path / f"{i}.png")
        samples.append(picture_sample(str(i), tmp_path / f"{i}.png", label="awe"))
    feed = loose_feed(model.reader, samples, label_targets(samples, "mikels8"))
    store = store_prefixes(feed, batch_size=2)
    assert store is not None and len(set(store.lengths.tolist())) > 1
    for rows in (np.array([0, 2, 4]), np.array([3]), np.array([2, 4])):
        same(store.prefix(rows), feed.prefix(rows))
    kept, now = read_all(feed, 2, store), read_all(feed, 3)
    torch.testing.assert_close(kept.logits, now.logits, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_prompts_that_no_adapter_touches_are_kept_for_every_run(
    tiny_base: Path, tiny_pictures, tmp_path: Path
) -> None:
    model = new_model(str(tiny_base), 2, True, "emosym", 0, adapts_prompt=False)
    reasoner = model.reader.reasoner
    data = tiny_feed(model.reader, tiny_pictures.pictures[:6], tiny_pictures.labels[:6])
    before = data.prefix(np.arange(6))
    kept = shared_prefixes(data, tmp_path)
    assert kept is not None and len(list(tmp_path.iterdir())) == 1
    recipe = recipe_of("align", tmp_path / "run", lora={"r": 2, "prompt": False}, w_align=0)
    use_lora(model, recipe)
    plain = read_all(data).emotion
    for name, parameter in reasoner.backbone.named_parameters():
        if ".lora_B." in name:
            parameter.add_(0.1)
            parameter.requires_grad_(True)  # it trains
    same(data.prefix(np.arange(6)), before)
    assert not data.prefix(np.arange(2)).keys[0].requires_grad
    again = shared_prefixes(data, tmp_path)  # with an adapter it is still the same prompt
    assert again is not None and len([p for p in tmp_path.iterdir() if p.name != "run"]) == 1
    assert kept.holds() and again.holds()
    same(again.prefix(np.arange(6)), before)
    moved = read_all(data).emotion
    assert (moved - plain).abs().max() > 1e-3
    with merged_adapter(reasoner.backbone, ADAPTER) as merged:
        assert merged == 0
        torch.testing.assert_close(read_all(data, store=again).emotion, moved, atol=1e-5, rtol=1e-4)
    save_checkpoint(model, tmp_path / "checkpoint")
    found = load_checkpoint(tmp_path / "checkpoint")
    assert spares_prompt(found.reader.reasoner.backbone)
    elsewhere = tiny_feed(found.reader, tiny_pictures.pictures[:6], tiny_pictures.labels[:6])
    torch.testing.assert_close(read_all(elsewhere).emotion, moved, atol=1e-5, rtol=1e-4)
    adapted = new_model(str(tiny_base), 2, True, "emosym", 0).reader
    other = tiny_feed(adapted, tiny_pictures.pictures[:6], tiny_pictures.labels[:6])
    assert shared_prefixes(other, tmp_path) is None
