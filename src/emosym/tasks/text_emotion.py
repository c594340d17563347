"""The emotion that a speaker feels: of a sentence, or of the turn in question of a dialogue."""

from __future__ import annotations

from emosym.emotions import LabelSpace
from emosym.tasks.question import label_task
from emosym.tasks.task import Task
from emosym.types import TEXT_EMOTION

TEMPLATE = "speaker"


def text_emotion(space: LabelSpace) -> Task:
    """Return the task for a label space."""
    return label_task(TEXT_EMOTION, space, TEMPLATE)
