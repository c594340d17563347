"""Pretraining the reader: dialogues as its chat template writes them, loss on answers only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from emosym.data import storybook
from emosym.emotions import WORD_NORMS
from emosym.models.reader.toy import build_toy_reader
from emosym.models.reader.vision import patchify
from emosym.models.tokenizer import IMAGE_PAD, train_tokenizer
from emosym.training.storybook.reader import (
    DESCRIBE,
    STANDS_OUT,
    PictureText,
    chat_tokens,
    collate_dialogues,
    describe,
    dialogue,
    image_tokens_of,
    reader_loss,
    tokenize_texts,
    train_reader,
)

STORIES = [storybook.draw_story(3, i) for i in range(12)]


@pytest.fixture(scope="module")
def tokenizer():
    captions = [storybook.caption_of(s) for s in STORIES]
    return train_tokenizer([*captions, DESCRIBE, STANDS_OUT], 330)


@pytest.fixture(scope="module")
def texts(tokenizer) -> list[PictureText]:
    return tokenize_texts(
        tokenizer,
        [storybook.caption_of(s) for s in STORIES],
        [storybook.rationale_of(s) for s in STORIES],
        [storybook.questions_of(s) for s in STORIES],
    )


def test_no_emotion_word_is_ever_taught() -> None:
    for index in range(400):
        story = storybook.draw_story(11, index)
        said = [storybook.caption_of(story), storybook.rationale_of(story)]
        said += [part for pair in storybook.questions_of(story) for part in pair]
        found = [word for word in WORD_NORMS for text in said if word in text.lower()]
        assert found == [], (index, found)


def turns_of(kind: str, story: storybook.Story) -> list[tuple[str, str]]:
    if kind == "describe":
        return [(DESCRIBE, storybook.caption_of(story))]
    return [(STANDS_OUT, storybook.rationale_of(story))]


@pytest.mark.parametrize("kind", ["describe", "stands_out"])
def test_a_dialogue_is_what_the_chat_template_writes(tokenizer, texts, kind: str) -> None:
    chat = chat_tokens(tokenizer, 16)
    ids, labels = dialogue(chat, texts[0], kind, np.random.default_rng(0))
    question, answer = turns_of(kind, STORIES[0])[0]
    messages = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]},
        {"role": "assistant", "content": answer},
    ]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert tokenizer.decode(ids) == text.replace(IMAGE_PAD, IMAGE_PAD * 16)
    kept = [token for token in labels if token != -100]
    assert tokenizer.decode(kept) == f"{answer}<|im_end|>"
    assert all(label in (-100, token) for token, label in zip(ids, labels, strict=True))


def test_questions_share_one_picture(tokenizer, texts) -> None:
    chat = chat_tokens(tokenizer, 16)
    ids, labels = dialogue(chat, texts[0], "questions", np.random.default_rng(0))
    text, pairs = tokenizer.decode(ids), dict(storybook.questions_of(STORIES[0]))
    assert text.count("<|vision_start|>") == 1
    turns = text.split("<|im_start|>user\n")[1:]
    assert len(turns) == min(6, len(pairs))
    asked = [
        turn.split("<|vision_end|>")[-1].split("<|im_end|>\n<|im_start|>assistant\n")
        for turn in turns
    ]
    for question, answer in asked:
        assert answer == f"{pairs[question]}<|im_end|>\n"
    kept = tokenizer.decode([token for token in labels if token != -100])
    assert kept == "".join(f"{pairs[q]}<|im_end|>" for q, _ in asked)


def test_equal_texts_are_tokenized_once(texts) -> None:
    answers = [a for text in texts for _, a in text.questions]
    assert len({id(a) for a in answers}) == len({tuple(a) for a in answers}) < len(answers)


def test_padding() -> None:
    tokens, labels = collate_dialogues([([1, 2, 3], [-100, 2, 3]), ([4], [4])], pad=0)
    assert tokens.tolist() == [[1, 2, 3, 0, 0, 0, 0, 0], [4, 0, 0, 0, 0, 0, 0, 0]]
    assert labels.tolist() == [[-100, 2, 3, *[-100] * 5], [4, *[-100] * 7]]


@torch.no_grad()
def test_the_loss_is_the_librarys(tokenizer, texts, tiny_pictures) -> None:
    model = build_toy_reader(tokenizer, 0, 96, 1).eval()
    chat = chat_tokens(tokenizer, image_tokens_of(model))
    rng = np.random.default_rng(0)
    rows = [dialogue(chat, text, "describe", rng) for text in texts[:3]]
    pictures = torch.from_numpy(tiny_pictures.pictures[:3])
    together = reader_loss(model, pictures, *collate_dialogues(rows, 0))
    total = count = 0.0
    for i, row in enumerate(rows):
        tokens, labels = collate_dialogues([row], 0)
        values, grid = patchify(pictures[i : i + 1], 8, 2, 2)
        wanted = model(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            mm_token_type_ids=(tokens == model.config.image_token_id).int(),
            pixel_values=values,
            image_grid_thw=grid,
            labels=labels,
        ).loss
        number = int((labels[:, 1:] != -100).sum())
        total, count = total + float(wanted) * number, count + number
    assert float(together) == pytest.approx(total / count, rel=1e-4)


def test_every_parameter_trains_and_a_second_call_goes_on(
    tokenizer, texts, tiny_pictures, tmp_path: Path
) -> None:
    def train(steps: int) -> torch.nn.Module:
        return train_reader(
            *(tmp_path, tokenizer, tiny_pictures.pictures[:12], texts, 0, steps, 4),
            hidden_size=96,
            layers=1,
            bf16=False,
        )

    start = dict(build_toy_reader(tokenizer, 0, 96, 1).named_parameters())
    model = train(3)
    still = {n for n, p in model.named_parameters() if torch.equal(p, start[n])}
    assert still == set() and not model.training
    again = train(3)  # finished: nothing is trained again, the averaged weights come back
    for name, parameter in again.named_parameters():
        assert torch.equal(parameter, dict(model.named_parameters())[name]), name
    said = describe(model, tokenizer, tiny_pictures.pictures[:2], max_new_tokens=4)
    assert len(said) == 2 and all(isinstance(text, str) for text in said)
