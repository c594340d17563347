"""Emotions in time: has a speaker's emotion changed, and which emotion comes next?"""

from __future__ import annotations

from emosym.data.changes import CHANGED, CHANGES, SAME, own_turn_before
from emosym.emotions import LabelSpace, other_words
from emosym.errors import UsageError
from emosym.tasks.question import ask_turns, labelled, turn_in_question
from emosym.tasks.task import Task
from emosym.types import EMOTION_CHANGE, NEXT_EMOTION, Conversation, Sample

CHANGE_SPACE = LabelSpace("change2", CHANGES)
WORDS = {
    **dict.fromkeys(("no", "unchanged", "not changed", "stays", "the same"), SAME),
    **dict.fromkeys(("yes", "different", "has changed", "changes", "change"), CHANGED),
}


def emotion_change(space: LabelSpace) -> Task:
    """Return the task: does the speaker of this turn feel something else than at their last one?

    Its labels are "same" and "changed", whatever the label space of emotions is.
    """

    def conversation(sample: Sample) -> Conversation:
        turn_in_question(sample)
        place = len(sample.turns) - 1 if sample.focus is None else sample.focus
        if own_turn_before(sample.turns, place) is None:
            raise UsageError(f"The speaker of {sample.id!r} has not spoken before.")
        who = sample.turns[place].speaker
        return ask_turns(
            sample, f"Has the emotion of {who} changed since {who} last spoke? Same or changed?"
        )

    return labelled(EMOTION_CHANGE, CHANGE_SPACE, conversation, WORDS)


def next_emotion(space: LabelSpace) -> Task:
    """Return the task: which emotion will the next turn have? Its words are not shown."""

    def conversation(sample: Sample) -> Conversation:
        place = len(sample.turns) - 1 if sample.focus is None else sample.focus
        after = sample.turns[place + 1 :]
        who = (after[0].speaker if after else None) or "the next speaker"
        return ask_turns(sample, f"What emotion will {who} feel in the next turn?")

    return labelled(NEXT_EMOTION, space, conversation, other_words(space))
