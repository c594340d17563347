"""A stage's loss and gradients are the same as the libraries compute them by themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.training.makers import tiny_feed

from emosym.device import cpu_plan
from emosym.models.adapters import train_adapter
from emosym.models.checkpoint import load_checkpoint
from emosym.models.emosym_model import EmoSymModel
from emosym.models.reader import prefix as prefixes
from emosym.models.reader.prefix import Prefix, rotary_positions
from emosym.models.reader.reader import ADAPTER, prepare_inputs
from emosym.models.reader.reasoner import say_loss, think
from emosym.models.reader.toy import build_toy_reader
from emosym.models.reader.vision import patchify, prepare_vision
from emosym.models.reader.vision_shortcuts import BatchedVisionAttention, MatmulPatchEmbed
from emosym.models.speed import LEAVE_OUT
from emosym.models.tokenizer import train_tokenizer
from emosym.training.stages.feed import Feed
from emosym.training.stages.losses import label_loss
from emosym.training.stages.prefix_store import store_prefixes
from emosym.training.storybook.reader import collate_dialogues, reader_loss
from emosym.types import Turn

ROWS = np.array([3, 0, 2])


def feed_of(model: EmoSymModel, tiny_pictures: Any) -> Feed:
    """Four pictures, also as images to decode at every step."""
    pictures = tiny_pictures.pictures[:4]
    feed = tiny_feed(model.reader, pictures, tiny_pictures.labels[:4])
    samples = tuple(
        replace(sample, turns=(Turn(frames=(Image.fromarray(picture),)),))
        for sample, picture in zip(feed.samples, pictures, strict=True)
    )
    return replace(feed, samples=samples)


def plain_model(folder: Path, patch: pytest.MonkeyPatch) -> EmoSymModel:
    """Open a checkpoint without any measure, with sdpa attention."""
    with patch.context() as inside:
        inside.setenv(LEAVE_OUT, "all")
        inside.setenv("EMOSYM_CPU_PLAN", "float32 sdpa")
        cpu_plan.cache_clear()
        model = load_checkpoint(folder)
    cpu_plan.cache_clear()
    visual = model.reader.reasoner.backbone.model.visual
    assert not any(
        isinstance(m, (BatchedVisionAttention, MatmulPatchEmbed)) for m in visual.modules()
    )
    assert visual.blocks[0].attn.config._attn_implementation == "sdpa"
    return model


def positions_of_every_row(backbone: Any, inputs: Any) -> torch.Tensor:
    names = ("input_ids", "mm_token_type_ids", "image_grid_thw", "attention_mask")
    return backbone.model.get_rope_index(**{name: inputs[name] for name in names})[0]


def learn(
    model: EmoSymModel, feed: Feed, prefix: Callable[[np.ndarray], Prefix], with_adapter: bool
) -> dict[str, torch.Tensor]:
    """Return the loss of a stage's reader, and its gradients by name."""
    reasoner = model.reader.reasoner
    reasoner.eval().requires_grad_(False)
    train_adapter(reasoner.backbone, ADAPTER, with_adapter)
    reasoner.latent_tokens.requires_grad_(True)
    reasoner.heads.requires_grad_(True)
    thought = think(reasoner, prefix(ROWS))
    loss = label_loss(
        reasoner.logits(thought.emotion_latent, model.reader.space),
        feed.targets[torch.from_numpy(ROWS)],
    )
    words = torch.tensor([[7, 8, 9, 10], [11, 12, 13, 14], [15, 16, 17, 18]])
    gist = torch.tensor([True, False, True])
    loss = loss + say_loss(reasoner, thought, words, words, gist, model.reader.start_token)
    loss.backward()
    named = reasoner.named_parameters()
    found = {n: p.grad for n, p in named if p.requires_grad and p.grad is not None}
    reasoner.zero_grad(set_to_none=True)
    return {"loss": loss.detach(), **found}


@pytest.mark.parametrize("kept", ["nothing", "features", "prefixes"])
def test_a_stage_reads_and_learns_as_from_the_libraries(
    kept: str, tiny_checkpoint: Path, tiny_pictures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain: sdpa, loops over pictures and rows, the vision tower and the prefix every time."""
    plain = plain_model(tiny_checkpoint, monkeypatch)
    with_adapter = kept != "prefixes"  # these are kept only where the adapter is frozen
    with monkeypatch.context() as inside:
        inside.setattr(prefixes, "rotary_positions", positions_of_every_row)
        decoded = replace(feed_of(plain, tiny_pictures), features=None)
        wanted = learn(plain, decoded, decoded.prefix, with_adapter)
    ours = load_checkpoint(tiny_checkpoint)
    feed = feed_of(ours, tiny_pictures)
    if kept == "nothing":
        feed = replace(feed, features=None)
    store = store_prefixes(feed) if kept == "prefixes" else None
    assert (store is None) is (kept != "prefixes")
    found = learn(ours, feed, (store or feed).prefix, with_adapter)
    assert found.keys() == wanted.keys()
    assert len(found) == 1 + 3 + 4 + (14 if with_adapter else 0)  # loss, tokens, head, adapter
    for name, gradient in wanted.items():
        scale = float(gradient.abs().max())
        assert scale > 0, name
        torch.testing.assert_close(found[name], gradient, atol=1e-4 * scale, rtol=1e-3, msg=name)


@pytest.mark.parametrize("sizes", [[(64, 64)] * 3, [(64, 64), (32, 64), (64, 32)]])
def test_one_rows_positions_are_every_rows(
    sizes: list[tuple[int, int]], tiny_checkpoint: Path
) -> None:
    reader = replace(load_checkpoint(tiny_checkpoint).reader, image_size=None)
    images = [Image.new("RGB", size, (9 * i, 80, 200)) for i, size in enumerate(sizes)]
    inputs = prepare_inputs(reader, images)
    alike = len(set(sizes)) == 1
    assert bool((inputs["image_grid_thw"] == inputs["image_grid_thw"][:1]).all()) is alike
    found = rotary_positions(reader.reasoner.backbone, inputs)
    assert torch.equal(found, positions_of_every_row(reader.reasoner.backbone, inputs))


def test_the_base_reader_learns_as_with_the_librarys_positions(tiny_pictures: Any) -> None:
    pictures = torch.from_numpy(tiny_pictures.pictures[:3])
    values, grid = patchify(pictures, 8, 2, 2)
    found = []
    for ours in (False, True):
        model = build_toy_reader(train_tokenizer(["a red house"] * 4, 300), 0, 96, 1)
        image = [int(model.config.vision_start_token_id), *[int(model.config.image_token_id)] * 16]
        rows = [
            ([*image, *range(20, 26 + i)], [-100] * 18 + [*range(21, 26 + i)]) for i in range(3)
        ]
        tokens, labels = collate_dialogues(rows, 0)
        if ours:
            prepare_vision(model.model.visual)
            loss = reader_loss(model, pictures, tokens, labels)
        else:
            model.set_attn_implementation("sdpa")
            hidden = model.model(
                input_ids=tokens,
                pixel_values=values,
                image_grid_thw=grid,
                mm_token_type_ids=(tokens == model.config.image_token_id).int(),
                use_cache=False,
            ).last_hidden_state
            logits = model.lm_head(hidden)[:, :-1].flatten(0, 1)
            loss = torch.nn.functional.cross_entropy(logits, labels[:, 1:].flatten())
        loss.backward()
        found.append({"loss": loss.detach(), **{n: p.grad for n, p in model.named_parameters()}})
    plain, ours_by_name = found
    for name, gradient in plain.items():
        scale = float(gradient.abs().max())
        assert scale > 0, name
        torch.testing.assert_close(
            ours_by_name[name], gradient, atol=1e-4 * scale, rtol=1e-3, msg=name
        )
