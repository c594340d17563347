"""How well pictures are read: one flat table of values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from emosym.emotions import LabelSpace
from emosym.metrics import calibration, classification, distributions, risk
from emosym.metrics.checks import Floats, as_labels, as_probabilities, same_length
from emosym.metrics.intervals import wilson

FLOOR = 1e-12


def log_losses(probabilities: ArrayLike, labels: ArrayLike) -> Floats:
    """Return -log p[label] in nats, (N,), of (N, C) probabilities; a p of 0 counts as 1e-12.

    Raises:
        UsageError: for arrays that are no probabilities, labels out of range, or other lengths.
    """
    shares = as_probabilities("probabilities", probabilities)
    answers = as_labels("labels", labels, shares.shape[1])
    same_length(probabilities=shares, labels=answers)
    chosen = shares[np.arange(len(answers)), answers]  # (N,)
    return np.asarray(-np.log(np.maximum(chosen, FLOOR)))


def negative_log_likelihood(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean of `log_losses`, with its errors."""
    return float(log_losses(probabilities, labels).mean())


def reliability_values(
    probabilities: Floats, labels: np.ndarray, mode: str = "corrected"
) -> dict[str, Any]:
    """Return the bins of the reliability diagram of (N, C) probabilities: three lists."""
    right = probabilities.argmax(axis=1) == labels
    bins = calibration.reliability_bins(probabilities.max(axis=1), right, mode=mode)
    return {
        "reliability_count": [row.count for row in bins],
        "reliability_confidence": [row.confidence for row in bins],
        "reliability_accuracy": [row.accuracy for row in bins],
    }


def raw_values(raw: ArrayLike, labels: ArrayLike, mode: str = "corrected") -> dict[str, Any]:
    """Return what calibration changed, of the probabilities (N, C) before it, ending in `_raw`.

    Raises:
        UsageError: for arrays that do not fit together or are no probabilities.
    """
    shares = as_probabilities("raw", raw)
    answers = as_labels("labels", labels, shares.shape[1])
    found = calibration.calibration_values(shares, answers, mode)
    kept = ("ece", "brier_confidence", "brier_multiclass", "roc_auc")
    values = {
        "accuracy": float((shares.argmax(axis=1) == answers).mean()),
        "nll": negative_log_likelihood(shares, answers),
        **{name: found[name] for name in kept},
        **reliability_values(shares, answers, mode),
    }
    return {f"{name}_raw": value for name, value in values.items()}


def abstention_values(
    probabilities: ArrayLike, labels: ArrayLike, below: float | None
) -> dict[str, Any]:
    """Return the share of readings that are answered, and how many of those are right.

    A reading is answered where its largest probability is at least `below`. Empty without a
    threshold; `abstain_accuracy` and its 95 % interval are None where nothing is answered.
    """
    if below is None:
        return {}
    shares = as_probabilities("probabilities", probabilities)
    answers = as_labels("labels", labels, shares.shape[1])
    same_length(probabilities=shares, labels=answers)
    # not `shares`, whose rows are divided by their sums: a confidence at the threshold would move
    answered = np.asarray(probabilities).max(axis=1) >= below  # (N,)
    right, count = int((shares.argmax(axis=1) == answers)[answered].sum()), int(answered.sum())
    interval = wilson(right, count) if count else None
    return {
        "abstain_below": below,
        "abstain_coverage": count / len(answers),
        "abstain_accuracy": None if interval is None else interval.value,
        "abstain_accuracy_interval": None if interval is None else [interval.low, interval.high],
    }


def evaluate_understanding(
    probabilities: ArrayLike,
    labels: ArrayLike,
    votes: ArrayLike | None,
    space: LabelSpace,
    mode: str = "corrected",
) -> dict[str, Any]:
    """Return every reading metric as {name: number | None | list}, ready for `make_result`.

    `probabilities` (N, C) are the readings, `labels` (N,) class indices, `votes` (N, C) the
    annotators' distributions if there are several.

    Raises:
        UsageError: for arrays that do not fit together or are no probabilities.
    """
    shares = as_probabilities("probabilities", probabilities, len(space))
    answers = as_labels("labels", labels, len(space))
    same_length(probabilities=shares, labels=answers)
    right = int((shares.argmax(axis=1) == answers).sum())
    interval = wilson(right, len(answers))
    values: dict[str, Any] = {
        **classification.classification_values(shares, answers, space),
        **calibration.calibration_values(shares, answers, mode),
        **risk.risk_values(shares.max(axis=1), shares.argmax(axis=1) == answers),
        "accuracy_interval": [interval.low, interval.high],
        "nll": negative_log_likelihood(shares, answers),
    }
    values |= reliability_values(shares, answers, mode)
    if votes is not None:
        found = distributions.distribution_values(shares, votes)
        values.update({f"votes_{name}": value for name, value in found.items()})
    return values
