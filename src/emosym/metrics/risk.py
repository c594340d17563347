"""Answering only what one is sure of: risk by coverage, and the area below the curve.

`confidence` is (N,) in 0..1, `correct` is (N,) of 0 and 1. Readings are answered from the surest
on; of equally sure ones all are answered, or none. Every function raises UsageError for shape
mismatch, NaN, no samples, or values out of range.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from emosym.metrics.checks import Floats, as_correct, as_unit, same_length

COVERAGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def risk_coverage(confidence: ArrayLike, correct: ArrayLike) -> tuple[Floats, Floats]:
    """Return coverage (K,) and risk (K,), both 0..1, of each distinct confidence, surest first."""
    sure, right = as_unit("confidence", confidence), as_correct("correct", correct)
    count = same_length(confidence=sure, correct=right)
    order = np.argsort(-sure, kind="stable")
    answered = np.arange(1, count + 1)
    wrong = np.cumsum(1.0 - right[order])
    last = np.append(np.flatnonzero(np.diff(sure[order])), count - 1)  # of each group of ties
    return answered[last] / count, wrong[last] / answered[last]


def area_under_risk(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Return the mean risk over all N coverages, 0..1; lower is better (AURC).

    Within a group of ties the risk rises or falls evenly, as of a random order on average.
    """
    coverage, risk = risk_coverage(confidence, correct)
    count = len(np.asarray(correct))
    answered = np.rint(coverage * count).astype(int)
    wrong = risk * answered
    every = np.arange(1, count + 1)
    between = np.interp(every, np.append(0, answered), np.append(0.0, wrong))
    return float((between / every).mean())


def risk_values(confidence: ArrayLike, correct: ArrayLike) -> dict[str, float | list[float]]:
    """Return the values of a result file.

    `aurc`; `aurc_best`, that of the same answers in the best order, wrong ones last; `aurc_none`,
    the error rate, which an order that tells nothing has; `risk_at_coverage`: the risk where at
    least 10 %, 20 % ... 100 % are answered.
    """
    coverage, risk = risk_coverage(confidence, correct)
    right = as_correct("correct", correct)
    at = [float(risk[np.searchsorted(coverage, share - 1e-12)]) for share in COVERAGES]
    return {
        "aurc": area_under_risk(confidence, correct),
        "aurc_best": area_under_risk(right, right),
        "aurc_none": float(1.0 - right.mean()),
        "risk_at_coverage": at,
    }
