"""The reader's three steps against plain forwards of the backbone, and its causal switches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import Qwen2VLImageProcessorPil

from emosym.models.adapters import add_adapter, lora_config, train_adapter
from emosym.models.reader.prefix import Prefix, prefill, rotary_positions, vision_features
from emosym.models.reader.reader import ADAPTER, TEMPLATES, Reader, prepare_inputs
from emosym.models.reader.reasoner import EmotionReasoner, say, say_loss, think
from emosym.models.reader.toy import TOY_PATCH, build_toy_reader
from emosym.models.reader.vision_shortcuts import batch_vision_attention
from emosym.models.tokenizer import train_tokenizer

K, H = 3, 96


@pytest.fixture(scope="module")
def reader() -> Reader:
    """Two layers, so that information can flow through a latent to what follows it."""
    tokenizer = train_tokenizer([*TEMPLATES.values(), "a red house on a hill"] * 4, 330)
    backbone = build_toy_reader(tokenizer, 0, H, 2)
    batch_vision_attention(backbone.model.visual)
    backbone.requires_grad_(False).eval()
    processor = Qwen2VLImageProcessorPil(
        patch_size=TOY_PATCH,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": 32 * 32, "longest_edge": 96 * 96},
    )
    reasoner = EmotionReasoner(backbone, K, True, ("mikels8",), 32, 0).eval()
    gate = torch.randn(H, generator=torch.Generator().manual_seed(1))
    reasoner.latent_tokens.recurrent_gate.data.copy_(0.05 * gate)  # open, unlike at the start
    return Reader(reasoner, tokenizer, processor, None, "emosym", "mikels8")


@pytest.fixture(scope="module")
def plain(reader: Reader) -> EmotionReasoner:
    """The same backbone with tokens that are not recurrent."""
    return EmotionReasoner(reader.reasoner.backbone, K, False, ("mikels8",), 32, 0).eval()


def images(*sides: tuple[int, int]) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in sides]


ALIKE = ((64, 64),) * 3
MIXED = ((32, 64), (96, 64), (64, 64))


def whole_forward(
    reasoner: EmotionReasoner, reader: Reader, image: Image.Image, rest: torch.Tensor
) -> torch.Tensor:
    """Hidden states of embeddings `rest` (T, H) after a picture: one call, no cache."""
    inputs = prepare_inputs(reader, [image])
    features = vision_features(reasoner.backbone, inputs)[0]  # (T, H)
    ids = inputs["input_ids"]
    embeds = reasoner.backbone.get_input_embeddings()(ids).clone()
    embeds[inputs["mm_token_type_ids"].bool()] = features
    positions = rotary_positions(reasoner.backbone, inputs)  # (3, 1, P)
    following = positions.max() + 1 + torch.arange(len(rest))
    positions = torch.cat([positions, following.expand(3, 1, -1)], dim=2)
    hidden = reasoner.language_model(
        inputs_embeds=torch.cat([embeds, rest[None]], dim=1),
        position_ids=positions,
        use_cache=False,
    ).last_hidden_state
    return hidden[0, -len(rest) :]


@torch.no_grad()
def test_two_calls_equal_one_forward(plain: EmotionReasoner, reader: Reader) -> None:
    tokens = plain.latent_tokens
    for image in images(*MIXED):
        thought = think(plain, prefill(plain.backbone, prepare_inputs(reader, [image])))
        rest = torch.cat([tokens.context_embeds, tokens.emotion_embed])
        whole = whole_forward(plain, reader, image, rest)
        torch.testing.assert_close(thought.context_latents[0], whole[:K], atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(thought.emotion_latent[0], whole[K], atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_recurrent_steps_equal_one_forward_with_the_fed_embeddings(reader: Reader) -> None:
    reasoner, tokens = reader.reasoner, reader.tokens
    image = images((64, 96))[0]
    thought = think(reasoner, prefill(reasoner.backbone, prepare_inputs(reader, [image])))
    z = thought.context_latents[0]
    assert torch.equal(thought.context_latents, thought.context_means)
    fed = tokens.context_embeds.clone()
    fed[1:] += tokens.recurrent_gate * z[:-1]
    emotion = tokens.emotion_embed + tokens.recurrent_gate * z[-1:]
    whole = whole_forward(reasoner, reader, image, torch.cat([fed, emotion]))
    torch.testing.assert_close(z, whole[:K], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(thought.emotion_latent[0], whole[K], atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_a_new_chain_reads_as_tokens_side_by_side(reader: Reader, plain: EmotionReasoner) -> None:
    """The same stream drew both, and the gate starts at zero; a trained gate reads otherwise."""
    new = EmotionReasoner(reader.reasoner.backbone, K, True, ("mikels8",), 32, 0).eval()
    prefix = prefill(plain.backbone, prepare_inputs(reader, images(*ALIKE)))
    chain, together = think(new, prefix), think(plain, prefix)
    torch.testing.assert_close(
        chain.context_latents, together.context_latents, atol=2e-5, rtol=1e-4
    )
    torch.testing.assert_close(chain.emotion_latent, together.emotion_latent, atol=2e-5, rtol=1e-4)
    new.latent_tokens.recurrent_gate[0] = 1.0
    assert not torch.allclose(think(new, prefix).emotion_latent, chain.emotion_latent, atol=1e-3)


@torch.no_grad()
def test_say_loss_equals_the_library_loss_of_the_whole_sequence(
    plain: EmotionReasoner, reader: Reader
) -> None:
    image = images((64, 64))[0]
    said = torch.tensor([[40, 50, 60, 70]])
    labels = torch.tensor([[40, 50, 60, -100]])
    thought = think(plain, prefill(plain.backbone, prepare_inputs(reader, [image])))
    start = reader.start_token
    loss = say_loss(plain, thought, said, labels, torch.tensor([False]), start)
    tokens = plain.latent_tokens
    words = plain.backbone.get_input_embeddings()(torch.tensor([start, 40, 50]))
    rest = torch.cat([tokens.context_embeds, tokens.emotion_embed, words])
    logits = plain.backbone.lm_head(whole_forward(plain, reader, image, rest)[K + 1 :])
    wanted = nn.functional.cross_entropy(logits, labels[0, :3])
    torch.testing.assert_close(loss, wanted, atol=2e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("sides", [ALIKE, MIXED], ids=["alike", "left-padded"])
def test_a_batch_reads_and_says_like_its_single_pictures(
    reader: Reader, sides: tuple[tuple[int, int], ...]
) -> None:
    reasoner, pictures = reader.reasoner, images(*sides)
    inputs = prepare_inputs(reader, pictures)
    lengths = inputs["attention_mask"].sum(1)
    if sides is MIXED:
        assert len(set(lengths.tolist())) == 3
        assert inputs["attention_mask"][0, 0] == 0  # the padding is on the left
    together = think(reasoner, prefill(reasoner.backbone, inputs))
    gists = torch.tensor([True, False, True])
    said = say(reasoner, together, reader.start_token, reader.end_token, 6)
    words = torch.tensor([[40, 41, 42], [43, 44, 45], [46, 47, 48]])
    for i, picture in enumerate(pictures):
        single = prefill(reasoner.backbone, prepare_inputs(reader, [picture]))
        thought = think(reasoner, single)
        assert single.next_position[0] == together.next_position[i] - K - 1
        for name in ("context_latents", "emotion_latent"):
            one, many = getattr(thought, name)[0], getattr(together, name)[i]
            torch.testing.assert_close(many, one, atol=2e-5, rtol=1e-4)
        alone = say(reasoner, thought, reader.start_token, reader.end_token, 6)
        assert alone == [said[i]]
        # the loss of row i alone, from the batch and from the single picture
        labels = torch.full((3, 3), -100)
        labels[i] = words[i]
        batch = think(reasoner, prefill(reasoner.backbone, inputs))
        one = think(reasoner, prefill(reasoner.backbone, prepare_inputs(reader, [picture])))
        args = (gists[i : i + 1], reader.start_token)
        torch.testing.assert_close(
            say_loss(reasoner, batch, words, labels, gists, reader.start_token),
            say_loss(reasoner, one, words[i : i + 1], words[i : i + 1], *args),
            atol=2e-5,
            rtol=1e-4,
        )


@torch.no_grad()
def test_features_computed_before_give_the_same_prefix_without_the_vision_tower(
    reader: Reader,
) -> None:
    reasoner = reader.reasoner
    inputs = prepare_inputs(reader, images(*ALIKE))
    direct = prefill(reasoner.backbone, inputs)
    features = vision_features(reasoner.backbone, inputs)
    calls: list[int] = []
    tower = reasoner.backbone.model.visual
    handle = tower.register_forward_hook(lambda *_: calls.append(1))
    cached = prefill(reasoner.backbone, inputs, features)
    assert calls == []
    prefill(reasoner.backbone, inputs)
    handle.remove()
    assert calls == [1]
    for one, other in zip(direct.keys + direct.values, cached.keys + cached.values, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    assert torch.equal(direct.next_position, cached.next_position)


def thought_prefix(reader: Reader) -> Prefix:
    return prefill(reader.reasoner.backbone, prepare_inputs(reader, images(*ALIKE)[:2]))


@torch.no_grad()
def test_each_latent_feeds_the_next_step(reader: Reader, plain: EmotionReasoner) -> None:
    prefix = thought_prefix(reader)
    noise = torch.zeros(2, K, H)
    noise[:, 0] = 1.0
    clean, noisy = think(reader.reasoner, prefix), think(reader.reasoner, prefix, noise=noise)
    assert torch.equal(noisy.context_means[:, 0], clean.context_means[:, 0])
    assert torch.equal(noisy.context_latents[:, 0], clean.context_latents[:, 0] + 1.0)
    for k in range(1, K):
        assert not torch.allclose(noisy.context_means[:, k], clean.context_means[:, k], atol=1e-3)
    assert not torch.allclose(noisy.emotion_latent, clean.emotion_latent, atol=1e-3)
    # drawn latents, given back, are the same action
    again = think(reader.reasoner, prefix, given=noisy.context_latents)
    assert torch.equal(again.emotion_latent, noisy.emotion_latent)
    assert torch.equal(again.context_means, noisy.context_means)
    # a gate of 0 cuts the chain
    gate = reader.tokens.recurrent_gate.data.clone()
    reader.tokens.recurrent_gate.data.zero_()
    cut, still = think(reader.reasoner, prefix), think(reader.reasoner, prefix, noise=noise)
    reader.tokens.recurrent_gate.data.copy_(gate)
    assert torch.equal(cut.emotion_latent, still.emotion_latent)


@torch.no_grad()
def test_a_prefix_is_not_changed_by_thinking_or_saying(reader: Reader) -> None:
    prefix = thought_prefix(reader)
    before = [t.clone() for t in prefix.keys + prefix.values]
    first = think(reader.reasoner, prefix)
    said = say(reader.reasoner, first, reader.start_token, reader.end_token, 3)
    second = think(reader.reasoner, prefix)
    assert all(map(torch.equal, before, prefix.keys + prefix.values))
    assert torch.equal(first.emotion_latent, second.emotion_latent)
    assert said == say(reader.reasoner, second, reader.start_token, reader.end_token, 3)


@torch.no_grad()
def test_gist_hides_the_picture_from_the_rationale(reader: Reader) -> None:
    """After thinking, only the prefix's part of the cache is disturbed."""
    reasoner, prefix = reader.reasoner, thought_prefix(reader)
    words = torch.tensor([[40, 41, 42], [43, 44, 45]])

    def losses_and_words(disturb: bool, gist: bool) -> tuple[float, list[list[int]]]:
        found = []
        for _ in range(2):
            thought = think(reasoner, prefix.select(torch.arange(2)))
            if disturb:
                generator = torch.Generator().manual_seed(1)
                for layer in thought.cache.layers:
                    for part in (layer.prefix_keys, layer.prefix_values):
                        part += 3 * torch.randn(part.shape, generator=generator)
            found.append(thought)
        masks = torch.tensor([gist, gist])
        loss = say_loss(reasoner, found[0], words, words, masks, reader.start_token)
        said = say(reasoner, found[1], reader.start_token, reader.end_token, 8, gist)
        return float(loss), said

    assert losses_and_words(True, gist=True) == losses_and_words(False, gist=True)
    open_loss, open_words = losses_and_words(False, gist=False)
    other_loss, other_words = losses_and_words(True, gist=False)
    assert abs(open_loss - other_loss) > 1e-3
    assert open_words != other_words
    assert abs(open_loss - losses_and_words(False, gist=True)[0]) > 1e-4


@torch.no_grad()
def test_with_the_gist_mask_the_words_still_come_through_the_latents(reader: Reader) -> None:
    reasoner, prefix = reader.reasoner, thought_prefix(reader)
    words, gist = torch.tensor([[40, 41, 42], [43, 44, 45]]), torch.tensor([True, True])

    def loss(noise: torch.Tensor | None) -> float:
        thought = think(reasoner, prefix, noise=noise)
        return float(say_loss(reasoner, thought, words, words, gist, reader.start_token))

    torch.manual_seed(2)
    assert abs(loss(None) - loss(torch.randn(2, K, H))) > 1e-4


@torch.no_grad()
def test_block_context_changes_the_answer_and_is_a_true_block(
    plain: EmotionReasoner, reader: Reader
) -> None:
    prefix = thought_prefix(reader)
    for reasoner in (plain, reader.reasoner):
        free = think(reasoner, prefix).emotion_latent
        blocked = think(reasoner, prefix, block_context=True).emotion_latent
        assert not torch.allclose(free, blocked, atol=1e-3)
    # without recurrence nothing of [CTX] is left: its embeddings do not matter any more
    embeds = plain.latent_tokens.context_embeds
    kept = embeds.data.clone()
    embeds.data.normal_()
    other, moved = think(plain, prefix, block_context=True), think(plain, prefix)
    embeds.data.copy_(kept)
    assert torch.equal(other.emotion_latent, blocked_plain(plain, prefix))
    assert not torch.allclose(moved.emotion_latent, think(plain, prefix).emotion_latent, atol=1e-3)


def blocked_plain(plain: EmotionReasoner, prefix: Prefix) -> torch.Tensor:
    return think(plain, prefix, block_context=True).emotion_latent


def test_gradients_reach_every_new_part(reader: Reader) -> None:
    reasoner = EmotionReasoner(
        build_toy_reader(reader.tokenizer, 1, H, 1).requires_grad_(False).eval(),
        *(K, True, ("mikels8",), 32, 0),
    )
    add_adapter(reasoner.backbone, lora_config(2, 4, 0.0), ADAPTER, 0)
    adapter = train_adapter(reasoner.backbone, ADAPTER, True)
    inputs = prepare_inputs(replace(reader, reasoner=reasoner), images(*ALIKE)[:2])

    def backward() -> None:
        thought = think(reasoner, prefill(reasoner.backbone, inputs))
        loss = reasoner.logits(thought.emotion_latent).logsumexp(-1).sum()
        loss = loss + reasoner.context_projector(thought.context_latents)[:, 0].sum()
        loss.backward()

    backward()
    optimizer = torch.optim.SGD(adapter, lr=1.0)
    optimizer.step()  # B was 0, so A had no gradient before this
    reasoner.zero_grad()
    backward()
    named = dict(reasoner.named_parameters())
    wanted = [n for n in named if ".lora_" in n]
    assert len(wanted) == 14
    wanted += [f"latent_tokens.{n}" for n in ("context_embeds", "emotion_embed", "recurrent_gate")]
    wanted += [f"heads.mikels8.net.{i}.weight" for i in (0, 2)] + ["context_projector.net.weight"]
    for name in wanted:
        gradient = named[name].grad
        assert gradient is not None and bool(gradient.any()), name
    each = named["latent_tokens.context_embeds"].grad
    assert each is not None and bool(each.any(dim=1).all())  # every [CTX], the first one too
    frozen = [n for n in named if n.startswith("backbone.") and ".lora_" not in n]
    assert all(named[n].grad is None for n in frozen)


def test_prefix_select_repeats_rows(reader: Reader) -> None:
    with torch.no_grad():
        prefix = thought_prefix(reader)
        repeated = prefix.select(torch.tensor([1, 1, 0]))
        single, many = think(reader.reasoner, prefix), think(reader.reasoner, repeated)
    torch.testing.assert_close(
        many.emotion_latent, single.emotion_latent[[1, 1, 0]], atol=1e-5, rtol=1e-4
    )


def test_same_seed_same_start(reader: Reader) -> None:
    one, two, other = (
        EmotionReasoner(reader.reasoner.backbone, K, True, ("mikels8",), 32, seed)
        for seed in (7, 7, 8)
    )
    for name in ("latent_tokens.context_embeds", "heads.mikels8.net.0.weight"):
        a, b, c = (dict(m.named_parameters())[name] for m in (one, two, other))
        assert torch.equal(a, b) and not torch.equal(a, c)
    table = reader.reasoner.backbone.get_input_embeddings().weight
    deviation = float(one.latent_tokens.context_embeds.detach().std())
    assert deviation == pytest.approx(float(table.std()), rel=0.2)
