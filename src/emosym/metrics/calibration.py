"""Whether a stated confidence deserves belief: ECE, Brier, ROC-AUC, coverage, temperature.

`confidence` is (N,) in 0..1, `correct` is (N,) of 0 and 1. Every function raises UsageError for
shape mismatch, NaN, no samples, or values out of range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from emosym.errors import UsageError
from emosym.metrics.checks import (
    Floats,
    as_correct,
    as_labels,
    as_matrix,
    as_probabilities,
    as_unit,
    check_mode,
    same_length,
)

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """One bar of a reliability diagram; the means are None in an empty bin."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Threshold:
    """What is left when readings below a confidence are refused; accuracy is None if nothing."""

    threshold: float
    coverage: float
    accuracy: float | None
    count: int


def _pair(confidence: ArrayLike, correct: ArrayLike) -> tuple[Floats, Floats]:
    sure = as_unit("confidence", confidence)
    right = as_correct("correct", correct)
    same_length(confidence=sure, correct=right)
    return sure, right


def reliability_bins(
    confidence: ArrayLike, correct: ArrayLike, bins: int = 10, mode: str = "corrected"
) -> list[ReliabilityBin]:
    """Return `bins` equal-width bins [low, high) over 0..1.

    'corrected' closes the last bin on the right; 'compat' leaves c = 1 out, as published.
    """
    compat = check_mode(mode)
    sure, right = _pair(confidence, correct)
    if bins < 1:
        raise UsageError(f"The number of bins must be 1 or more, got {bins}.")
    edges = np.arange(bins + 1) / bins  # exact k/bins: linspace puts .3 into the wrong bin
    places = np.searchsorted(edges, sure, side="right") - 1  # (N,)
    if not compat:
        places = np.minimum(places, bins - 1)
    rows = []
    for place in range(bins):
        inside = places == place
        count = int(inside.sum())
        rows.append(
            ReliabilityBin(
                low=float(edges[place]),
                high=float(edges[place + 1]),
                count=count,
                confidence=float(sure[inside].mean()) if count else None,
                accuracy=float(right[inside].mean()) if count else None,
            )
        )
    return rows


def expected_calibration_error(
    confidence: ArrayLike, correct: ArrayLike, bins: int = 10, mode: str = "corrected"
) -> float:
    """Return ECE, the count-weighted mean gap |accuracy - confidence| over bins, 0..1.

    Weights are count / N with N all samples, so 'compat' (which leaves out c = 1) can only lose
    weight: with every confidence at 1 it is 0.
    """
    rows = reliability_bins(confidence, correct, bins, mode)
    total = len(np.asarray(confidence))
    return sum(
        row.count / total * abs(row.accuracy - row.confidence)
        for row in rows
        if row.accuracy is not None and row.confidence is not None
    )


def brier_confidence(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Return mean (c - correct)^2, 0..1; lower is better."""
    sure, right = _pair(confidence, correct)
    return float(((sure - right) ** 2).mean())


def brier_multiclass(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """Return mean over samples of the squared error summed over classes, 0..2; lower is better.

    `probabilities` is (N, C), `truth` is (N,). Brier 1950.
    """
    shares = as_probabilities("probabilities", probabilities)
    answers = as_labels("truth", truth, shares.shape[1])
    same_length(probabilities=shares, truth=answers)
    target = np.eye(shares.shape[1])[answers]  # (N, C)
    return float(((shares - target) ** 2).sum(axis=1).mean())


def roc_auc(confidence: ArrayLike, correct: ArrayLike) -> float | None:
    """Return the chance that a right reading is surer than a wrong one, ties half, 0..1.

    None (undefined) when all readings are right or all are wrong.
    """
    from sklearn.metrics import roc_auc_score

    sure, right = _pair(confidence, correct)
    if right.min() == right.max():
        return None
    return float(roc_auc_score(right, sure))


def accuracy_coverage(
    confidence: ArrayLike, correct: ArrayLike, thresholds: tuple[float, ...] = THRESHOLDS
) -> list[Threshold]:
    """Return accuracy and coverage (both 0..1) of the readings with confidence >= threshold."""
    sure, right = _pair(confidence, correct)
    rows = []
    for threshold in thresholds:
        kept = sure >= threshold
        count = int(kept.sum())
        share = float(right[kept].mean()) if count else None
        rows.append(Threshold(threshold, float(kept.mean()), share, count))
    return rows


def apply_temperature(logits: ArrayLike, temperature: float) -> Floats:
    """Return softmax(logits / temperature) as float64 (N, C).

    Raises:
        UsageError: when the temperature is not a positive finite number.
    """
    scores = as_matrix("logits", logits)
    if not 0.0 < temperature < float("inf"):
        raise UsageError(f"The temperature must be positive and finite, got {temperature}.")
    scaled = scores / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))  # (N, C)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def nll_of_logits(logits: ArrayLike, labels: ArrayLike, temperature: float = 1.0) -> float:
    """Return mean -log softmax(logits / temperature)[label] in nats."""
    scores = as_matrix("logits", logits)
    answers = as_labels("labels", labels, scores.shape[1])
    same_length(logits=scores, labels=answers)
    if not 0.0 < temperature < float("inf"):
        raise UsageError(f"The temperature must be positive and finite, got {temperature}.")
    scaled = scores / temperature
    top = scaled.max(axis=1)  # (N,)
    normaliser = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
    return float((normaliser - scaled[np.arange(len(answers)), answers]).mean())


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """Return the temperature that minimises the NLL of (N, C) logits, within 0.05..20.

    The NLL is convex in 1 / T, so the one-dimensional search finds the minimum; where all
    readings are right (or worse than chance) it lies at a bound, which is then returned.
    Guo et al. 2017.
    """
    from scipy.optimize import minimize_scalar

    scores = as_matrix("logits", logits)
    answers = as_labels("labels", labels, scores.shape[1])
    same_length(logits=scores, labels=answers)
    low, high = np.log(TEMPERATURES[0]), np.log(TEMPERATURES[1])
    found = minimize_scalar(
        lambda log_t: nll_of_logits(scores, answers, float(np.exp(log_t))),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-7},
    )
    candidates = [1.0, *TEMPERATURES, float(np.exp(found.x))]  # never worse than doing nothing
    return min(candidates, key=lambda t: nll_of_logits(scores, answers, t))


def calibration_values(
    probabilities: ArrayLike, truth: ArrayLike, mode: str = "corrected"
) -> dict[str, float | list[float | None] | None]:
    """Return every measure of this module for (N, C) probabilities, ready for a result file.

    Confidence is the largest probability of each row.
    """
    shares = as_probabilities("probabilities", probabilities)
    answers = as_labels("truth", truth, shares.shape[1])
    same_length(probabilities=shares, truth=answers)
    sure, right = shares.max(axis=1), shares.argmax(axis=1) == answers
    rows = accuracy_coverage(sure, right)
    return {
        "ece": expected_calibration_error(sure, right, mode=mode),
        "brier_confidence": brier_confidence(sure, right),
        "brier_multiclass": brier_multiclass(shares, answers),
        "roc_auc": roc_auc(sure, right),
        "thresholds": list(THRESHOLDS),
        "coverage": [row.coverage for row in rows],
        "accuracy_at_coverage": [row.accuracy for row in rows],
    }
