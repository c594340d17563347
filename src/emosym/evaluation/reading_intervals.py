"""Bootstrap intervals of reading metrics, over pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from emosym.emotions import LabelSpace
from emosym.evaluation.understanding import log_losses
from emosym.metrics.calibration import expected_calibration_error
from emosym.metrics.checks import as_labels, as_probabilities, same_length
from emosym.metrics.classification import confusion
from emosym.metrics.intervals import bootstrap, bootstrap_mean

DRAWS = 1000


def reading_intervals(
    probabilities: ArrayLike, labels: ArrayLike, space: LabelSpace, seed: int
) -> dict[str, Any]:
    """Return `<metric>_interval`, [low, high] at 95 %, of the metrics that have no closed form.

    `probabilities` (N, C), `labels` (N,). Accuracy has its Wilson interval already.

    Raises:
        UsageError: for arrays that do not fit together or are no probabilities.
    """
    shares = as_probabilities("probabilities", probabilities, len(space))
    answers = as_labels("labels", labels, len(space))
    same_length(probabilities=shares, labels=answers)
    guesses = shares.argmax(axis=1)
    surest = shares.max(axis=1)
    truth = np.eye(len(space))[answers]

    def f1_of(guess: np.ndarray, answer: np.ndarray) -> float:
        return mean_f1(confusion(guess, answer, len(space)))

    found = {
        "macro_f1": bootstrap([guesses, answers], f1_of, seed, DRAWS),
        "ece": bootstrap([surest, guesses == answers], expected_calibration_error, seed, DRAWS),
        "brier_multiclass": bootstrap_mean(((shares - truth) ** 2).sum(axis=1), seed, DRAWS),
        "nll": bootstrap_mean(log_losses(shares, answers), seed, DRAWS),
    }
    return {f"{name}_interval": [value.low, value.high] for name, value in found.items()}


def mean_f1(counts: np.ndarray) -> float:
    """Return the unweighted mean F1 of counts (C, C); a class on neither side is left out.

    As `classification.macro_f1`, from counts: a thousand resamples ask for it.
    """
    hits = np.diag(counts).astype(np.float64)
    both = counts.sum(axis=0) + counts.sum(axis=1)  # named plus true, (C,)
    present = both > 0
    return float((2 * hits[present] / both[present]).mean())
