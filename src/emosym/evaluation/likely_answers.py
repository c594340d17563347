"""Tasks put to a language model itself: by the likelihood of few answers, else in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emosym.data.dataset import Dataset
from emosym.data.wheel_tables import Wheels
from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.evaluation.shown_examples import Examples, shown_before, voted_values
from emosym.evaluation.task_answers import Answered, answered
from emosym.metrics.choices import choice_values
from emosym.models.chat import ChatModel
from emosym.pipelines.likely_options import label_shares, likely_options, likely_words
from emosym.pipelines.task_reading import speak_words
from emosym.tasks.choice import options_of, plain
from emosym.tasks.names import open_task
from emosym.tasks.open_words import open_words
from emosym.tasks.statement import MARKS
from emosym.tasks.task import Task, task_labels
from emosym.types import (
    CHOICE,
    EMOTION_CHANGE,
    IMAGE_EMOTION,
    MER,
    NEXT_EMOTION,
    OPEN,
    STATEMENT,
    TEXT_EMOTION,
    Sample,
)

LIKELY = (STATEMENT, CHOICE)  # tasks with few answers, of which the likeliest counts
LABELLED = (IMAGE_EMOTION, TEXT_EMOTION, MER, EMOTION_CHANGE, NEXT_EMOTION)  # answered by one label
KINDS = ("question", "category")  # attributes of a multiple choice by which it is counted, too


def ask_tasks(
    chat: ChatModel,
    space: LabelSpace,
    names: Sequence[str],
    dataset: Dataset,
    batch_size: int = 8,
    spoken: bool = False,
    wheels: Wheels | None = None,
    examples: Examples | None = None,
) -> list[Answered]:
    """Return what a model answers in each task, about the samples whose truth is known.

    Statements, multiple choice, and labels that exclude each other are answered by likelihood; with
    `spoken`, and all others, in words. `examples` stand before the question.

    Raises:
        UsageError: when a data set has no truth of a task.
    """
    samples, found = list(dataset), []
    for name in names:
        task = open_words(wheels) if name == OPEN else open_task(name, space)
        known = [sample for sample in samples if task.name in sample.targets]
        if not known:
            raise UsageError(f"This data set tells nothing of the task {name!r}.")
        task, bank = shown_before(task, examples)
        if name in LIKELY and not spoken:
            one = likely_answered(chat, name, task, known, batch_size)
        elif name in LABELLED and task.space is not None and not task.space.several and not spoken:
            one = answered(name, task, known, likely_labels(chat, task, known, batch_size))
        else:
            one = answered(name, task, known, answers=speak_words(chat, task, known, batch_size))
        more = {**one.more, **voted_values(task, bank, known, examples)}
        found.append(replace(one, wheels=wheels, more=more))
    return found


def likely_labels(
    chat: ChatModel, task: Task, samples: Sequence[Sample], batch_size: int = 8
) -> list[str]:
    """Return the label whose answer is the likeliest, a sample each; samples of like length meet.

    Raises:
        UsageError: for a task whose answers are no labels.
    """
    shares = label_shares(chat, task, samples, batch_size)
    return [task_labels(task)[int(row.argmax())] for row in shares]


def likely_answered(
    chat: ChatModel, name: str, task: Task, samples: Sequence[Sample], batch_size: int = 8
) -> Answered:
    """Return the likeliest answers of one of the LIKELY tasks, with values of their shares."""
    if name == STATEMENT:
        asked = [task.conversation(sample) for sample in samples]
        words = [mark.capitalize() for mark in MARKS]
        shares = likely_words(chat, asked, words, batch_size)
        marks = [MARKS[place] for place in shares.argmax(axis=1)]
        one = answered(name, task, samples, marks)
        return replace(one, more={"said_correct": marks.count(MARKS[0]) / len(marks)})
    orders = likely_options(chat, samples, batch_size)
    options = [options_of(sample) for sample in samples]
    chosen = [one[int(row.mean(axis=0).argmax())] for one, row in zip(options, orders, strict=True)]
    one = answered(name, task, samples, chosen)
    return replace(one, more=_choice_values(samples, options, orders))


def _choice_values(
    samples: Sequence[Sample], options: Sequence[Sequence[str]], orders: Sequence[np.ndarray]
) -> dict[str, float | int]:
    truth = []
    for sample, listed in zip(samples, options, strict=True):
        words = [plain(option) for option in listed]
        right = plain(sample.label_of(CHOICE) or "")
        if right not in words:
            raise UsageError(f"The truth of {sample.id!r} is none of its options.")
        truth.append(words.index(right))
    values = choice_values(orders, truth)
    for kind in KINDS:
        names = [str(sample.attributes.get(kind) or "") for sample in samples]
        for name in sorted(set(names) - {""}):
            here = [place for place, other in enumerate(names) if other == name]
            some = choice_values([orders[i] for i in here], [truth[i] for i in here])
            key = plain(name).replace(" ", "_")
            values |= {f"accuracy_{key}": some["accuracy"], f"n_{key}": len(here)}
    return values
