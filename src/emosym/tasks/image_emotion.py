"""The emotion that a picture evokes, in the question's two wordings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.tasks.task import Task, measure_labels, parse_label, reward_labels
from emosym.types import IMAGE_EMOTION, Conversation, Frame, Message, Sample

# `emosym` is the published wording.
QUESTIONS: dict[str, str] = {
    "emosym": "What is the emotion of the image?",
    "picture": "What does this picture make a viewer feel, and why?",
}


def image_emotion(space: LabelSpace, template: str = "emosym") -> Task:
    """Return the task for a label space and one of the QUESTIONS."""
    question = QUESTIONS[template]
    parse = partial(parse_label, labels=space.labels)
    return Task(
        IMAGE_EMOTION,
        space,
        conversation=lambda sample: ask(sample, question),
        teach=lambda sample: teach(sample, question),
        parse=parse,
        measure=lambda predictions, truths: measure_labels(predictions, truths, space),
        reward=lambda completions, label=(), **_: reward_labels(parse, completions, label),
    )


def ask(sample: Sample, question: str) -> Conversation:
    """Return the sample's pictures and the question.

    Words are shown where there is no picture, a line a turn with its speaker's name.

    Raises:
        UsageError: when the sample has neither.
    """
    return (Message("user", (*shown(sample), question)),)


def shown(sample: Sample) -> Sequence[str | Frame]:
    """Return what a conversation shows of a sample: its pictures, or else its words."""
    if sample.images:
        return sample.images
    lines = [_line(turn.speaker, turn.text) for turn in sample.turns if turn.text]
    if not lines:
        raise UsageError(f"Sample {sample.id!r} has neither a picture nor words.")
    return ("\n".join(lines) + "\n",)


def _line(speaker: str | None, text: Any) -> str:
    return f"{speaker}: {text}" if speaker else str(text)


def teach(sample: Sample, question: str) -> Conversation:
    """Return the question with the true label as its answer.

    Raises:
        UsageError: when the sample has no label.
    """
    label = sample.label_of(IMAGE_EMOTION)
    if label is None:
        raise UsageError(f"Sample {sample.id!r} has no label for {IMAGE_EMOTION}.")
    answer = Message("assistant", (f"{label.capitalize()}.",), learned=True)
    return (*ask(sample, question), answer)
