"""Valence and arousal from frozen features: kernel ridge regression with intervals that hold.

A Gaussian-process prior over features gives each prediction its own uncertainty; how many of those
make an interval that holds is read off the residuals of themes that were left out (conformal
prediction, Vovk et al., 2005; normalised residuals, Papadopoulos et al., 2002).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist

RATED = ("valence", "arousal")
COVERAGE = 0.9  # of the intervals
BIAS = 10.0  # variance of the constant that is added to the kernel, in those of the kernel itself
POWER = 0.5  # of the size of a feature: few large ones would decide alone
TINY = 1e-6
RARE = 0.01  # a picture farther off than all but this share of those left out is outside
Blocks = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Scaling:
    """How blocks of features (N, d) become comparable: mean and deviation (d,), typical distance.

    `spread` is the median squared distance of two training pictures.
    """

    mean: np.ndarray
    deviation: np.ndarray
    spread: float


@dataclass(frozen=True, slots=True)
class Kernel:
    """exp(-gamma D) + BIAS over squared distances D, and the variance `noise` of a rating."""

    gamma: float
    noise: float


@dataclass(frozen=True, slots=True)
class AffectHead:
    """What predicts ratings of pictures from their features, in closed form.

    `support` are the scaled features of n rated pictures, by block, `ratings` (n, 2) their valence
    and arousal, `names` (n,) what they are called. `kernels` and `widths` are of each rating: an
    interval is as many predictive deviations wide, to each side, as `widths` says. `far` (n,),
    ascending, are how far each picture is from the nearest of another theme.
    """

    scalings: Mapping[str, Scaling]
    support: Blocks
    ratings: np.ndarray
    names: tuple[str, ...]
    kernels: tuple[Kernel, Kernel]
    widths: tuple[float, float]
    far: np.ndarray


@dataclass(frozen=True, slots=True)
class Predicted:
    """Ratings of N pictures (N, 2), half of their intervals (N, 2), and what they are like.

    `distance` (N, n) is that to each rated picture; `in_domain` (N,) the share of left-out pictures
    at least as far from all others.
    """

    ratings: np.ndarray
    margins: np.ndarray
    distance: np.ndarray
    in_domain: np.ndarray


def powered(block: np.ndarray) -> np.ndarray:
    """Return features with their sizes to the power POWER, signs kept."""
    return np.sign(block) * np.abs(block) ** POWER


def fit_scaling(block: np.ndarray) -> Scaling:
    """Return how a block of features (n, d) of training pictures is scaled."""
    raw = powered(block.astype(np.float64))
    found = Scaling(raw.mean(axis=0), raw.std(axis=0) + TINY, 1.0)
    ready = scaled(block, found)
    apart = cdist(ready, ready, "sqeuclidean")
    typical = float(np.median(apart[np.triu_indices(len(apart), 1)])) if len(apart) > 1 else 1.0
    return Scaling(found.mean, found.deviation, max(typical, TINY))


def scaled(block: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return features (N, d) as distances are taken of them: divided by sqrt(d) too."""
    ready: np.ndarray = (powered(block.astype(np.float64)) - scaling.mean) / scaling.deviation
    return ready / math.sqrt(block.shape[1])


def distances(some: Blocks, others: Blocks, scalings: Mapping[str, Scaling]) -> np.ndarray:
    """Return squared distances (N, M) of scaled features, the mean over blocks of like size."""
    parts = [
        cdist(some[name], others[name], "sqeuclidean") / scaling.spread
        for name, scaling in scalings.items()
    ]
    return np.asarray(sum(parts) / len(parts))


def gram(squared: np.ndarray, kernel: Kernel) -> np.ndarray:
    """Return the kernel's values at squared distances."""
    return np.asarray(np.exp(-kernel.gamma * squared) + BIAS)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Predictions (n,) of pictures whose themes were left out, and their deviations (n,)."""

    predicted: np.ndarray
    deviation: np.ndarray


def leave_groups_out(
    squared: np.ndarray, ratings: np.ndarray, groups: np.ndarray, kernel: Kernel
) -> LeftOut:
    """Return what each group is predicted to be from all others, in closed form.

    Of the inverse G of gram + noise, the residuals of a group are G_gg^-1 (G y)_g, and its
    predictive covariance is G_gg^-1 (Rasmussen and Williams, 2006, section 5.4.2, of groups).
    """
    whole = gram(squared, kernel) + kernel.noise * np.eye(len(squared))
    inverse = cho_solve(cho_factor(whole), np.eye(len(whole)))
    weighted = inverse @ ratings
    predicted, deviation = np.empty(len(ratings)), np.empty(len(ratings))
    for group in np.unique(groups):
        mine = np.flatnonzero(groups == group)
        covariance = np.linalg.inv(inverse[np.ix_(mine, mine)])
        predicted[mine] = ratings[mine] - covariance @ weighted[mine]
        deviation[mine] = np.sqrt(np.maximum(np.diag(covariance), TINY))
    return LeftOut(predicted, deviation)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Pearson's r of two rows, 0 where one of them is constant."""
    if one.std() < TINY or other.std() < TINY:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def choose_kernel(
    squared: np.ndarray, ratings: np.ndarray, groups: np.ndarray, kernels: Sequence[Kernel]
) -> Kernel:
    """Return the kernel whose left-out predictions are nearest to the ratings, squared."""

    def error(kernel: Kernel) -> float:
        found = leave_groups_out(squared, ratings, groups, kernel)
        return float(((found.predicted - ratings) ** 2).mean())

    return min(kernels, key=error)


def conformal_width(residuals: np.ndarray, coverage: float = COVERAGE) -> float:
    """Return the size that a share `coverage` of residuals stays below, with the usual n + 1."""
    count = len(residuals)
    place = min(math.ceil((count + 1) * coverage), count)
    return float(np.sort(np.abs(residuals))[place - 1])


def fit_head(
    blocks: Blocks,
    ratings: np.ndarray,
    groups: np.ndarray,
    names: Sequence[str],
    kernels: Sequence[Kernel],
) -> AffectHead:
    """Fit everything on rated pictures: features (n, d) by block, ratings (n, 2), groups (n,)."""
    scalings = {name: fit_scaling(block) for name, block in blocks.items()}
    support = {name: scaled(block, scalings[name]) for name, block in blocks.items()}
    squared = distances(support, support, scalings)
    chosen, widths = [], []
    for column in range(len(RATED)):
        kernel = choose_kernel(squared, ratings[:, column], groups, kernels)
        left = leave_groups_out(squared, ratings[:, column], groups, kernel)
        chosen.append(kernel)
        widths.append(conformal_width((left.predicted - ratings[:, column]) / left.deviation))
    apart = np.where(groups[:, None] == groups[None], np.inf, squared)
    return AffectHead(
        scalings,
        support,
        ratings,
        tuple(names),
        (chosen[0], chosen[1]),
        (widths[0], widths[1]),
        np.sort(apart.min(axis=1)),
    )


def predict(head: AffectHead, blocks: Blocks) -> Predicted:
    """Predict valence and arousal of N pictures from their features (N, d) by block."""
    ready = {name: scaled(blocks[name], head.scalings[name]) for name in head.scalings}
    between = distances(ready, head.support, head.scalings)  # (N, n)
    known = distances(head.support, head.support, head.scalings)
    ratings, margins = [], []
    for column, (kernel, width) in enumerate(zip(head.kernels, head.widths, strict=True)):
        factor = cho_factor(gram(known, kernel) + kernel.noise * np.eye(len(known)))
        cross = gram(between, kernel)
        ratings.append(cross @ cho_solve(factor, head.ratings[:, column]))
        explained = (cross * cho_solve(factor, cross.T).T).sum(axis=1)
        variance = 1.0 + BIAS + kernel.noise - explained
        margins.append(width * np.sqrt(np.maximum(variance, TINY)))
    nearest = between.min(axis=1)
    share = 1.0 - np.searchsorted(head.far, nearest, side="left") / len(head.far)
    return Predicted(np.stack(ratings, axis=1), np.stack(margins, axis=1), between, share)
