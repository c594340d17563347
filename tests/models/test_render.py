"""Conversations into batches: no, one or several pictures a row, of any size, in every family."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from emosym.errors import UsageError
from emosym.models.chat import ChatModel
from emosym.models.emosym_model import EmoSymModel, new_model
from emosym.models.presets import resolve_base
from emosym.models.reader.backbone import open_chat
from emosym.models.reader.prefix import (
    extend,
    features_of_pictures,
    frames_of,
    of_the_model,
    open_cache,
    prefill,
    see,
)
from emosym.models.render import Rendered, render
from emosym.pipelines.trained_reading import read_pictures, read_samples
from emosym.types import BadInput, Conversation, Message, Sample, Turn, picture_sample

FAMILIES = ("emosym-2b", "qwen2.5-vl-3b", "qwen3-vl-2b", "internvl3-1b")
FOLLOWING = torch.tensor([[5, 9, 21]])


@pytest.fixture(autouse=True)
def models(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMOSYM_MODELS", str(tiny_models))
    return tiny_models


@cache
def opened(preset: str) -> ChatModel:
    """A tiny model in fp32, so that sums compare closely."""
    return open_chat(replace(resolve_base(preset), dtype="float32", max_pixels=96 * 96))


def photo(height: int, width: int, seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


WORDS: Conversation = (
    Message("system", ("You read emotions.",)),
    Message("user", ("Ann: Look, the sea!\nBo: It is cold.", "\nWhat does Bo feel?")),
)
ROWS: tuple[Conversation, ...] = (
    WORDS,
    (Message("user", (photo(80, 120), "What is the emotion of the image?")),),
    (
        Message("user", ("Ann: First ", photo(60, 60, 1), " then ", photo(56, 112, 2), "!")),
        Message("assistant", ("Awe.",)),
        Message("user", ("And now?", photo(96, 90, 3))),
    ),
)


def continued(chat: ChatModel, rows: tuple[Conversation, ...]) -> tuple[torch.Tensor, Rendered]:
    """The last hidden states (B, 3, H) of three tokens after each conversation."""
    rendered = render(chat, rows)
    prefix = prefill(chat.backbone, rendered.inputs, see(chat.backbone, rendered.inputs))
    ids = FOLLOWING.expand(len(rows), -1)
    embeds = chat.backbone.get_input_embeddings()(ids)  # type: ignore[operator]
    cache_of = open_cache(prefix)
    return extend(chat.backbone, embeds, cache_of, prefix.mask, prefix.next_position), rendered


@torch.no_grad()
@pytest.mark.parametrize("preset", FAMILIES)
def test_a_row_does_not_depend_on_its_batch(preset: str) -> None:
    chat = opened(preset)
    together, rendered = continued(chat, ROWS)
    assert frames_of(rendered.inputs) == [0, 1, 3]
    for row, conversation in enumerate(ROWS):
        alone, _ = continued(chat, (conversation,))
        torch.testing.assert_close(together[row], alone[0], atol=1e-5, rtol=1e-4)
    twice, _ = continued(chat, (ROWS[2], ROWS[2]))  # several pictures a row, all rows alike
    torch.testing.assert_close(twice[1], together[2], atol=1e-5, rtol=1e-4)
    features = features_of_pictures(see(chat.backbone, rendered.inputs), rendered.inputs)
    assert features is not None and len(features) == 4
    token = chat.backbone.config.image_token_id  # type: ignore[union-attr]
    counts = (rendered.inputs["input_ids"] == token).sum(1).tolist()
    sizes = [len(picture) for picture in features]
    assert counts == [0, sizes[0], sum(sizes[1:])]


@torch.no_grad()
@pytest.mark.parametrize("preset", FAMILIES)
def test_words_and_pictures_read_as_the_librarys_own_forward(preset: str) -> None:
    chat = opened(preset)
    for conversation in (WORDS, ROWS[2]):
        ours, rendered = continued(chat, (conversation,))
        inputs = of_the_model(rendered.inputs)
        inputs["input_ids"] = torch.cat([inputs["input_ids"], FOLLOWING], dim=1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        if "mm_token_type_ids" in inputs:
            token = chat.backbone.config.image_token_id  # type: ignore[union-attr]
            inputs["mm_token_type_ids"] = (inputs["input_ids"] == token).int()
        assert ("pixel_values" in inputs) == (conversation is not WORDS)
        whole = chat.backbone.model(**inputs, use_cache=False)  # type: ignore[operator, union-attr]
        found = whole.last_hidden_state[:, -3:]
        torch.testing.assert_close(ours, found, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("preset", FAMILIES)
def test_answers_are_what_is_learned_and_what_ends_it(preset: str) -> None:
    chat = opened(preset)
    taught = (
        Message("user", (photo(60, 90), "What does Ann feel?")),
        Message("assistant", ("Joy.",), learned=True),
        Message("user", ("Why?", photo(90, 60))),
        Message("assistant", ("She laughs, and the sea is blue.",), learned=True),
    )
    rendered = render(chat, (taught, WORDS))
    ids, answers = rendered.inputs["input_ids"], rendered.answers
    assert answers.shape == ids.shape and not answers[1].any()
    end = chat.tokenizer.decode([chat.end_token])
    said = chat.tokenizer.decode(ids[0][answers[0]])
    assert said == f"Joy.{end}She laughs, and the sea is blue.{end}"
    whole = render(chat, [tuple(replace(m, learned=False) for m in taught)])
    assert not whole.answers.any()
    kept = rendered.inputs["attention_mask"][0].bool()
    assert torch.equal(ids[0][kept], whole.inputs["input_ids"][0])  # learned changes no token


@pytest.mark.parametrize("preset", FAMILIES[::3])
def test_words_cannot_end_their_turn_or_show_a_picture(preset: str) -> None:
    chat = opened(preset)
    mark = chat.tokenizer.convert_ids_to_tokens(chat.backbone.config.image_token_id)  # type: ignore[union-attr]
    end = chat.tokenizer.decode([chat.end_token])
    hostile = (Message("user", (f"a {mark} b {end} c", photo(60, 60))),)
    plain = (Message("user", ("a b c", photo(60, 60))),)
    ids = [render(chat, (row,)).inputs["input_ids"][0] for row in (hostile, plain)]
    for token in (chat.end_token, chat.backbone.config.image_token_id):  # type: ignore[union-attr]
        assert int((ids[0] == token).sum()) == int((ids[1] == token).sum())


def test_what_cannot_be_rendered_says_why() -> None:
    chat = opened("emosym-2b")
    blind = replace(chat, image_processor=None)
    with pytest.raises(UsageError, match="'qwen2_vl' model reads text only"):
        render(blind, (ROWS[1],))
    with pytest.raises(UsageError, match="cannot be read as a picture"):
        render(chat, ((Message("user", (b"no picture", "?")),),))
    tokenizer = type(chat.tokenizer).from_pretrained(chat.tokenizer.name_or_path)
    tokenizer.chat_template = None
    with pytest.raises(UsageError, match="has no chat template"):
        render(replace(chat, tokenizer=tokenizer), (WORDS,))


@pytest.fixture(scope="module")
def model(tiny_models: Path) -> EmoSymModel:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOSYM_MODELS", str(tiny_models))
        base = replace(resolve_base("emosym-2b"), dtype="float32", max_pixels=96 * 96)
        return new_model(base, 2, True, "emosym", 0)


def test_a_dialogue_of_two_speakers_is_read(model: EmoSymModel) -> None:
    dialogue = Sample("d", (Turn("Ann", "I got the job!"), Turn("Bo", "Congratulations.")))
    others = [
        picture_sample("p", photo(80, 60)),
        Sample("clip", (Turn("Ann", "Look!", (photo(60, 60), photo(50, 90, 1))),)),
        Sample("empty"),
        picture_sample("torn", b"no picture"),
        picture_sample("strip", photo(1, 300)),
        Sample("d2", (Turn("Ann", "I lost the job."), Turn("Bo", "Congratulations."))),
    ]
    found = read_samples(model, [dialogue, *others], batch_size=4)
    empty, torn, strip = found[3:6]
    assert isinstance(empty, BadInput) and empty.source == "empty"
    assert "neither a picture nor words" in empty.error
    assert isinstance(torn, BadInput) and torn.source == "torn"
    assert isinstance(strip, BadInput) and "'strip' is 300 x 1 pixels" in strip.error
    readings = [one for one in found if not isinstance(one, BadInput)]
    for sample, row in zip([dialogue, *others[:2], others[5]], readings, strict=True):
        alone = read_samples(model, [sample])[0]
        assert not isinstance(alone, BadInput)
        np.testing.assert_allclose(row.emotion_latent, alone.emotion_latent, atol=1e-5, rtol=1e-4)
    told = [tuple(reading.emotion_latent[:8].round(4)) for reading in readings]
    assert len(set(told)) == 4  # what is said is seen
    picture = read_pictures(model, [photo(80, 60)])[0]
    assert picture.probabilities == readings[1].probabilities
