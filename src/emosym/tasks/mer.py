"""Multimodal emotion recognition: what a speaker feels, one label (MELD, MOSEI)."""

from __future__ import annotations

from emosym.emotions import LABEL_SPACES, LabelSpace, other_words
from emosym.tasks.question import (
    QUESTIONS,
    ask_turns,
    chosen_wording,
    labelled,
    one_line,
    published,
    turn_in_question,
)
from emosym.tasks.task import Task
from emosym.types import MER, Conversation, Sample

WORDINGS = ("emosym", "emoverse")
# The published question lists MELD's labels in this order.
PUBLISHED = ("anger", "sadness", "surprise", "disgust", "joy", "neutral", "fear")


def mer(space: LabelSpace = LABEL_SPACES["meld7"], template: str = "emosym") -> Task:
    """Return the task for a label space.

    `emosym` shows the turns before the one in question too; `emoverse` is the published wording:
    that turn alone, and the labels to choose from.
    """
    chosen_wording(template, WORDINGS)
    listed = PUBLISHED if set(PUBLISHED) == set(space.labels) else space.labels
    choice = f"{', '.join(listed[:-1])} or {listed[-1]}"

    def conversation(sample: Sample) -> Conversation:
        if template == "emosym":
            return ask_turns(sample, QUESTIONS["speaker"])
        words = one_line(turn_in_question(sample).text)
        return published(
            sample,
            f"The person says: '{words}' <emotion> Please determine which emotion label in the "
            f"video represents: {choice}.",
        )

    return labelled(MER, space, conversation, other_words(space))
