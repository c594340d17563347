"""Multiple choice by likelihood: accuracy, and how much the place of an option decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from emosym.errors import UsageError
from emosym.metrics.checks import as_probabilities, same_length


def choice_values(shares: Sequence[ArrayLike], truth: Sequence[int]) -> dict[str, Any]:
    """Return the values of N questions with O options each (O may differ).

    `shares[n]` is (R, O): in each of R orders the share of each option, whatever place it had; row
    0 is the order as given and row r has option o at place (o + r) mod O. `accuracy`: the option of
    the highest mean over orders is right. `accuracy_given_order`: that of row 0 alone. `chance`:
    mean of 1 / O. `consistent`: share of questions in which every order chooses the same option.
    `first_place`: share of all orders in which the option that stands first is chosen, and
    `first_place_chance`; `position_bias`: total variation between chosen places and even ones, over
    all orders of questions with the most frequent number of options. `brier`: squared distance of
    the mean shares from the truth.

    Raises:
        UsageError: for no questions, a truth that is no option, or shares that do not sum to 1.
    """
    if same_length(shares=list(shares), truth=list(truth)) == 0:
        raise UsageError("There are no questions to score.")
    rows = [as_probabilities("shares", share) for share in shares]
    right, given, same, brier = [], [], [], []
    places: dict[int, list[int]] = {}
    for number, (row, wanted) in enumerate(zip(rows, truth, strict=True)):
        count = row.shape[1]
        if not 0 <= wanted < count:
            raise UsageError(f"Question {number} has {count} options, and no option {wanted}.")
        mean = row.mean(axis=0)
        chosen = row.argmax(axis=1)
        right.append(int(mean.argmax()) == wanted)
        given.append(int(chosen[0]) == wanted)
        same.append(len(set(chosen.tolist())) == 1)
        brier.append(float(((mean - np.eye(count)[wanted]) ** 2).sum()))
        places.setdefault(count, []).extend(
            (int(option) + order) % count for order, option in enumerate(chosen.tolist())
        )
    usual = max(places, key=lambda count: (len(places[count]), count))
    spread = np.bincount(places[usual], minlength=usual) / len(places[usual])
    every = [place for found in places.values() for place in found]
    orders = [1.0 / count for count, found in places.items() for _ in found]
    return {
        "accuracy": float(np.mean(right)),
        "accuracy_given_order": float(np.mean(given)),
        "chance": float(np.mean([1.0 / row.shape[1] for row in rows])),
        "consistent": float(np.mean(same)),
        "first_place": float(np.mean([place == 0 for place in every])),
        "first_place_chance": float(np.mean(orders)),
        "position_bias": float(np.abs(spread - 1.0 / usual).sum() / 2.0),
        "brier": float(np.mean(brier)),
    }
