"""How near a predicted emotion distribution is to the votes of several annotators.

The six label-distribution-learning measures (Geng 2016), each the mean over samples of
`prediction` (N, C) against `target` (N, C), rows summing to 1. Clark and Canberra are not divided
by the number of classes. Every function raises UsageError for shape mismatch, NaN, or rows that
are no distributions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from emosym.errors import UsageError
from emosym.metrics.checks import Floats, as_probabilities

KL_FLOOR = 1e-12


def _pair(prediction: ArrayLike, target: ArrayLike) -> tuple[Floats, Floats]:
    guess = as_probabilities("prediction", prediction)
    truth = as_probabilities("target", target)
    if guess.shape != truth.shape:
        raise UsageError(f"prediction {guess.shape} and target {truth.shape} differ in shape.")
    return guess, truth


def kl_divergence(prediction: ArrayLike, target: ArrayLike) -> float:
    """Return KL(target || prediction) in nats, 0 or more; lower is better.

    A prediction of 0 where the target is positive counts as 1e-12, so the value stays finite.
    """
    guess, truth = _pair(prediction, target)
    ratio = np.where(truth > 0.0, truth, 1.0) / np.maximum(guess, KL_FLOOR)  # (N, C)
    return float(np.where(truth > 0.0, truth * np.log(ratio), 0.0).sum(axis=1).mean())


def chebyshev(prediction: ArrayLike, target: ArrayLike) -> float:
    """Return the largest absolute difference over classes, 0..1; lower is better."""
    guess, truth = _pair(prediction, target)
    return float(np.abs(guess - truth).max(axis=1).mean())


def _relative(guess: Floats, truth: Floats) -> Floats:
    """Return |p - t| / (p + t) per class (N, C), 0 where both are 0."""
    total = guess + truth
    return np.asarray(np.abs(guess - truth) / np.where(total > 0.0, total, 1.0))


def clark(prediction: ArrayLike, target: ArrayLike) -> float:
    """Return sqrt(sum ((p - t) / (p + t))^2), 0..sqrt(C); lower is better."""
    return float(np.sqrt((_relative(*_pair(prediction, target)) ** 2).sum(axis=1)).mean())


def canberra(prediction: ArrayLike, target: ArrayLike) -> float:
    """Return sum |p - t| / (p + t), 0..C; lower is better."""
    return float(_relative(*_pair(prediction, target)).sum(axis=1).mean())


def cosine(prediction: ArrayLike, target: ArrayLike) -> float:
    """Return the cosine similarity, 0..1; higher is better."""
    guess, truth = _pair(prediction, target)
    lengths = np.linalg.norm(guess, axis=1) * np.linalg.norm(truth, axis=1)  # (N,)
    return float(((guess * truth).sum(axis=1) / lengths).mean())


def intersection(prediction: ArrayLike, target: ArrayLike) -> float:
    """Return sum min(p, t), 0..1; higher is better."""
    guess, truth = _pair(prediction, target)
    return float(np.minimum(guess, truth).sum(axis=1).mean())


MEASURES: dict[str, Callable[[ArrayLike, ArrayLike], float]] = {
    "kl": kl_divergence,
    "chebyshev": chebyshev,
    "clark": clark,
    "canberra": canberra,
    "cosine": cosine,
    "intersection": intersection,
}
BETTER: dict[str, str] = {
    "kl": "lower",
    "chebyshev": "lower",
    "clark": "lower",
    "canberra": "lower",
    "cosine": "higher",
    "intersection": "higher",
}


def distribution_values(prediction: ArrayLike, target: ArrayLike) -> dict[str, float]:
    """Return all six measures; `BETTER` tells the direction of each."""
    return {name: measure(prediction, target) for name, measure in MEASURES.items()}
