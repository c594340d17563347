"""Context tokens after sentences: where they stand, and that each reads as if the text ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from emosym.config.load import resolve_recipe
from emosym.errors import UsageError
from emosym.models.emosym_model import new_model
from emosym.models.reader.prefix import (
    STOPS,
    Prefix,
    Stops,
    extend,
    grow,
    open_cache,
    prefill,
    seen_at,
)
from emosym.models.reader.reader import Reader, prepare_samples, sentence_marks, stops_of
from emosym.models.reader.reasoner import Thought, think
from emosym.types import Sample, Turn

K = 3
GREY = Image.new("RGB", (64, 64), "grey")


def told(*sentences: str) -> Sample:
    return Sample("a", (Turn(frames=(GREY,), text=" ".join(sentences)),), 0)


@pytest.fixture(params=[True, False], ids=["chain", "side by side"])
def reader(tiny_base: Path, request: pytest.FixtureRequest) -> Reader:
    found = new_model(str(tiny_base), K, request.param, "emosym", 0, after="sentences").reader
    if request.param:
        torch.manual_seed(0)
        found.tokens.recurrent_gate.data.normal_(0, 0.05)
    return found


def test_stops_by_hand() -> None:
    # two pictures' tokens, two sentences, a question of one sentence
    assert stops_of([0, 6, 9, 14], [3, 4], 1) == [5, 7, 10]
    assert stops_of([6, 9], [], 0) == [7, 10]
    assert stops_of([14], [3], 1) == [4] and stops_of([], [], 0) == [1]


@torch.no_grad()
def test_each_stands_at_the_end_of_its_sentence(reader: Reader) -> None:
    one, three = told("It rained."), told("It rained!", "A dog. Came.", "Then it was dry.")
    inputs = prepare_samples(reader, [told(), one, three])
    ends = sentence_marks(reader.tokenizer)
    for row, count in ((0, 0), (1, 1), (2, 3)):
        ids, stops = inputs["input_ids"][row].tolist(), inputs[STOPS][row].tolist()
        begin = max(i for i, t in enumerate(ids) if t == reader.chat.backbone.config.image_token_id)
        assert stops[0] == (begin + 1 if count < K else stops[0])
        later = [stop for stop in stops if stop > begin + 1]
        assert len(later) == min(count, K) and all(ids[stop - 1] in ends for stop in later)
        heard = reader.tokenizer.decode(ids[begin + 1 : stops[-1]])
        wanted = ("", "It rained.", "It rained! A dog. Came. Then it was dry.")[row]
        assert heard.split("\n")[0].removeprefix("<|vision_end|>") == wanted
    # of four sentences the last three have a token each
    assert all(stop > begin + 1 for stop in inputs[STOPS][2].tolist())


@torch.no_grad()
def test_what_comes_later_changes_no_earlier_latent(reader: Reader) -> None:
    def read(*sentences: str) -> Thought:
        inputs = prepare_samples(reader, [told(*sentences)])
        return think(reader.reasoner, prefill(reader.reasoner.backbone, inputs))

    one, other = read("It rained.", "A dog came."), read("It rained.", "Then it was dry.")
    for k, equal in ((0, True), (1, True), (2, False)):
        away = (one.context_latents[:, k] - other.context_latents[:, k]).abs().max()
        assert (float(away) < 1e-5) == equal
    # by hand: the text cut at the first stop, and one token after it
    inputs = prepare_samples(reader, [told("It rained.", "A dog came.")])
    stop = int(inputs[STOPS][0, 0])
    words = ("input_ids", "attention_mask", "mm_token_type_ids")
    alone = {name: v[:, :stop] if name in words else v for name, v in inputs.items()}
    del alone[STOPS]
    cut = prefill(reader.reasoner.backbone, alone)
    stops = Stops(torch.full((1, K), stop), cut.next_position[:, None].expand(1, K))
    found = think(reader.reasoner, replace(cut, stops=stops))
    torch.testing.assert_close(found.context_latents[:, 0], one.context_latents[:, 0])


def test_what_is_seen_of_a_sentence_alone_by_hand() -> None:
    # six columns, the first is padding; stops after two (twice), after four, after six
    columns = torch.tensor([[2, 2, 4, 6]])
    mask = torch.tensor([[False, True, True, True, True, True]])
    prefix = Prefix((), (), mask, torch.tensor([5]), Stops(columns, columns))
    grown = [torch.cat([mask, torch.ones(1, k, dtype=torch.bool)], dim=1) for k in range(4)]
    alone = [seen_at(prefix, grown[k], k, alone=True)[0].int().tolist() for k in range(4)]
    assert alone[0] == [0, 1, 0, 0, 0, 0]
    assert alone[1] == [0, 1, 0, 0, 0, 0, 0]  # waits, and sees as much
    assert alone[2] == [0, 0, 1, 1, 0, 0, 0, 0]
    assert alone[3] == [0, 0, 0, 0, 1, 1, 0, 0, 0]
    assert seen_at(prefix, grown[2], 2)[0].int().tolist() == [0, 1, 1, 1, 0, 0, 1, 1]


@torch.no_grad()
def test_alone_a_step_knows_the_rest_by_what_is_fed_back(tiny_base: Path) -> None:
    reader = new_model(str(tiny_base), K, True, "emosym", 0, after="own_sentence").reader
    tokens, reasoner = reader.tokens, reader.reasoner
    inputs = prepare_samples(reader, [told("It rained.", "Then it was dry.")])
    prefix = prefill(reasoner.backbone, inputs)

    def last(noise: float) -> torch.Tensor:
        changed = torch.zeros(1, K, tokens.emotion_embed.shape[1])
        changed[:, 0] = noise
        return think(reasoner, prefix, noise=changed).context_latents[:, -1]

    torch.testing.assert_close(last(0.0), last(5.0))  # the gate is closed
    torch.manual_seed(0)
    tokens.recurrent_gate.data.normal_(0, 0.05)
    assert (last(0.0) - last(5.0)).abs().max() > 1e-3


@torch.no_grad()
def test_alone_the_last_latent_is_all_that_the_emotion_token_sees(tiny_base: Path) -> None:
    chain, alone = (
        new_model(str(tiny_base), K, True, "emosym", 0, after=after).reader
        for after in ("sentences", "own_sentence")
    )
    backbone = alone.reasoner.backbone
    prefix = prefill(backbone, prepare_samples(alone, [told("It rained.", "Then it was dry.")]))
    thought = think(alone.reasoner, prefix)
    # by hand: [EMO] read after the same latents, with a mask that hides all but the last
    seen = thought.mask[:, :-1].clone()
    seen[:, thought.prefix_length : thought.prefix_length + K - 1] = False
    cache = open_cache(prefix)
    for k in range(K):
        step = alone.tokens.context_inputs()[k : k + 1][None]
        mask = seen_at(prefix, grow(prefix.mask, k), k, alone=True)
        extend(backbone, step, cache, mask, prefix.stops.places[:, k])
    emotion = extend(
        backbone, alone.tokens.emotion_embed[None], cache, seen, prefix.next_position + K
    )
    torch.testing.assert_close(thought.emotion_latent, emotion[:, 0], atol=1e-5, rtol=1e-4)
    other = think(chain.reasoner, prefix).emotion_latent
    assert (thought.emotion_latent - other).abs().max() > 1e-4


def test_what_cannot_stand_there_is_a_sentence(tiny_base: Path, tmp_path: Path) -> None:
    latents = {"num_context_tokens": 2, "after": "sentences"}
    raw = {"stage": "align", "out": str(tmp_path), "latents": latents}
    with pytest.raises(UsageError, match="w_distill speaks steps after the prompt"):
        resolve_recipe({**raw, "w_distill": 0.5}, "test")
    with pytest.raises(UsageError, match="template: turns reads turns"):
        resolve_recipe({**raw, "latents": {**latents, "template": "turns"}}, "test")
    alone = {**latents, "after": "own_sentence", "recurrent": False}
    with pytest.raises(UsageError, match="own_sentence feeds back all that is known"):
        resolve_recipe({**raw, "latents": alone}, "test")
    with pytest.raises(UsageError, match="a conversation is all prompt"):
        resolve_recipe({"stage": "m2se", "out": "a", "lora": {"prompt": False}}, "test")
