"""What can be known of a picture of the appraisal level: exact, from the probabilities.

Nothing is drawn here. All 64 combinations of the six cues are enumerated with their probability for
each emotion.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from emosym.data.storybook.appraisal.world import APPRAISALS, BITS, BITS_OF, FIRST, FLIP
from emosym.emotions import MIKELS8

CUES = tuple(cue for a in APPRAISALS for cue in (a.first, a.second))


def joint() -> np.ndarray:
    """Return P(emotion, cues), (8, 2, 2, 2, 2, 2, 2); the cues' axes follow CUES. Sums to 1."""
    found = np.zeros((len(MIKELS8), *[2] * len(CUES)))
    for label, bits in BITS_OF.items():
        for shown in itertools.product((0, 1), repeat=len(CUES)):
            chance = 1.0 / len(BITS_OF)
            for place, bit in enumerate(bits):
                first, second = shown[2 * place], shown[2 * place + 1]
                chance *= FIRST if first else 1.0 - FIRST
                chance *= 1.0 - FLIP if second == first ^ bit else FLIP
            found[(label, *shown)] = chance
    return found


def best_accuracy(cues: Sequence[str] = CUES) -> float:
    """Return the accuracy of the best reader that sees these cues only."""
    hidden = tuple(1 + place for place, cue in enumerate(CUES) if cue not in cues)
    return float(joint().sum(axis=hidden).max(axis=0).sum())


def additive_accuracy() -> float:
    """Return the accuracy of a reader that adds up what single cues tell (naive Bayes).

    Its log-odds are sums over cues of log P(cue | emotion), ties broken evenly. Every P(cue |
    emotion) is a half, so it is at chance; logistic regression on the cues, whose best fit by
    likelihood is then no weight at all, is too.
    """
    table = joint()
    flat = table.reshape(len(table), -1)
    scores = np.zeros((len(table), *[2] * len(CUES)))
    for place in range(len(CUES)):
        others = tuple(1 + other for other in range(len(CUES)) if other != place)
        own = table.sum(axis=others)  # (8, 2)
        told = np.log(own / own.sum(axis=1, keepdims=True))
        shape = [len(table), *[1] * len(CUES)]
        shape[1 + place] = 2
        scores += told.reshape(shape)
    scores = scores.reshape(len(table), -1).round(9)
    chosen = (scores == scores.max(axis=0)).astype(float)  # (8, 64)
    return float((flat * chosen / chosen.sum(axis=0)).sum())


def threshold_accuracy() -> float:
    """Return what a sum of cues reaches that is chosen for accuracy itself, bit by bit.

    A line through two binary cues can get three of their four combinations right ("or"), which
    learning by likelihood does not find: the best fit is flat. Exact, over all such lines.
    """
    best = 0.0
    for weights in itertools.product((-1, 0, 1), repeat=2):
        for bias in (-1.5, -0.5, 0.5, 1.5):
            right = 0.0
            for first, second, bit in itertools.product((0, 1), repeat=3):
                chance = 0.5 * (FIRST if first else 1.0 - FIRST)
                chance *= 1.0 - FLIP if second == first ^ bit else FLIP
                right += chance * float(
                    (weights[0] * first + weights[1] * second + bias > 0) == bit
                )
            best = max(best, right)
    return best**BITS


def information_rows() -> list[tuple[str, float]]:
    """Return what readers of the cues reach at best, exact, in the order to be told."""
    rows = [("all six cues (Bayes)", best_accuracy())]
    rows += [(cue, best_accuracy((cue,))) for cue in CUES]
    rows += [
        (f"{a.first} + {a.second} ({a.name})", best_accuracy((a.first, a.second)))
        for a in APPRAISALS
    ]
    own = {frozenset((a.first, a.second)) for a in APPRAISALS}
    mixed = [pair for pair in itertools.combinations(CUES, 2) if frozenset(pair) not in own]
    rows.append(("any two cues of different appraisals", max(map(best_accuracy, mixed))))
    rows.append(("all six, added up (naive Bayes, logistic regression)", additive_accuracy()))
    rows.append(("all six, added up and cut for accuracy itself", threshold_accuracy()))
    rows.append(("nothing", best_accuracy(())))
    return rows
