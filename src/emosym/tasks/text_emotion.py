"""The emotion that a speaker feels: of a sentence, or of the turn in question of a dialogue."""

from __future__ import annotations

from functools import partial

from emosym.emotions import LabelSpace
from emosym.tasks.image_emotion import QUESTIONS, ask, teach
from emosym.tasks.task import Task, measure_labels, parse_label, reward_labels
from emosym.types import TEXT_EMOTION

TEMPLATE = "speaker"


def text_emotion(space: LabelSpace) -> Task:
    """Return the task for a label space."""
    question = QUESTIONS[TEMPLATE]
    parse = partial(parse_label, labels=space.labels)
    return Task(
        TEXT_EMOTION,
        space,
        conversation=lambda sample: ask(sample, question),
        teach=lambda sample: teach(sample, question, TEXT_EMOTION),
        parse=parse,
        measure=lambda predictions, truths: measure_labels(predictions, truths, space),
        reward=lambda completions, label=(), **_: reward_labels(parse, completions, label),
    )
