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
    """What of a set of features the distance needs; `add_moments` joins sets.

    Centred, since the difference of two large sums of squares would keep few digits of a small
    covariance far from the origin.
    """

    count: int
    mean: Floats
    """Mean feature (D,)."""
    scatter: Floats
    """Sum of the outer products of the features less their mean (D, D)."""


def moments(features: ArrayLike) -> Moments:
    """Return the moments of (N, D) features.

    Raises:
        UsageError: for another shape, no row, NaN or infinity.
    """
    rows = as_matrix("features", features)
    mean = rows.mean(axis=0)
    centred = rows - mean
    return Moments(len(rows), mean, centred.T @ centred)


def add_moments(parts: Sequence[Moments]) -> Moments:
    """Return the moments of the joined sets (Chan, Golub and LeVeque 1979).

    Raises:
        UsageError: for no part, or parts of different feature sizes.
    """
    if not parts:
        raise UsageError("There are no moments to add up.")
    if len({len(part.mean) for part in parts}) != 1:
        raise UsageError("These moments come from features of different sizes.")
    counts = np.asarray([part.count for part in parts])
    means = np.stack([part.mean for part in parts])  # (K, D)
    mean = np.average(means, axis=0, weights=counts)
    apart = means - mean
    inside = np.sum([part.scatter for part in parts], axis=0)
    return Moments(int(counts.sum()), mean, inside + (apart.T * counts) @ apart)


def mean_and_covariance(part: Moments) -> tuple[Floats, Floats]:
    """Return the mean (D,) and the unbiased covariance (D, D).

    Raises:
        UsageError: for fewer than 2 images, which have no covariance.
    """
    if part.count < 2:
        raise UsageError(f"A Frechet distance needs at least 2 images a side, got {part.count}.")
    return part.mean, part.scatter / (part.count - 1)


def frechet_from_moments(first: Moments, second: Moments) -> float:
    """Return the squared Frechet distance of two Gaussians, 0 or more; lower is nearer.

    Raises:
        UsageError: for fewer than 2 images on a side, or different feature sizes.
    """
    if len(first.mean) != len(second.mean):
        raise UsageError(
            f"Features of size {len(first.mean)} and {len(second.mean)} cannot be compared."
        )
    (mean_a, cov_a), (mean_b, cov_b) = mean_and_covariance(first), mean_and_covariance(second)
    # The trace is the least |A^(1/2) - B^(1/2) U|^2 over rotations U (orthogonal Procrustes). As a
    # sum of squares it has no large numbers that cancel, and no root of an eigenvalue that only
    # rounding made (a covariance of fewer images than features has many).
    from scipy.linalg import svd

    root_a, root_b = _root(cov_a), _root(cov_b)
    left, _, right = svd(root_a @ root_b)
    apart = root_a - root_b @ (left @ right).T
    return float(((mean_a - mean_b) ** 2).sum() + (apart**2).sum())


def _root(covariance: Floats) -> Floats:
    """Return the symmetric root (D, D) of a covariance."""
    from scipy.linalg import eigh

    values, vectors = eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


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
