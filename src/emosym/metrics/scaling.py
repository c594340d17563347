"""Vector scaling of logits, its cross-validation, and a confidence below which to abstain.

All of it is fitted on held-out labelled logits: `logits` is (N, C), `labels` (N,) class indices.
Every function raises UsageError for shape mismatch, NaN, no samples, or labels out of range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from emosym.errors import UsageError
from emosym.metrics.calibration import apply_temperature, fit_temperature
from emosym.metrics.checks import (
    Floats,
    Ints,
    as_correct,
    as_labels,
    as_matrix,
    as_unit,
    same_length,
)
from emosym.seeds import numpy_rng

METHODS = ("temperature", "vector")
RIDGE = 1.0
SCALES = (0.05, 20.0)  # of vector scaling, relative to the temperature's
FOLDS = 5
TARGET = 0.95
FEWEST = 20  # answered readings below which no accuracy is believed


@dataclass(frozen=True, slots=True)
class Abstention:
    """A confidence threshold, with the coverage (0..1) and accuracy of the readings at or above."""

    threshold: float
    coverage: float
    accuracy: float
    count: int


def apply_vector(logits: ArrayLike, scale: ArrayLike, bias: ArrayLike) -> Floats:
    """Return softmax(scale * centred logits + bias), (N, C) float64; `scale`, `bias` are (C,).

    Logits are centred row by row first, so that only their differences count: the probabilities
    before scaling, or their logarithms, then hold all that is needed.

    Raises:
        UsageError: also where scale or bias have another length.
    """
    return apply_temperature(scaled(as_matrix("logits", logits), scale, bias), 1.0)


def fit_vector_scaling(
    logits: ArrayLike, labels: ArrayLike, ridge: float = RIDGE
) -> tuple[Floats, Floats]:
    """Return scale and bias (C,) each: a diagonal affine map that minimises the penalised NLL.

    Starts from centred logits / T with T of `fit_temperature`, and minimises there
    N * NLL + ridge / 2 * (|scale - 1|^2 + |bias|^2): maximum a posteriori under unit Gaussians
    round "the temperature is enough", so that a class with few pictures is not bent to them. The
    objective is convex and its minimum unique; its NLL on these logits is never above the
    temperature's. Guo et al. 2017 (vector scaling).

    Raises:
        UsageError: also where ridge is not positive.
    """
    from scipy.optimize import minimize

    scores, answers = _checked(logits, labels)
    if not 0.0 < ridge < float("inf"):
        raise UsageError(f"The ridge must be positive and finite, got {ridge}.")
    temperature = fit_temperature(scores, answers)
    classes = scores.shape[1]
    warm = (scores - scores.mean(axis=1, keepdims=True)) / temperature  # (N, C)
    target = np.eye(classes)[answers]  # (N, C)

    def loss(values: Floats) -> tuple[float, Floats]:
        scale, bias = values[:classes], values[classes:]
        mapped = warm * scale + bias
        residual = apply_temperature(mapped, 1.0) - target  # (N, C)
        slope = np.concatenate([(residual * warm).sum(axis=0), residual.sum(axis=0)])
        away = values - start
        total = log_losses_of_logits(mapped, answers).sum() + 0.5 * ridge * float(away @ away)
        return float(total), np.asarray(slope + ridge * away)

    start = np.concatenate([np.ones(classes), np.zeros(classes)])
    bounds = [SCALES] * classes + [(None, None)] * classes
    options = {"maxiter": 1000, "ftol": 1e-13, "gtol": 1e-9 * len(scores)}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    best = found.x if loss(found.x)[0] <= loss(start)[0] else start
    return best[:classes] / temperature, best[classes:]


def log_losses_of_logits(logits: ArrayLike, labels: ArrayLike) -> Floats:
    """Return -log softmax(logits)[label] in nats, (N,)."""
    scores, answers = _checked(logits, labels)
    top = scores.max(axis=1)  # (N,)
    normaliser = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    return np.asarray(normaliser - scores[np.arange(len(answers)), answers])


def cross_validated(
    logits: ArrayLike, labels: ArrayLike, folds: int = FOLDS, seed: int = 0
) -> dict[str, Floats]:
    """Return each method's loss -log p[label] (N,) of every sample, fitted without its fold.

    Folds are stratified by label and drawn from (seed, "calibration-folds").

    Raises:
        UsageError: also for fewer than two folds, or fewer samples than folds.
    """
    scores, answers = _checked(logits, labels)
    if not 2 <= folds <= len(scores):
        raise UsageError(f"Give 2 to {len(scores)} folds for {len(scores)} samples, got {folds}.")
    order = numpy_rng(seed, "calibration-folds").permutation(len(scores))
    order = order[np.argsort(answers[order], kind="stable")]  # by label, at random within it
    fold = np.empty(len(scores), np.int64)
    fold[order] = np.arange(len(scores)) % folds
    losses = {method: np.empty(len(scores)) for method in METHODS}
    for number in range(folds):
        out, rest = fold == number, fold != number
        temperature = fit_temperature(scores[rest], answers[rest])
        scale, bias = fit_vector_scaling(scores[rest], answers[rest])
        mapped = (scores[out] / temperature, scaled(scores[out], scale, bias))
        for method, values in zip(METHODS, mapped, strict=True):
            losses[method][out] = log_losses_of_logits(values, answers[out])
    return losses


def choose_abstention(
    confidence: ArrayLike, correct: ArrayLike, target: float = TARGET, fewest: int = FEWEST
) -> Abstention | None:
    """Return the lowest confidence at or above which a share `target` of the readings is right.

    `confidence` is (N,) in 0..1, `correct` (N,) of 0 and 1; equal confidences stay together. None
    where no threshold leaves `fewest` readings of that accuracy.

    Raises:
        UsageError: also for a target outside 0..1 or fewer than one reading.
    """
    sure, right = as_unit("confidence", confidence), as_correct("correct", correct)
    same_length(confidence=sure, correct=right)
    if not 0.0 < target <= 1.0 or fewest < 1:
        raise UsageError(
            f"Give a target accuracy above 0 and at most 1, and 1 or more readings that it must "
            f"hold for; got {target} and {fewest}."
        )
    order = np.argsort(-sure, kind="stable")
    sorted_sure = sure[order]
    hits = np.cumsum(right[order])  # (N,) right among the i + 1 surest
    counts = np.arange(1, len(sure) + 1)
    last_of_equal = np.append(sorted_sure[1:] < sorted_sure[:-1], True)
    # hits / counts would put 19 of 20 below .95 by rounding
    good = last_of_equal & (counts >= fewest) & (hits >= target * counts - 1e-9)
    if not good.any():
        return None
    place = int(np.flatnonzero(good)[-1])
    count = place + 1
    accuracy = float(hits[place] / count)
    return Abstention(float(sorted_sure[place]), count / len(sure), accuracy, count)


def scaled(scores: Floats, scale: ArrayLike, bias: ArrayLike) -> Floats:
    """Return scale * centred scores + bias, (N, C); `scale` and `bias` are (C,)."""
    by, plus = np.asarray(scale, np.float64), np.asarray(bias, np.float64)
    if not by.shape == plus.shape == scores.shape[1:]:
        raise UsageError(
            f"scale and bias must have {scores.shape[1]} numbers each, got shapes {by.shape} and "
            f"{plus.shape}."
        )
    return np.asarray((scores - scores.mean(axis=1, keepdims=True)) * by + plus)


def _checked(logits: ArrayLike, labels: ArrayLike) -> tuple[Floats, Ints]:
    scores = as_matrix("logits", logits)
    answers = as_labels("labels", labels, scores.shape[1])
    same_length(logits=scores, labels=answers)
    return scores, answers
