"""Rewards of what is said, by the names that a recipe has for them, and the columns they need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from emosym.data.storybook.facts import spoken
from emosym.emotions import LabelSpace
from emosym.errors import UsageError, unknown_name
from emosym.rewards.cues import cue_precision
from emosym.rewards.text import (
    accuracy,
    answer_format,
    brier,
    completion_text,
    confidence,
    polarity,
    vad,
)
from emosym.rewards.trees import tree
from emosym.rewards.units import action_units
from emosym.rewards.votes import agreement
from emosym.rewards.writing import length, repetition
from emosym.tasks.expression import parts_of
from emosym.tasks.task import Task, Unparsed, label_said
from emosym.types import EXPRESSION, FER, Sample, Votes

TextReward = Callable[..., "list[float | None]"]
OF_LABELS: dict[str, TextReward] = {
    "accuracy": accuracy,
    "polarity": polarity,
    "vad": vad,
    "confidence": confidence,
    "brier": brier,
    "agreement": agreement,
}
OTHERS: dict[str, TextReward] = {
    "format": answer_format,
    "tree": tree,
    "action_units": action_units,
    "length": length,
    "repetition": repetition,
}
TASK, CUES = "task", "cues"
READABLE = "readable"  # no reward: it is written down, and counts nothing
NAMES = (TASK, *OF_LABELS, CUES, *OTHERS)
NEEDS = {
    "accuracy": "label",
    "polarity": "label",
    "vad": "label",
    "confidence": "label",
    "brier": "label",
    "tree": "label",
    "agreement": "votes",
    "action_units": "units",
    CUES: "cues",
}


def open_rewards(
    weights: Mapping[str, float], task: Task, space: LabelSpace
) -> tuple[list[TextReward], list[float]]:
    """Return the functions that a recipe names, as TRL calls them, and their weights.

    `task` is the task's own reward; `cues` the share of a storybook's objects that are there, of
    those that the reason names.

    Raises:
        UsageError: for an unknown name; names the nearest.
    """
    found: list[TextReward] = []
    for name in weights:
        if name == TASK:
            found.append(_own(task))
        elif name == CUES:
            found.append(partial(cue_precision, find=_objects_named))
        elif name in OF_LABELS:
            found.append(partial(OF_LABELS[name], label_space=space))
        elif name in OTHERS:
            found.append(OTHERS[name])
        else:
            raise unknown_name("reward", name, NAMES)
    return found, [float(weight) for weight in weights.values()]


def columns_of(sample: Sample, task: Task) -> dict[str, Any]:
    """Return what is true of a sample, by the columns that rewards read; None where nothing is."""
    target = sample.targets.get(task.name)
    objects = sample.attributes.get("object")
    units = parts_of(target)[0] if task.name in (FER, EXPRESSION) and target is not None else None
    return {
        "truth": target,
        "label": label_said(target),
        "votes": dict(target.weights) if isinstance(target, Votes) else None,
        "cues": list(objects) if isinstance(objects, list | tuple) else None,
        "units": None if units is None else list(units),
    }


def check_columns(names: Collection[str], samples: Sequence[Sample], task: Task) -> None:
    """Raise UsageError where no sample has what a reward is held against."""
    rows = [columns_of(sample, task) for sample in samples]
    for name in names:
        column = NEEDS.get(name, "truth" if name == TASK else None)
        if column is not None and all(row[column] is None for row in rows):
            raise UsageError(
                f"The reward {name!r} needs {column}, which no sample of the training split has "
                f"for the task {task.name!r}: leave it out of `rewards`."
            )


def readable_of(task: Task) -> TextReward:
    """Return a function that TRL logs as `readable`: 1 where an answer says something usable."""

    def readable(completions: Sequence[Any], **_: Any) -> list[float | None]:
        return [
            float(not isinstance(task.parse(completion_text(one)), Unparsed)) for one in completions
        ]

    return readable


def _objects_named(text: str) -> frozenset[str]:
    return spoken(text)["object"]


def _own(task: Task) -> TextReward:
    """Return a task's reward under its own name, with the truth as it is."""

    def task_reward(
        completions: Sequence[Any], truth: Sequence[Any] | None = None, **_: Any
    ) -> list[float | None]:
        return task.reward(completions, label=truth)

    return task_reward
