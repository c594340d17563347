"""Emotions in time: whether a speaker's emotion has changed, and which comes in the next turn."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from emosym.data.dataset import Dataset
from emosym.types import EMOTION_CHANGE, NEXT_EMOTION, Target, Turn

SAME, CHANGED = CHANGES = ("same", "changed")
IN_TIME = (EMOTION_CHANGE, NEXT_EMOTION)


def with_changes(dataset: Dataset, names: Collection[str]) -> Dataset:
    """Return a data set of conversations with the truth of tasks in time, where `names` ask for it.

    It follows from the emotions of the turns: a turn whose speaker has not spoken before, or whose
    own emotion or that of the turn before is unknown, has no change; one without a next turn, or
    whose next emotion is unknown, has no next emotion. Other data sets are returned as they are.
    """
    wanted = [name for name in names if name in IN_TIME]
    if not wanted or dataset.places is None:
        return dataset
    known: list[Mapping[str, Target]] = []
    for row, (conversation, turn) in enumerate(dataset.places.tolist()):
        turns = dataset.conversations[conversation]
        found: dict[str, str | None] = {}
        if turn >= 0:  # a turn in focus, not a whole conversation
            found = {
                EMOTION_CHANGE: change_at(turns, turn),
                NEXT_EMOTION: next_emotion(turns, turn),
            }
        own = dataset.targets[row] if dataset.targets else {}
        more = {name: label for name in wanted if (label := found.get(name)) is not None}
        known.append({**own, **more})
    return replace(dataset, targets=tuple(known))


def change_at(turns: Sequence[Turn], place: int) -> str | None:
    """Return "same" or "changed" against the speaker's own turn before; None where unknown."""
    before = own_turn_before(turns, place)
    if before is None or turns[place].emotion is None or turns[before].emotion is None:
        return None
    return SAME if turns[place].emotion == turns[before].emotion else CHANGED


def own_turn_before(turns: Sequence[Turn], place: int) -> int | None:
    """Return the number of the last turn before `place` of the same speaker, or None."""
    speaker = turns[place].speaker
    if speaker is None:
        return None
    return next((n for n in range(place - 1, -1, -1) if turns[n].speaker == speaker), None)


def next_emotion(turns: Sequence[Turn], place: int) -> str | None:
    """Return the emotion of the turn after `place`, whoever speaks; None where unknown."""
    return turns[place + 1].emotion if place + 1 < len(turns) else None
