"""The emotion that a picture evokes."""

from __future__ import annotations

from emosym.emotions import LabelSpace
from emosym.tasks.question import label_task
from emosym.tasks.task import Task
from emosym.types import IMAGE_EMOTION


def image_emotion(space: LabelSpace, template: str = "emosym") -> Task:
    """Return the task for a label space, in one of the wordings `emosym` and `picture`."""
    return label_task(IMAGE_EMOTION, space, template)
