"""Near-duplicates by cosine similarity: in the bank, and earlier in a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emosym.errors import UsageError
from emosym.memory.policies import Floats, Ints

ROUGHLY = 1e-4  # more than single precision loses of a cosine


def unit_rows(features: Floats) -> NDArray[np.float64]:
    """Scale rows (N, D) to length 1; a zero row stays zero and so resembles nothing."""
    rows = np.asarray(features, dtype=np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0.0, norms, 1.0)


@dataclass(frozen=True, slots=True)
class Kin:
    """What the bank holds of one emotion, in its order.

    `rows` (M, D) are features of any length, `norms` (M,) their lengths, `places` (M,) their
    indices in the whole bank.
    """

    rows: Floats
    norms: Floats
    places: Ints


def near_duplicates(
    features: Floats, intents: Ints, held_features: Floats, held_intents: Ints, threshold: float
) -> Ints:
    """Find each candidate's twin: cosine similarity >= threshold, same intent.

    Candidates (N, D) come in order of preference and are compared with the bank (M, D) and with
    the candidates before them that are not twins themselves.

    Returns:
        (N,): -1 for no twin, j < M for entry j of the bank, M + i for candidate i.
    """
    held: dict[int, Kin] = {}
    for emotion in np.unique(intents):
        there = np.flatnonzero(held_intents == emotion)
        rows = held_features[there]
        held[int(emotion)] = Kin(rows, np.linalg.norm(rows, axis=1), there)
    return twins_among(features, intents, held, len(held_intents), threshold)


def twins_among(
    features: Floats, intents: Ints, held: Mapping[int, Kin], held_count: int, threshold: float
) -> Ints:
    """Find each candidate's twin as `near_duplicates` does, in a bank that is sorted by emotion.

    `held` has the M = `held_count` entries by class index; an emotion without any may be left out.
    """
    if not -1.0 <= threshold <= 1.0:
        raise UsageError(f"The near-duplicate threshold must lie in -1..1, got {threshold:g}.")
    twins = np.full(len(features), -1, dtype=np.int64)
    rows = unit_rows(features)  # (N, D)
    for emotion in np.unique(intents):
        here = np.flatnonzero(intents == emotion)
        kin = held.get(int(emotion))
        # Rounding makes equal rows differ by 1e-16, so that a threshold of 1 would never be met.
        within = np.round(rows[here] @ rows[here].T, 12) >= threshold  # (n, n)
        if kin is not None and len(kin.rows):
            twins[here] = _twins_in(kin, rows[here], threshold)
        for place, index in enumerate(here):
            if twins[index] < 0:
                earlier = np.flatnonzero(within[place, :place] & (twins[here[:place]] < 0))
                if len(earlier):
                    twins[index] = held_count + here[earlier[0]]
    return twins


def _twins_in(kin: Kin, rows: Floats, threshold: float) -> Ints:
    """Return the place of the closest of `kin` to each unit row (n, D), -1 below the threshold.

    One product in the features' own precision leaves a few that could be it; those are compared
    in double precision.
    """
    lengths = np.where(kin.norms > 0.0, kin.norms, np.inf)
    # This way round the large matrix is read once, as it lies in memory.
    beside = (kin.rows @ rows.astype(kin.rows.dtype).T).T / lengths  # (n, m)
    found = np.full(len(rows), -1, dtype=np.int64)
    for index, row in enumerate(rows):
        near = np.flatnonzero(beside[index] >= threshold - ROUGHLY)
        if len(near):
            exact = np.round(unit_rows(kin.rows[near]) @ row, 12)  # (k,)
            if exact.max() >= threshold:
                found[index] = kin.places[near[exact.argmax()]]
    return found
