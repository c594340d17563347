"""Every task by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from emosym.emotions import LabelSpace
from emosym.errors import UsageError, unknown_name
from emosym.tasks.choice import choice_of
from emosym.tasks.ecpe import ecpe, ecpe_predicted
from emosym.tasks.eri import eri, eri_grounded
from emosym.tasks.expression import expression
from emosym.tasks.fer import fer_of
from emosym.tasks.image_emotion import image_emotion
from emosym.tasks.in_time import emotion_change, next_emotion
from emosym.tasks.mer import mer
from emosym.tasks.msa import msa_of
from emosym.tasks.open_words import open_of
from emosym.tasks.statement import statement_of
from emosym.tasks.task import Task
from emosym.tasks.text_emotion import text_emotion
from emosym.types import (
    CHOICE,
    ECPE,
    EMOTION_CHANGE,
    ERI,
    EXPRESSION,
    FER,
    IMAGE_EMOTION,
    MER,
    MSA,
    NEXT_EMOTION,
    OPEN,
    STATEMENT,
    TEXT_EMOTION,
)

ECPE_PREDICTED = "ecpe_predicted"  # the same task and truth, with the emotions not shown
ERI_GROUNDED = "eri_grounded"  # reasons of the emotion and causes that are given, or were read

# What makes each task for a label space; a task that has its own labels ignores it.
TASKS: dict[str, Callable[[LabelSpace], Task]] = {
    IMAGE_EMOTION: image_emotion,
    TEXT_EMOTION: text_emotion,
    MSA: msa_of,
    MER: mer,
    FER: fer_of,
    ERI: eri,
    ERI_GROUNDED: eri_grounded,
    ECPE: ecpe,
    ECPE_PREDICTED: ecpe_predicted,
    OPEN: open_of,
    STATEMENT: statement_of,
    EXPRESSION: expression,
    CHOICE: choice_of,
    EMOTION_CHANGE: emotion_change,
    NEXT_EMOTION: next_emotion,
}


def open_task(name: str, space: LabelSpace) -> Task:
    """Return a task by its name.

    Raises:
        UsageError: for a name that is not in TASKS; names the nearest.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name](space)


def require_tasks(names: Sequence[str], trainable: Sequence[str], what: str) -> None:
    """Raise UsageError unless `what` can train exactly these tasks."""
    for name in names:
        if name not in TASKS:
            raise unknown_name("task", name, TASKS)
        if name not in trainable:
            raise UsageError(f"{what} trains {', '.join(trainable)}; it cannot train {name!r} yet.")
    if not names:
        raise UsageError(f"{what} needs a task: tasks=[{', '.join(trainable)}].")
    twice = next((name for name in names if list(names).count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"The task {twice!r} stands twice in `tasks`.")
