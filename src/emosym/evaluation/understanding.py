"""How well pictures are read: one flat table of values, with the best achievable beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from emosym.emotions import LabelSpace
from emosym.metrics import calibration, classification, distributions
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


def evaluate_understanding(
    probabilities: ArrayLike,
    labels: ArrayLike,
    votes: ArrayLike | None,
    space: LabelSpace,
    posterior: ArrayLike | None = None,
    mode: str = "corrected",
) -> dict[str, Any]:
    """Return every reading metric as {name: number | None | list}, ready for `make_result`.

    `probabilities` (N, C) are the readings, `labels` (N,) class indices, `votes` (N, C) the
    annotators' distributions if there are several, `posterior` (N, C) the exact probabilities of
    a world that is known. With it, `best_*` tells what no reader of these pictures can beat on
    average, and `of_best` the accuracy as a share of that.

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
        "accuracy_interval": [interval.low, interval.high],
        "nll": negative_log_likelihood(shares, answers),
    }
    bins = calibration.reliability_bins(
        shares.max(axis=1), shares.argmax(axis=1) == answers, mode=mode
    )
    values["reliability_count"] = [row.count for row in bins]
    values["reliability_confidence"] = [row.confidence for row in bins]
    values["reliability_accuracy"] = [row.accuracy for row in bins]
    if votes is not None:
        found = distributions.distribution_values(shares, votes)
        values.update({f"votes_{name}": value for name, value in found.items()})
    if posterior is not None:
        exact = as_probabilities("posterior", posterior, len(space))
        same_length(probabilities=shares, posterior=exact)
        values["best_accuracy"] = float((exact.argmax(axis=1) == answers).mean())
        values["best_brier_multiclass"] = calibration.brier_multiclass(exact, answers)
        values["best_nll"] = negative_log_likelihood(exact, answers)
        best = values["best_accuracy"]
        values["of_best"] = values["accuracy"] / best if best > 0 else None
    return values
