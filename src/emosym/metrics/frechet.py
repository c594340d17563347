"""Frechet distance between two clouds of features (FID with an Inception extractor).

Heusel et al. 2017: |m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)), covariances divided by N - 1.
Features are (N, D) of any extractor; which one belongs into the result file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from emosym.errors import UsageError
from emosym.metrics.checks import Floats, as_labels, as_matrix, same_length


@dataclass(frozen=True, slots=True)
class Moments:
    """What of a set of features the distance needs; sets are joined by adding these up."""

    count: int
    total: Floats
    """Sum of the features (D,)."""
    outer: Floats
    """Sum of the outer products (D, D)."""


def moments(features: ArrayLike) -> Moments:
    """Return the summed moments of (N, D) features.

    Raises:
        UsageError: for another shape, no row, NaN or infinity.
    """
    rows = as_matrix("features", features)
    return Moments(len(rows), rows.sum(axis=0), rows.T @ rows)


def add_moments(parts: Sequence[Moments]) -> Moments:
    """Return the moments of the joined sets.

    Raises:
        UsageError: for no part, or parts of different feature sizes.
    """
    if not parts:
        raise UsageError("There are no moments to add up.")
    if len({len(part.total) for part in parts}) != 1:
        raise UsageError("These moments come from features of different sizes.")
    return Moments(
        sum(part.count for part in parts),
        np.sum([part.total for part in parts], axis=0),
        np.sum([part.outer for part in parts], axis=0),
    )


def mean_and_covariance(part: Moments) -> tuple[Floats, Floats]:
    """Return the mean (D,) and the unbiased covariance (D, D).

    Raises:
        UsageError: for fewer than 2 images, which have no covariance.
    """
    if part.count < 2:
        raise UsageError(f"A Frechet distance needs at least 2 images a side, got {part.count}.")
    mean = part.total / part.count
    covariance = (part.outer - part.count * np.outer(mean, mean)) / (part.count - 1)
    return mean, np.asarray((covariance + covariance.T) / 2.0)


def frechet_from_moments(first: Moments, second: Moments) -> float:
    """Return the squared Frechet distance of two Gaussians, 0 or more; lower is nearer.

    Raises:
        UsageError: for fewer than 2 images on a side, or different feature sizes.
    """
    if len(first.total) != len(second.total):
        raise UsageError(
            f"Features of size {len(first.total)} and {len(second.total)} cannot be compared."
        )
    (mean_a, cov_a), (mean_b, cov_b) = mean_and_covariance(first), mean_and_covariance(second)
    # Tr (A B)^(1/2) = Tr (A^(1/2) B A^(1/2))^(1/2): symmetric, so no complex root and no failure
    # where a covariance is singular (fewer images than features).
    from scipy.linalg import eigh

    values, vectors = eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T  # (D, D)
    inner = root @ cov_b @ root
    cross = np.sqrt(np.maximum(eigh((inner + inner.T) / 2.0, eigvals_only=True), 0.0)).sum()
    distance = ((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2.0 * cross
    return max(0.0, float(distance))


def frechet_distance(real: ArrayLike, painted: ArrayLike) -> float:
    """Return the Frechet distance between two sets of features (N, D) and (M, D)."""
    return frechet_from_moments(moments(real), moments(painted))


def _by_emotion(name: str, features: ArrayLike, labels: ArrayLike, classes: int) -> list[Moments]:
    rows = as_matrix(f"{name} features", features)
    kinds = as_labels(f"{name} labels", labels, classes)
    same_length(**{f"{name} features": rows, f"{name} labels": kinds})
    counts = np.bincount(kinds, minlength=classes)
    if counts.min() < 2:
        raise UsageError(
            f"A Frechet distance per emotion needs at least 2 {name} images of each class; "
            f"class {int(counts.argmin())} has {int(counts.min())}."
        )
    return [moments(rows[kinds == kind]) for kind in range(classes)]


def frechet_per_emotion(
    real: ArrayLike,
    real_labels: ArrayLike,
    painted: ArrayLike,
    painted_labels: ArrayLike,
    classes: int,
) -> tuple[list[float], float]:
    """Return (distance per emotion, distance of the summed moments of all emotions).

    Raises:
        UsageError: when an emotion has fewer than 2 images on a side; shape mismatch; NaN.
    """
    truth = _by_emotion("real", real, real_labels, classes)
    made = _by_emotion("painted", painted, painted_labels, classes)
    each = [frechet_from_moments(one, other) for one, other in zip(truth, made, strict=True)]
    return each, frechet_from_moments(add_moments(truth), add_moments(made))
