"""Stage 3: the picture is denoised through its own latents; then the emotion space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.training.makers import (
    HEAD,
    MAPPERS,
    TOKENS,
    count_calls,
    metrics,
    model_parameters,
    moved,
    recipe_of,
    snapshot,
    tiny_feed,
)

from emosym.data.images import square
from emosym.emotions import MIKELS8
from emosym.models.adapters import UNET_PROJECTIONS, add_adapter, lora_config
from emosym.models.checkpoint import load_checkpoint
from emosym.models.emosym_model import EmoSymModel
from emosym.models.painter.autoencoder import to_pixels
from emosym.models.painter.painter import PromptEmbeds, encode_images, encode_prompts
from emosym.models.reader.reader import ADAPTER
from emosym.training.stages import joint
from emosym.training.stages.feed import Feed
from emosym.training.stages.joint import (
    canvas_latents,
    drop,
    prepare_canvas,
    run_joint,
    train_joint,
)
from emosym.training.stages.read_all import read_all
from emosym.types import Turn


@pytest.fixture
def model(tiny_checkpoint: Path) -> EmoSymModel:
    return load_checkpoint(tiny_checkpoint)


@pytest.fixture
def feed(model: EmoSymModel, tiny_pictures) -> Feed:
    """Two pictures of each emotion."""
    labels = tiny_pictures.labels
    rows = np.concatenate([np.flatnonzero(labels == i)[:2] for i in range(8)])
    return tiny_feed(model.reader, tiny_pictures.pictures[rows], np.repeat(np.arange(8), 2))


def test_exactly_tokens_head_and_mappers_move(
    model: EmoSymModel, feed: Feed, tmp_path: Path
) -> None:
    before = snapshot(model)
    after = train_joint(model, feed, recipe_of("joint", tmp_path), progress=False)
    assert moved(before, after) == {*TOKENS, *HEAD, *MAPPERS}
    assert not any(p.requires_grad for p in model_parameters(after).values())
    rows = metrics(tmp_path)
    assert set(rows[0]) == {"step", "loss", "denoise", "classify", "attributes"}
    first = rows[0]
    wanted = first["denoise"] + 0.1 * first["classify"] + 0.1 * first["attributes"]
    assert first["loss"] == pytest.approx(wanted, rel=1e-5)


def test_words_beside_the_emotion_train_the_same_parts(
    model: EmoSymModel, feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worded prompt comes with another picture's latents, and attributes judge only own ones."""
    seen: list[str] = []
    encode = joint.encode_prompts
    monkeypatch.setattr(
        joint, "encode_prompts", lambda p, texts, *c: seen.extend(texts) or encode(p, texts, *c)
    )
    before = snapshot(model)
    recipe = recipe_of("joint", tmp_path, worded=1.0)
    after = train_joint(model, feed, recipe, progress=False)
    assert moved(before, after) == {*TOKENS, *HEAD, *MAPPERS}
    assert metrics(tmp_path)[0]["attributes"] == 0.0  # no row had its own latents
    told = [text for text in seen if "{}" in text]
    assert told and all(len(text.split()) > 1 for text in told)


def test_with_a_unet_adapter_that_moves_too_and_the_unet_does_not(
    model: EmoSymModel, feed: Feed, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    before = snapshot(model)
    recipe = recipe_of("joint", tmp_path, unet_lora_r=2, optim={"bf16": True})
    after = train_joint(model, feed, recipe, progress=False)
    assert moved(before, after) == {*TOKENS, *HEAD, *MAPPERS}
    fresh = load_checkpoint(tiny_checkpoint)
    add_adapter(fresh.painter.unet, lora_config(2, 2, 0.0, UNET_PROJECTIONS), ADAPTER, 0)
    new = {k: v for k, v in snapshot(fresh).items() if k.startswith("unet.") and ".lora_" in k}
    assert len(new) > 8 and moved(new, after) == set(new)
    assert not any(p.requires_grad for p in model_parameters(after).values())


def test_denoising_alone_reaches_the_tokens_through_the_text_encoder(
    model: EmoSymModel, feed: Feed, tmp_path: Path
) -> None:
    before = snapshot(model)
    recipe = recipe_of("joint", tmp_path, w_cls=0, w_attr=0, condition_dropout=0)
    after = train_joint(model, feed, recipe, progress=False)
    assert moved(before, after) == {*TOKENS, *MAPPERS}


@pytest.mark.parametrize("cached", [True, False])
def test_what_is_constant_is_computed_once(
    model: EmoSymModel, feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    calls: list[str] = []
    backbone = model.reader.reasoner.backbone.model
    count_calls(backbone.visual, calls, "vision")
    backbone.register_forward_pre_hook(lambda *_: calls.append("prefill"))  # it may not end
    count_calls(model.painter.text_encoders[0], calls, "text")
    vae, loop = joint.encode_images, joint.run_loop
    monkeypatch.setattr(joint, "encode_images", lambda *a: calls.append("vae") or vae(*a))

    def counted(*args, **kwargs):
        calls.clear()
        result = loop(*args, **kwargs)
        calls.append("end")
        return result

    monkeypatch.setattr(joint, "run_loop", counted)
    train_joint(model, feed, recipe_of("joint", tmp_path, cache_prefixes=cached), progress=False)
    during = calls[: calls.index("end")]
    assert during.count("vision") == during.count("vae") == 0
    assert during.count("prefill") == (0 if cached else 3)
    assert during.count("text") == 3  # the conditions themselves, once a step


def test_cached_and_fresh_prefixes_train_alike(
    tiny_checkpoint: Path, tiny_pictures, tmp_path: Path
) -> None:
    found = []
    for cached in (True, False):
        model = load_checkpoint(tiny_checkpoint)
        its = tiny_feed(model.reader, tiny_pictures.pictures, tiny_pictures.labels)
        out = tmp_path / str(cached)
        optim = {"steps": 2, "lr": 1e-3}
        train_joint(
            model, its, recipe_of("joint", out, cache_prefixes=cached, optim=optim), progress=False
        )
        found.append([row["loss"] for row in metrics(out)])
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_the_space_is_fitted_to_what_the_model_reads_now(
    model: EmoSymModel, feed: Feed, tmp_path: Path
) -> None:
    old = model.emotion_space
    after = train_joint(model, feed, recipe_of("joint", tmp_path), progress=False)
    assert after.emotion_space is not None and old is not None and after.emotion_space is not old
    assert (
        after.emotion_space.labels == MIKELS8.labels and after.emotion_space.num_context_tokens == 2
    )
    readings = read_all(feed)
    both = torch.cat([readings.emotion[:, None], readings.context], 1).flatten(1)
    for i, gaussian in enumerate(after.emotion_space.gaussians):
        wanted = both[2 * i : 2 * i + 2].mean(0)
        torch.testing.assert_close(gaussian.mean, wanted, atol=1e-4, rtol=1e-3)


def test_the_canvas(model: EmoSymModel, feed: Feed) -> None:
    canvas = prepare_canvas(model.painter, feed, batch_size=5)
    assert feed.pictures is not None
    for i in (0, 7, 15):
        pixels = to_pixels(torch.from_numpy(feed.pictures[i : i + 1]))
        wanted = encode_images(model.painter, pixels)
        torch.testing.assert_close(canvas.latents[i : i + 1], wanted, atol=1e-5, rtol=1e-4)
        text = feed.samples[i].caption
        pooled = encode_prompts(model.painter, [str(text)]).pooled
        torch.testing.assert_close(canvas.attributes[i : i + 1], pooled, atol=1e-5, rtol=1e-4)
    captions = [s.caption for s in feed.samples]
    same = [[a == b for b in captions] for a in captions]
    assert (canvas.groups[:, None] == canvas.groups[None]).tolist() == same


def test_pictures_of_many_sizes_are_encoded_per_batch(model: EmoSymModel, feed: Feed) -> None:
    assert feed.pictures is not None
    wide = [Image.fromarray(p).resize((128, 64)) for p in feed.pictures[:4]]
    samples = tuple(
        replace(s, turns=(Turn(frames=(w,)),)) for s, w in zip(feed.samples[:4], wide, strict=True)
    )
    loose = replace(feed, samples=samples, pictures=None, features=None)
    canvas = prepare_canvas(model.painter, loose)
    assert canvas.latents is None and len(canvas.attributes) == 4
    found = canvas_latents(model.painter, loose, canvas, np.array([2, 0]))
    squares = [np.asarray(square(wide[i], 64)) for i in (2, 0)]
    wanted = encode_images(model.painter, to_pixels(torch.from_numpy(np.stack(squares))))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_dropped_conditions_are_the_empty_prompt() -> None:
    embeds = PromptEmbeds(torch.ones(3, 2, 4), torch.ones(3, 5), torch.ones(3, 2).bool())
    empty = PromptEmbeds(torch.zeros(1, 2, 4), torch.zeros(1, 5), torch.ones(1, 2).bool())
    found = drop(embeds, empty, torch.tensor([True, False, True]))
    assert found.hidden.mean((1, 2)).tolist() == [1, 0, 1]
    assert found.pooled is not None and found.pooled.mean(1).tolist() == [1, 0, 1]
    assert drop(replace(embeds, pooled=None), empty, torch.ones(3).bool()).pooled is None


def test_from_checkpoint_to_checkpoint(
    tiny_checkpoint: Path, tiny_storybook: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(
        "joint",
        tmp_path,
        init=str(tiny_checkpoint),
        data={"root": str(tiny_storybook), "workers": 1},
        unet_lora_r=2,
        optim={"steps": 2},
    )
    result = run_joint(recipe, progress=False)
    assert (result.checkpoint / "unet_adapter" / "adapter_model.safetensors").is_file()
    loaded = load_checkpoint(result.checkpoint)
    assert moved(snapshot(result.model), loaded) == set()
    assert loaded.stages[-1] == "joint" and loaded.emotion_space is not None
