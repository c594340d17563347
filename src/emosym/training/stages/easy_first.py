"""Conversations from the easiest on: how hard each is, and which rows a run takes when.

How hard: Yang and others (2022), "Hybrid Curriculum Learning for Emotion Recognition in
Conversation". How many count: the square-root competence of Platanios and others (2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from emosym.models.reader.talks import UNKNOWN, Talk
from emosym.seeds import numpy_rng

FIRST_SHARE = 0.25  # of the conversations, those that the first step may draw


def difficulty(talk: Talk) -> float:
    """Return (shifts + speakers) / (turns + speakers), 0..1, of a conversation.

    A shift is a turn whose emotion is another one than that of the turn before; where either is
    unknown there is none.
    """
    labels = talk.labels.tolist()
    shifts = sum(a != b for a, b in pairwise(labels) if a != UNKNOWN and b != UNKNOWN)
    speakers = len({turn.speaker for turn in talk.sample.turns})
    return (shifts + speakers) / (len(labels) + speakers)


def competence(step: int, last: float, first: float = FIRST_SHARE) -> float:
    """Return the share of rows that may be drawn at a step: `first` at 0, all from `last` on."""
    if step >= last:
        return 1.0
    return math.sqrt(step * (1 - first**2) / last + first**2)


def rows_from_easy(
    hard: Sequence[float], share: float, seed: int, steps: int, batch_size: int
) -> np.ndarray:
    """Return the rows (steps * batch_size,) that the steps of a run take, in order.

    A step takes rows that were taken least often so far among the easiest it may draw, in the order
    of the stream (seed, "m2se-easy", step); all may be drawn after `share` of the steps.
    """
    easiest = np.argsort(np.asarray(hard), kind="stable")
    taken, rows = np.zeros(len(hard), dtype=np.int64), list[np.ndarray]()
    for step in range(steps):
        count = max(math.ceil(competence(step, share * steps) * len(hard)), 1)
        pool, rng = easiest[:count], numpy_rng(seed, "m2se-easy", step)
        for start in range(0, batch_size, count):  # a small pool is drawn from again
            drawn = rng.permutation(pool)
            drawn = drawn[np.argsort(taken[drawn], kind="stable")][: batch_size - start]
            taken[drawn] += 1
            rows.append(drawn)
    return np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
