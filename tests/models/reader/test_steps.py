"""Bottleneck, own steps and spoken steps: what sees what, by hand and against single calls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from emosym.models.reader.prefix import Prefix, extend, grow, open_cache
from emosym.models.reader.prefix_cache import fork
from emosym.models.reader.reasoner import EmotionReasoner, Thought, say_loss, think
from emosym.models.reader.steps import (
    step_blocks,
    step_loss,
    step_mask,
    step_offsets,
    think_aloud,
    word_loss,
)
from emosym.models.reader.toy import build_toy_reader
from emosym.models.tokenizer import train_tokenizer

K, H, P, B = 3, 96, 5, 2


@pytest.fixture(scope="module", params=[True, False], ids=["chain", "side by side"])
def reasoner(request: pytest.FixtureRequest) -> EmotionReasoner:
    backbone = build_toy_reader(train_tokenizer(["a red house on a hill"] * 4, 330), 0, H, 2)
    backbone.requires_grad_(False).eval()
    made = EmotionReasoner(backbone, K, request.param, ("mikels8",), 32, 0).eval()
    if request.param:
        gate = torch.randn(H, generator=torch.Generator().manual_seed(1))
        made.latent_tokens.recurrent_gate.data.copy_(0.05 * gate)
    return made


def prefix_of(reasoner: EmotionReasoner, seed: int = 0) -> Prefix:
    """Keys and values of nothing in particular; the first row is one token shorter."""
    generator = torch.Generator().manual_seed(seed)
    config = reasoner.backbone.config.text_config
    shape = (B, config.num_key_value_heads, P, H // config.num_attention_heads)
    parts = [
        tuple(torch.randn(shape, generator=generator) for _ in range(config.num_hidden_layers))
        for _ in range(2)
    ]
    mask = torch.ones(B, P, dtype=torch.bool)
    mask[0, 0] = False
    return Prefix(parts[0], parts[1], mask, torch.tensor([P - 1, P]))


def texts(seed: int, *shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = torch.from_numpy(np.random.default_rng(seed).integers(40, 300, shape))
    labels = tokens.clone()
    labels[0, ..., -1] = -100
    return tokens, labels


def other_prefix(thought: Thought, seed: int = 9) -> Thought:
    """The same latents after another prefix: what does not see it cannot change."""
    cache = fork(thought.cache)
    generator = torch.Generator().manual_seed(seed)
    for layer in cache.layers:
        layer.prefix_keys = torch.randn(layer.prefix_keys.shape, generator=generator)
        layer.prefix_values = torch.randn(layer.prefix_values.shape, generator=generator)
    return replace(thought, cache=cache)


@torch.no_grad()
def test_in_the_bottleneck_the_emotion_token_sees_latents_alone(reasoner: EmotionReasoner) -> None:
    prefix, tokens = prefix_of(reasoner), reasoner.latent_tokens
    own = think(reasoner, prefix)
    narrow = torch.tensor([True, False])
    found = think(reasoner, prefix, bottleneck=narrow)
    torch.testing.assert_close(found.context_latents, own.context_latents, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.emotion_latent[1], own.emotion_latent[1], atol=1e-5, rtol=1e-4)
    assert (found.emotion_latent[0] - own.emotion_latent[0]).abs().max() > 1e-2
    # by hand: another prefix in its place, behind a mask that shows the latents only
    cache = other_prefix(own).cache
    for layer in cache.layers:  # [EMO] itself is read anew
        layer.keys, layer.values = layer.keys[:, :, :K], layer.values[:, :, :K]
    embed = tokens.emotion_embed.expand(B, -1, -1)
    if tokens.recurrent:
        embed = embed + tokens.fed_back(own.context_latents[:, -1:])
    seen = torch.zeros(B, P + K, dtype=torch.bool)
    seen[:, P:] = True
    emotion = extend(reasoner.backbone, embed, cache, seen, prefix.next_position + K)
    torch.testing.assert_close(found.emotion_latent[0], emotion[0, 0], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_in_the_bottleneck_words_do_not_see_the_emotion_token(reasoner: EmotionReasoner) -> None:
    tokens, labels = texts(3, B, 4)
    everywhere = torch.tensor([True, True])
    thought = think(reasoner, prefix_of(reasoner))

    def loss(one: Thought, gist: bool, narrow: torch.Tensor | None) -> float:
        heard = replace(one, cache=fork(one.cache))
        said = say_loss(reasoner, heard, tokens, labels, everywhere & gist, 7, narrow)
        return float(said)

    cache = fork(thought.cache)
    for layer in cache.layers:  # another [EMO]
        layer.values = torch.cat([layer.values[:, :, :-1], layer.values[:, :, -1:] + 3], dim=2)
    other = replace(thought, cache=cache)
    assert loss(other, True, everywhere) == pytest.approx(loss(thought, True, everywhere), abs=1e-6)
    assert abs(loss(other, True, None) - loss(thought, True, None)) > 1e-3
    assert loss(thought, True, ~everywhere) == loss(thought, True, None)


def test_what_steps_see_by_hand() -> None:
    mask = torch.ones(1, 2 + 2 + 1, dtype=torch.bool)  # two of a prefix, two latents, [EMO]
    thought = Thought(*[torch.empty(0)] * 3, None, mask, torch.tensor([5]), 2)  # type: ignore[arg-type]
    assert step_mask(thought, 2, 2)[0].int().tolist() == [
        *[[0, 0, 1, 0, 0]] * 2,
        *[[0, 0, 0, 1, 0]] * 2,
    ]
    assert step_blocks(2, 2, mask.device).int().tolist() == [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 1, 1],
    ]
    assert step_offsets(thought, 2, 3).tolist() == [1, 2, 3, 2, 3, 4]
    within = replace(thought, places=torch.tensor([[1, 6]]))  # the first would stand at 2
    assert step_offsets(within, 2, 3).tolist() == [[0, 1, 2, 5, 6, 7]]


@torch.no_grad()
def test_each_step_is_said_from_its_own_latent(reasoner: EmotionReasoner) -> None:
    prefix = prefix_of(reasoner)
    thought = think(reasoner, prefix)
    tokens, labels = texts(4, B, K, 4)
    found = step_loss(reasoner, thought, tokens, labels, 7)
    assert step_loss(reasoner, other_prefix(thought), tokens, labels, 7) == pytest.approx(
        float(found), abs=1e-6
    )
    total = count = 0.0
    table = reasoner.backbone.get_input_embeddings()
    for k in range(K):  # every step in a call of its own
        shifted = torch.cat([torch.full((B, 1), 7), tokens[:, k, :-1]], dim=1)
        seen = torch.zeros(B, P + K + 1, dtype=torch.bool)
        seen[:, P + k] = True
        place = prefix.next_position + k + 1
        hidden = extend(reasoner.backbone, table(shifted), fork(thought.cache), seen, place)
        logits = reasoner.backbone.get_output_embeddings()(hidden)
        losses = nn.functional.cross_entropy(
            logits.flatten(0, 1), labels[:, k].flatten(), reduction="sum", ignore_index=-100
        )
        total, count = total + float(losses), count + int((labels[:, k] != -100).sum())
    assert float(found) == pytest.approx(total / count, rel=1e-4)
    # the cache is as it was: [EMO] is still the last that was read
    assert thought.cache.get_seq_length() == P + K + 1


def test_a_step_teaches_its_own_latent_alone(reasoner: EmotionReasoner) -> None:
    thought = think(reasoner, prefix_of(reasoner))
    layer = thought.cache.layers[-1]
    layer.values = layer.values.detach().requires_grad_(True)
    tokens, labels = texts(5, B, K, 3)
    labels[:, 0] = labels[:, 2] = -100  # step 1 is the only one that is taught
    step_loss(reasoner, thought, tokens, labels, 7).backward()
    assert layer.values.grad is not None
    reached = layer.values.grad.abs().sum(dim=(0, 1, 3)) > 0
    assert reached.tolist() == [False, True, False, False]


@torch.no_grad()
def test_thinking_aloud_is_reading_on(reasoner: EmotionReasoner) -> None:
    prefix, own = prefix_of(reasoner), reasoner.latent_tokens
    tokens, labels = texts(6, B, 4)
    found = think_aloud(reasoner, prefix, tokens, labels, 7)
    table = reasoner.backbone.get_input_embeddings()
    for row, length in ((0, 3), (1, 4)):  # each alone, its padding left out, in one call
        one = prefix.select(torch.tensor([row]))
        words = table(torch.cat([torch.tensor([7]), tokens[row, :length]]))
        rest = torch.cat([words, own.emotion_embed])[None]
        hidden = extend(reasoner.backbone, rest, open_cache(one), one.mask, one.next_position)
        torch.testing.assert_close(found.emotion_latent[row], hidden[0, -1], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_latents_come_before_what_is_spoken(reasoner: EmotionReasoner) -> None:
    prefix, own = prefix_of(reasoner), reasoner.latent_tokens
    tokens, labels = texts(6, B, 4)
    thought = think(reasoner, prefix)
    found = think_aloud(reasoner, prefix, tokens, labels, 7, latents=K)
    cache = fork(thought.cache)
    for layer in cache.layers:
        layer.keys, layer.values = layer.keys[:, :, :K], layer.values[:, :, :K]
    one, mask = prefix.next_position[1:], grow(prefix.mask, K)
    words = torch.cat([torch.full((B, 1), 7), tokens], dim=1)
    embed = own.emotion_embed.expand(B, -1, -1)
    if own.recurrent:
        embed = embed + own.fed_back(thought.context_latents[:, -1:])
    table = reasoner.backbone.get_input_embeddings()
    rest = torch.cat([table(words), embed], dim=1)
    hidden = extend(reasoner.backbone, rest, cache, mask, prefix.next_position + K)
    torch.testing.assert_close(found.emotion_latent[1], hidden[1, -1], atol=1e-5, rtol=1e-4)
    assert len(one) == 1


@torch.no_grad()
def test_words_are_named_by_the_states_themselves(reasoner: EmotionReasoner) -> None:
    thought = think(reasoner, prefix_of(reasoner))
    told = [[[60], [61, 62, 61], [60]], [[70], [71], [72, 72]]]
    head = reasoner.backbone.get_output_embeddings()

    def away(state: torch.Tensor, ids: set[int]) -> float:
        """-log of the geometric mean of what the words get, less what is best: 1 / their number."""
        said = head(state).log_softmax(dim=-1)
        return float(-said[sorted(ids)].mean() - np.log(len(ids)))

    states = thought.context_latents
    by_hand = [away(states[b, k], set(told[b][k])) for b in range(B) for k in range(K)]
    found = float(word_loss(reasoner, states, told))
    assert found == pytest.approx(np.mean(by_hand), rel=1e-4) and min(by_hand) > 0
    # no word is spoken: what was read is as it was
    assert thought.cache.get_seq_length() == P + K + 1
