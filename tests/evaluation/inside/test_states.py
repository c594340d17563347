"""States are those of the library's own forward pass, and a push is an addition to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from emosym.evaluation.inside.states import (
    depth_of,
    last_states,
    think_pushed,
    think_with_states,
)
from emosym.models.checkpoint import load_checkpoint
from emosym.models.emosym_model import EmoSymModel
from emosym.models.reader.reader import encode_pictures, prefill_features
from emosym.models.reader.reasoner import think


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> EmoSymModel:
    return load_checkpoint(tiny_checkpoint)


@torch.no_grad()
def test_states_at_every_depth_and_a_push_of_nothing(model: EmoSymModel, tiny_pictures) -> None:
    reader = model.reader
    features = encode_pictures(reader, tiny_pictures.pictures[:3])
    with last_states(reader.reasoner.language_model) as before:
        prefix = prefill_features(reader, features)
    depth, count = depth_of(reader.reasoner), reader.tokens.num_context_tokens
    assert sorted(before) == list(range(depth)) and before[0].shape == (3, 96)
    thought, states = think_with_states(reader.reasoner, prefix)
    assert states.shape == (3, count + 1, depth + 1, 96) and states.dtype == torch.float32
    plain = think(reader.reasoner, prefix)
    assert torch.equal(thought.emotion_latent, plain.emotion_latent)
    assert torch.equal(states[:, -1, -1], plain.emotion_latent)
    assert torch.equal(states[:, :-1, -1], plain.context_latents)
    # the first token's input is its embedding, the second's has the first latent fed back
    tokens = reader.tokens
    torch.testing.assert_close(states[:, 0, 0], tokens.context_embeds[:1].expand(3, -1))
    second = tokens.context_embeds[1] + tokens.fed_back(plain.context_latents[:, 0])
    torch.testing.assert_close(states[:, 1, 0], second)
    nothing = think_pushed(reader.reasoner, prefix, 0, torch.zeros(3, count, 96))
    assert torch.equal(nothing.emotion_latent, plain.emotion_latent)


@torch.no_grad()
def test_a_push_at_depth_0_is_another_embedding(model: EmoSymModel, tiny_pictures) -> None:
    reader = model.reader
    prefix = prefill_features(reader, encode_pictures(reader, tiny_pictures.pictures[:2]))
    push = torch.randn(
        2, reader.tokens.num_context_tokens, 96, generator=torch.Generator().manual_seed(0)
    )
    pushed = think_pushed(reader.reasoner, prefix, 0, push)
    kept = reader.tokens.context_embeds.data.clone()
    for row in range(2):
        reader.tokens.context_embeds.data = kept + push[row]
        wanted = think(reader.reasoner, prefix)
        torch.testing.assert_close(pushed.emotion_latent[row], wanted.emotion_latent[row])
        torch.testing.assert_close(pushed.context_latents[row], wanted.context_latents[row])
    reader.tokens.context_embeds.data = kept
    plain = think(reader.reasoner, prefix)  # and nothing stays behind
    assert not torch.allclose(pushed.emotion_latent, plain.emotion_latent)
    assert np.isfinite(plain.emotion_latent.numpy()).all()


@torch.no_grad()
def test_without_recurrence_the_same_states_are_pushed(model: EmoSymModel, tiny_pictures) -> None:
    """All latent tokens pass in one call there; with a shut gate the two ways are one."""
    reasoner, tokens = model.reader.reasoner, model.reader.tokens
    prefix = prefill_features(
        model.reader, encode_pictures(model.reader, tiny_pictures.pictures[:2])
    )
    push = torch.randn(2, tokens.num_context_tokens, 96, generator=torch.Generator().manual_seed(1))
    gate = tokens.recurrent_gate.data.clone()
    tokens.recurrent_gate.data.zero_()
    one_by_one = think_pushed(reasoner, prefix, 0, push).emotion_latent
    tokens.recurrent = False
    together = think_pushed(reasoner, prefix, 0, push).emotion_latent
    _, states = think_with_states(reasoner, prefix)
    tokens.recurrent, tokens.recurrent_gate.data = True, gate
    torch.testing.assert_close(together, one_by_one, atol=1e-4, rtol=1e-4)
    assert states.shape[1] == tokens.num_context_tokens + 1
