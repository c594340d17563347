"""A question about a sample with a label as its answer: what tasks on emotions share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.tasks.task import Task, measure_labels, parse_label, reward_labels
from emosym.types import Conversation, Frame, Message, Sample

# `emosym` is the published wording; `speaker` asks of words (`text_emotion`); `turns` stands before
# a conversation that is read all turns at once.
QUESTIONS: dict[str, str] = {
    "emosym": "What is the emotion of the image?",
    "picture": "What does this picture make a viewer feel, and why?",
    "speaker": "What emotion does the speaker feel?",
    "turns": "What emotion does each speaker feel?",
}


def label_task(name: str, space: LabelSpace, template: str) -> Task:
    """Return the task of answering one of the QUESTIONS with a label of a space."""
    question = QUESTIONS[template]
    parse = partial(parse_label, labels=space.labels)
    return Task(
        name,
        space,
        conversation=lambda sample: ask(sample, question),
        teach=lambda sample: teach(sample, question, name),
        parse=parse,
        measure=lambda predictions, truths: measure_labels(predictions, truths, space),
        reward=lambda completions, label=(), **_: reward_labels(parse, completions, label),
    )


def ask(sample: Sample, question: str) -> Conversation:
    """Return what a sample shows and the question; see `shown`.

    Raises:
        UsageError: when the sample has neither.
    """
    return (Message("user", (*shown(sample), question)),)


def shown(sample: Sample) -> Sequence[str | Frame]:
    """Return what a conversation shows of a sample, up to the turn in question, which comes last.

    One picture is shown alone. Of anything else each turn shows its pictures, then its words, a
    line a turn with its speaker's name.
    """
    if sample.is_picture:
        return sample.images
    last = len(sample.turns) if sample.focus is None else sample.focus + 1
    parts: list[str | Frame] = []
    for turn in sample.turns[:last]:
        parts += turn.frames
        if turn.text and turn.text.strip():
            line = _line(turn.speaker, turn.text) + "\n"
            before = parts[-1] if parts else None
            if isinstance(before, str):
                parts[-1] = before + line
            else:
                parts.append(line)
    if not parts:
        raise UsageError(f"Sample {sample.id!r} has neither a picture nor words.")
    return parts


def _line(speaker: str | None, text: Any) -> str:
    return f"{speaker}: {text}" if speaker else str(text)


def teach(sample: Sample, question: str, task: str) -> Conversation:
    """Return the question with the true label of a task as its answer.

    Raises:
        UsageError: when the sample has no label.
    """
    label = sample.label_of(task)
    if label is None:
        raise UsageError(f"Sample {sample.id!r} has no label for {task}.")
    answer = Message("assistant", (f"{label.capitalize()}.",), learned=True)
    return (*ask(sample, question), answer)
