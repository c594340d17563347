"""A stock reader: the likelihood of each emotion word as its answer, divided by a prior."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image

from emosym.emotions import LabelSpace
from emosym.models.chat import ChatModel
from emosym.models.presets import Base
from emosym.models.reader.answering import answer
from emosym.models.reader.backbone import open_chat
from emosym.models.reader.likelihood import (
    Answers,
    answer_tokens,
    content_free_pictures,
    corrected,
    log_prior,
    pack_answers,
    word_likelihoods,
)
from emosym.pipelines.trained_reading import described
from emosym.types import UnderstandingOutput

QUESTION = (
    "Which of these emotions does this picture evoke most in a viewer: {labels}? "
    "Answer with one word of the list only."
)
WHY = "Why might this picture evoke {emotion}? Answer in one or two sentences."


@dataclass(frozen=True, slots=True)
class ZeroShotReader:
    """A stock model and the label words it chooses from.

    `prior` (L,) are the log-shares of the words where there is nothing to see. `speaking` holds
    while the model answers in words: transformers keeps a text's positions on the model.
    """

    chat: ChatModel
    space: LabelSpace
    question: str
    answers: Answers
    prior: torch.Tensor
    speaking: threading.Lock = field(default_factory=threading.Lock)


def question_for(space: LabelSpace) -> str:
    """Return what a stock reader is asked of every picture."""
    return QUESTION.format(labels=", ".join(space.labels))


def open_reader(
    base: Base, space: LabelSpace, device: str = "cpu", four_bit: bool = False
) -> ZeroShotReader:
    """Open a base's reader and measure its prior over the labels; errors as in `open_chat`."""
    return reader_of(open_chat(base, device, four_bit), space)


def reader_of(chat: ChatModel, space: LabelSpace) -> ZeroShotReader:
    """Measure a model's prior over the labels where there is nothing to see."""
    rows = [answer_tokens(chat, label) for label in space.labels]
    answers = pack_answers(rows, chat.device)
    question = question_for(space)
    nothing = content_free_pictures(chat.image_size)
    prior = log_prior(word_likelihoods(chat, nothing, question, answers))
    return ZeroShotReader(chat, space, question, answers, prior)


def likelihoods(reader: ZeroShotReader, pictures: Sequence[Image.Image]) -> torch.Tensor:
    """Return log p(word | picture) of every label, (B, L), before the prior correction."""
    return word_likelihoods(reader.chat, pictures, reader.question, reader.answers)


def read_words(
    reader: ZeroShotReader, pictures: Sequence[Image.Image], explain: bool = False
) -> list[UnderstandingOutput]:
    """Read RGB pictures as one batch; with `explain` the model says why, naming its answer."""
    if not pictures:
        return []
    found = likelihoods(reader, pictures)  # (B, L)
    if not explain:
        return word_readings(reader, found)
    top = corrected(found, reader.prior).argmax(dim=-1).tolist()
    asked = [WHY.format(emotion=reader.space.labels[i]) for i in top]
    with reader.speaking:
        said = answer(reader.chat, pictures, asked)
    return word_readings(reader, found, said)


def word_readings(
    reader: ZeroShotReader, found: torch.Tensor, said: Sequence[str] | None = None
) -> list[UnderstandingOutput]:
    """Return readings of log p(word | what was shown) (B, L); `said` (B,) are their reasons."""
    labels = reader.space.labels
    shares = corrected(found, reader.prior).numpy()  # (B, L)
    raw = found.softmax(dim=-1).tolist()
    return [
        UnderstandingOutput(
            **described(reader.space, shares[i]),
            in_domain=None,
            outside=None,
            emotion_latent=np.empty(0, np.float32),
            context_latents=np.empty((0, 0), np.float32),
            rationale=None if said is None else said[i] or None,
            raw_probabilities=dict(zip(labels, raw[i], strict=True)),
        )
        for i in range(len(found))
    ]
