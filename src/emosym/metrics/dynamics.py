"""Emotions of a conversation in time: where they move, and how much of each stays.

Inertia and variability are those of the dynamics of affect (Kuppens, Allen and Sheeber 2010): how
strongly a speaker's state is told by the one before, and how far states lie from their mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from emosym.emotions import LabelSpace
from emosym.errors import UsageError

DIMENSIONS = ("valence", "arousal", "dominance")
POLARITY = ("polarity",)
SIGNS = {"positive": 1.0, "negative": -1.0}
FEWEST = 3  # states of a speaker of which an inertia is told


def course(probabilities: ArrayLike, space: LabelSpace) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the state of each turn (N, K), and what its K numbers are called.

    Where every label's word has norms: the expected valence, arousal and dominance on 1..9. Else
    the polarity, the probability of positive labels less that of negative ones, -1..1. A row with
    NaN is unknown, and so is its state.

    Raises:
        UsageError: for rows (N, C) that do not fit the space.
    """
    rows = np.asarray(probabilities, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != len(space):
        raise UsageError(f"Probabilities must be (turns, {len(space)}), got {rows.shape}.")
    norms = space.norms()
    if norms is not None:
        return rows @ np.array(norms), DIMENSIONS
    signs = [SIGNS.get(space.polarity(label) or "", 0.0) for label in space.labels]
    return rows @ np.array(signs)[:, None], POLARITY


def inertia(states: ArrayLike) -> float | None:
    """Return the correlation at lag 1 of states in time (N,), -1..1.

    sum((x_t - m)(x_t+1 - m)) / sum((x_t - m)^2), m the mean of all. None for fewer than FEWEST
    known states, or where they do not move.
    """
    found = np.asarray(states, dtype=np.float64)
    found = found[np.isfinite(found)]
    if len(found) < FEWEST:
        return None
    moved = found - found.mean()
    whole = float((moved**2).sum())
    return float((moved[:-1] * moved[1:]).sum() / whole) if whole > 1e-12 else None


def dynamics(
    states: ArrayLike, speakers: Sequence[str | None], names: Sequence[str] = DIMENSIONS
) -> dict[str | None, Mapping[str, Any]]:
    """Return by speaker how many turns are known, and of each of K `names` mean, spread, inertia.

    `states` (N, K) are of the turns in order. The spread is the standard deviation. `largest_move`
    is the number (from 0) of the turn with the largest step from the speaker's turn before, and
    `largest_step` its length; None where there are not two.

    Raises:
        UsageError: for not as many speakers as states.
    """
    rows = np.asarray(states, dtype=np.float64).reshape(-1, len(names))
    if len(rows) != len(speakers):
        raise UsageError(f"{len(rows)} states but {len(speakers)} speakers.")
    found: dict[str | None, Mapping[str, Any]] = {}
    for who in dict.fromkeys(speakers):
        places = [
            n for n, name in enumerate(speakers) if name == who and np.isfinite(rows[n]).all()
        ]
        own = rows[places]
        told: dict[str, Any] = {"turns": len(places)}
        for number, name in enumerate(names):
            column = own[:, number]
            told[f"{name}_mean"] = float(column.mean()) if len(column) else None
            told[f"{name}_spread"] = float(column.std()) if len(column) else None
            told[f"{name}_inertia"] = inertia(column)
        steps = np.linalg.norm(np.diff(own, axis=0), axis=1)
        told["largest_move"] = places[int(steps.argmax()) + 1] if len(steps) else None
        told["largest_step"] = float(steps.max()) if len(steps) else None
        found[who] = told
    return found
