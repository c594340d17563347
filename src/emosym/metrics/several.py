"""Labels that do not exclude each other: probabilities, thresholds, and how good a ranking is.

`logits` and `probabilities` are (N, C), `truth` is (N, C) of 0 and 1: label c is true of sample n.
Every function raises UsageError for shape mismatch, NaN, no samples, or other truths.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from emosym.errors import UsageError
from emosym.metrics.checks import Floats, as_matrix, same_length
from emosym.metrics.label_sets import macro_f1, micro_f1
from emosym.metrics.scaling import RIDGE, SCALES
from emosym.seeds import numpy_rng

EVEN = 0.5  # the threshold of a label of which nothing is known


def apply_platt(logits: ArrayLike, scale: ArrayLike, bias: ArrayLike) -> Floats:
    """Return sigmoid(scale * logits + bias), (N, C) float64; `scale`, `bias` are (C,)."""
    from scipy.special import expit

    scores = as_matrix("logits", logits)
    by, plus = np.asarray(scale, np.float64), np.asarray(bias, np.float64)
    if not by.shape == plus.shape == scores.shape[1:]:
        raise UsageError(
            f"scale and bias must have {scores.shape[1]} numbers each, got shapes {by.shape} and "
            f"{plus.shape}."
        )
    return np.asarray(expit(scores * by + plus))


def fit_platt(logits: ArrayLike, truth: ArrayLike, ridge: float = RIDGE) -> tuple[Floats, Floats]:
    """Return scale and bias (C,) each: of every label a logistic regression on its own logit.

    Minimises the summed binary cross-entropy + ridge / 2 * (|scale - 1|^2 + |bias|^2), which is
    convex: a label with few samples stays near what the model said. Platt 1999.
    """
    from scipy.optimize import minimize

    scores, marks = _checked(logits, truth)
    classes = scores.shape[1]
    start = np.concatenate([np.ones(classes), np.zeros(classes)])

    def loss(values: Floats) -> tuple[float, Floats]:
        scale, bias = values[:classes], values[classes:]
        mapped = scores * scale + bias
        residual = apply_platt(scores, scale, bias) - marks  # (N, C)
        slope = np.concatenate([(residual * scores).sum(axis=0), residual.sum(axis=0)])
        away = values - start
        # -ln p of a true label is ln(1 + e^-x), of another ln(1 + e^x)
        total = np.logaddexp(0.0, np.where(marks > 0, -mapped, mapped)).sum()
        return float(total + 0.5 * ridge * (away @ away)), np.asarray(slope + ridge * away)

    bounds = [SCALES] * classes + [(None, None)] * classes
    options = {"maxiter": 2000, "ftol": 1e-13, "gtol": 1e-9 * len(scores)}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    best = found.x if loss(found.x)[0] <= loss(start)[0] else start
    return best[:classes], best[classes:]


def best_thresholds(probabilities: ArrayLike, truth: ArrayLike) -> Floats:
    """Return for each label (C,) the threshold at or above which saying it has the highest F1.

    It lies halfway between the last probability that is said and the next lower one (0 after the
    last); of equally good ones the highest is taken. A label that is never true has EVEN.
    """
    shares, marks = _checked(probabilities, truth)
    if shares.min() < 0.0 or shares.max() > 1.0:
        raise UsageError("Thresholds are chosen on probabilities, 0..1.")
    found = np.full(shares.shape[1], EVEN)
    for label, (column, true) in enumerate(zip(shares.T, marks.T, strict=True)):
        if not true.any():
            continue
        order = np.argsort(-column, kind="stable")
        sure = column[order]
        hits = np.cumsum(true[order])  # among the i + 1 surest
        scores = 2.0 * hits / (np.arange(1, len(sure) + 1) + true.sum())
        below = np.append(sure[1:], 0.0)
        tied = np.append(sure[1:] == sure[:-1], False)
        scores[tied] = -1.0  # equal probabilities stay together
        place = int(scores.argmax())
        found[label] = (sure[place] + below[place]) / 2
    return found


def mean_average_precision(probabilities: ArrayLike, truth: ArrayLike) -> float | None:
    """Return the mean over labels of the average precision of its ranking, 0..1.

    Average precision is the sum over its true samples of (precision down to there) / (how many are
    true), equal scores together. Labels that are never true are left out; None where all are.
    """
    from sklearn.metrics import average_precision_score

    shares, marks = _checked(probabilities, truth)
    each = [
        float(average_precision_score(true, column))
        for column, true in zip(shares.T, marks.T, strict=True)
        if true.any()
    ]
    return float(np.mean(each)) if each else None


def said_by_other_half(probabilities: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """Return what is said of each sample, bool (N, C), at thresholds chosen without it.

    Samples are dealt into halves, by (0, "threshold-halves"): each is judged at `best_thresholds`
    of the other one. On the samples themselves the F1 would be too good.
    """
    shares, marks = _checked(probabilities, truth)
    order = numpy_rng(0, "threshold-halves").permutation(len(shares))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    said = np.zeros(shares.shape, dtype=bool)
    for own, other in (halves, halves[::-1]):
        chosen = best_thresholds(shares[other], marks[other]) if len(other) else EVEN
        said[own] = shares[own] >= chosen
    return said


def several_values(probabilities: ArrayLike, truth: ArrayLike) -> dict[str, float]:
    """Return the values of held-out probabilities, on which thresholds are still to be chosen.

    `macro_f1` and `micro_f1` at thresholds of the other half (`said_by_other_half`), the same at
    one half for all labels (`_at_half`), and `mean_average_precision`, which needs no threshold.
    """
    shares, marks = _checked(probabilities, truth)
    wanted, said, half = marks > 0, said_by_other_half(shares, marks), shares >= EVEN
    return {
        "macro_f1": macro_f1(said, wanted) or 0.0,
        "micro_f1": micro_f1(said, wanted),
        "mean_average_precision": mean_average_precision(shares, marks) or 0.0,
        "macro_f1_at_half": macro_f1(half, wanted) or 0.0,
        "micro_f1_at_half": micro_f1(half, wanted),
    }


def _checked(scores: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    found, marks = as_matrix("scores", scores), as_matrix("truth", truth)
    same_length(scores=found, truth=marks)
    if found.shape != marks.shape or not np.isin(marks, (0.0, 1.0)).all():
        raise UsageError(
            f"Truths must be 0 or 1 of each of {found.shape[1]} labels, got shape {marks.shape}."
        )
    return found, marks
