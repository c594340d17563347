"""Seeded, stratified ways to divide samples: into splits, and down to a fraction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from emosym.errors import UsageError
from emosym.seeds import numpy_rng


@dataclass(frozen=True, slots=True)
class Fold:
    """Part `number`, from 0, of `count` equal parts of a split, or with `without` all but it."""

    number: int
    count: int
    without: bool = False

    def chosen(self, labels: np.ndarray, seed: int) -> np.ndarray:
        """Return ascending indices; with one seed every sample is in one fold, stratified.

        Raises:
            UsageError: unless 0 <= number < count.
        """
        if not 0 <= self.number < self.count:
            raise UsageError(
                f"There is no fold {self.number} of {self.count}: the first is 0, the last "
                f"{self.count - 1}."
            )
        first, end = self.number / self.count, (self.number + 1) / self.count
        mine = stretch(labels, first, end, seed)
        return np.setdiff1d(np.arange(len(labels)), mine) if self.without else mine


def stratified_split(
    labels: np.ndarray, fractions: Mapping[str, float], seed: int
) -> dict[str, np.ndarray]:
    """Divide N samples so that every split has nearly the same share of each class.

    `labels` is (N,) class indices (-1, unlabelled, is a class of its own); `fractions` sum to 1.
    Each result is ascending int64 indices, every index in exactly one split. Samples are dealt
    class by class, each to the split that is furthest below its share so far, so that neither a
    class nor the total can drift from its share by rounding.

    Raises:
        UsageError: when the fractions are not positive or do not sum to 1.
    """
    names, shares = list(fractions), np.array(list(fractions.values()), dtype=np.float64)
    if not names or (shares <= 0.0).any() or not math.isclose(shares.sum(), 1.0, abs_tol=1e-6):
        raise UsageError(f"Split fractions must be above 0 and sum to 1, got {dict(fractions)}.")
    order = np.concatenate([np.empty(0, dtype=np.int64), *_shuffled(labels, seed, "split")])
    dealt = np.zeros(len(names), dtype=np.int64)
    owner = np.empty(len(order), dtype=np.int64)
    for position, sample in enumerate(order):
        chosen = int(np.argmax(shares * (position + 1) - dealt))
        dealt[chosen] += 1
        owner[sample] = chosen
    return {name: np.flatnonzero(owner == code) for code, name in enumerate(names)}


def label_fraction(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Return ascending indices of a share of the labelled samples, at least one per class.

    With one seed a smaller fraction is a subset of a larger one, so that learning curves differ
    by what was added only. Unlabelled samples (-1) are never chosen.

    Raises:
        UsageError: when `fraction` is not in (0, 1].
    """
    if not 0.0 < fraction <= 1.0:
        raise UsageError(f"The label fraction must be above 0 and at most 1, got {fraction}.")
    labelled = np.flatnonzero(labels >= 0)
    chosen = [
        labelled[group[: max(1, round(fraction * len(group)))]]
        for group in _shuffled(labels[labelled], seed, "label-fraction")
    ]
    return np.sort(np.concatenate([np.empty(0, dtype=np.int64), *chosen]))


def stretch(labels: np.ndarray, start: float, stop: float, seed: int) -> np.ndarray:
    """Return ascending indices of the stretch start..stop (0..1) of every class, in a seeded order.

    Stretches that do not overlap share no sample, and 0..1 divided into stretches loses none.
    Unlabelled samples (-1) are dealt out like a class.

    Raises:
        UsageError: unless 0 <= start < stop <= 1.
    """
    if not 0.0 <= start < stop <= 1.0:
        raise UsageError(f"A stretch needs 0 <= start < stop <= 1, got {start}..{stop}.")
    chosen = [
        group[round(start * len(group)) : round(stop * len(group))]
        for group in _shuffled(labels, seed, "stretch")
    ]
    return np.sort(np.concatenate([np.empty(0, dtype=np.int64), *chosen]))


def _shuffled(labels: np.ndarray, seed: int, stream: str) -> list[np.ndarray]:
    """Return the indices of each class in a seeded order, classes ascending."""
    return [
        numpy_rng(seed, stream, int(label)).permutation(np.flatnonzero(labels == label))
        for label in np.unique(labels)
    ]
