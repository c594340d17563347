"""How logits become probabilities: fitted on held-out pictures, kept in the checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError, unknown_name
from emosym.metrics.calibration import apply_temperature, fit_temperature
from emosym.metrics.checks import Floats, as_matrix
from emosym.metrics.scaling import (
    FOLDS,
    METHODS,
    TARGET,
    apply_vector,
    choose_abstention,
    cross_validated,
    fit_vector_scaling,
)
from emosym.metrics.several import EVEN, apply_platt, best_thresholds, fit_platt

LOSSES = ("temperature_nll", "vector_nll")
SHARES = ("abstain_below", "target", "coverage", "accuracy")
LISTS = ("scale", "bias", "thresholds")
PLATT = "platt"  # the method of labels that do not exclude each other
NEEDED = {"vector": LISTS[:2], PLATT: LISTS}  # of these lists
MOST = 1e30  # of a number that a fit could give


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a model's logits become probabilities, and below which confidence it abstains.

    Probabilities are softmax(logits / temperature), or where the method is `vector` softmax(scale *
    centred logits + bias) with C numbers each; both are kept. `temperature_nll` and `vector_nll`
    are their cross-validated negative log likelihoods in nats, None where too few pictures were
    held out. A confidence below `abstain_below` is no answer: the held-out readings at or above it,
    a share `coverage` of the `n`, were right in a share `accuracy`, at least `target`. These three
    are None where no threshold reached the target.

    Of labels that do not exclude each other the method is `platt`: sigmoid(scale * logits + bias),
    a label each. One is said from its number in `thresholds` (C,) on, and a reading is right where
    the label that it names first (`named`) is among the true ones.
    """

    temperature: float = 1.0
    method: str = "temperature"
    scale: tuple[float, ...] | None = None
    bias: tuple[float, ...] | None = None
    temperature_nll: float | None = None
    vector_nll: float | None = None
    n: int = 0
    abstain_below: float | None = None
    target: float | None = None
    coverage: float | None = None
    accuracy: float | None = None
    thresholds: tuple[float, ...] | None = None


def uncalibrated(space: LabelSpace) -> Calibration:
    """Return the calibration that changes nothing; of several labels, each is said from .5 on."""
    if not space.several:
        return Calibration()
    count = len(space)
    return Calibration(
        method=PLATT, scale=(1.0,) * count, bias=(0.0,) * count, thresholds=(EVEN,) * count
    )


def calibrated(logits: ArrayLike, calibration: Calibration) -> Floats:
    """Return the probabilities (N, C), float64, that a calibration makes of logits."""
    if calibration.method == "temperature":
        return apply_temperature(logits, calibration.temperature)
    apply = apply_platt if calibration.method == PLATT else apply_vector
    return apply(logits, calibration.scale or (), calibration.bias or ())


def said_labels(probabilities: Floats, calibration: Calibration) -> np.ndarray:
    """Return which labels reach their thresholds, bool (N, C), of a `platt` calibration."""
    return np.asarray(probabilities >= np.asarray(calibration.thresholds))


def named(probabilities: Floats, calibration: Calibration) -> np.ndarray:
    """Return the one label (N,) that readings name first: the most probable.

    Of several labels, of those that reach their thresholds, where any does.
    """
    if calibration.thresholds is None:
        return np.asarray(probabilities.argmax(axis=1))
    said = said_labels(probabilities, calibration)
    return np.asarray((probabilities + said).argmax(axis=1))


def fit_calibration(logits: ArrayLike, labels: ArrayLike, target: float = TARGET) -> Calibration:
    """Fit everything on held-out logits; errors as in `fit_vector_scaling`.

    Vector scaling is used where its cross-validated loss is lower than the temperature's by more
    than the standard error of the mean difference; else the temperature, which has one number to
    fit and never changes an answer. The threshold is chosen for the method that is used.
    """
    scores, answers = as_matrix("logits", logits), np.asarray(labels)
    scale, bias = fit_vector_scaling(scores, answers)
    method, losses = METHODS[0], {}
    if len(scores) >= 2 * FOLDS:
        losses = cross_validated(scores, answers)
        gain = losses["temperature"] - losses["vector"]  # (N,)
        method = METHODS[int(gain.mean() > gain.std(ddof=1) / len(gain) ** 0.5)]
    means = {name: float(values.mean()) for name, values in losses.items()}
    found = Calibration(
        fit_temperature(scores, answers),
        method,
        tuple(scale.tolist()),
        tuple(bias.tolist()),
        temperature_nll=means.get("temperature"),
        vector_nll=means.get("vector"),
        n=len(scores),
    )
    return with_abstention(found, scores, answers, target)


def fit_several(logits: ArrayLike, truth: ArrayLike, target: float = TARGET) -> Calibration:
    """Fit a `platt` calibration on held-out logits and truths (N, C) of 0 and 1.

    Thresholds are those of the highest F1 of each label. A temperature would not do: a loss that
    counts true labels for more shifts each label's logit by another amount.
    """
    scale, bias = fit_platt(logits, truth)
    shares = apply_platt(logits, scale, bias)  # (N, C)
    found = Calibration(
        method=PLATT,
        scale=tuple(scale.tolist()),
        bias=tuple(bias.tolist()),
        n=len(shares),
        thresholds=tuple(best_thresholds(shares, truth).tolist()),
    )
    return with_abstention(found, logits, truth, target)


def enough_to_calibrate(count: int, classes: int) -> bool:
    """Return whether so many held-out pictures of `classes` labels can tell how sure to be.

    Five folds are cross-validated, and each should hold a picture of each label: with fewer, the
    fit follows single pictures, and a confidence made of it would only look like one.
    """
    return count >= FOLDS * classes


def with_abstention(
    calibration: Calibration, logits: ArrayLike, labels: ArrayLike, target: float = TARGET
) -> Calibration:
    """Return the calibration with a threshold chosen on these logits for this accuracy.

    `labels` are class indices (N,), or of several labels 0 and 1 (N, C).
    """
    shares, answers = calibrated(logits, calibration), np.asarray(labels)
    rows, top = np.arange(len(shares)), named(shares, calibration)
    right = top == answers if answers.ndim == 1 else answers[rows, top] > 0
    chosen = choose_abstention(shares[rows, top], right, target)
    return replace(
        calibration,
        target=target,
        abstain_below=None if chosen is None else chosen.threshold,
        coverage=None if chosen is None else chosen.coverage,
        accuracy=None if chosen is None else chosen.accuracy,
    )


def calibration_row(calibration: Calibration) -> dict[str, Any]:
    """Return a calibration as a JSON object: a key for each field."""
    return asdict(calibration)


def stored_calibration(described: Mapping[str, Any], where: str) -> Calibration:
    """Return the calibration in a description of format 1; an older one has a temperature alone.

    Raises:
        UsageError: naming `where`, as `checked_calibration`.
    """
    row = described.get("calibration", calibration_row(Calibration(described["temperature"])))
    return checked_calibration(row, len(label_space(described["label_space"])), where)


def checked_calibration(row: Any, classes: int, where: str) -> Calibration:
    """Return the calibration that `calibration_row` described, of `classes` labels.

    Raises:
        UsageError: naming `where`, for a missing or unknown field, an unknown method, or numbers
            that cannot be.
    """
    fields = calibration_row(Calibration())
    if isinstance(row, Mapping):
        row = {"thresholds": None, **row}  # which older ones do not have
    odd = sorted(set(row) ^ set(fields)) if isinstance(row, Mapping) else ["calibration"]
    if odd:
        raise UsageError(
            f"The calibration in {where} is damaged: {odd[0]!r:.60} is missing or odd."
        )
    known = (*METHODS, PLATT)
    if row["method"] not in known:
        raise unknown_name(f"calibration method in {where}", str(row["method"])[:60], known)
    lists = {name: row[name] for name in LISTS if row[name] is not None}
    needed = NEEDED.get(row["method"], ())
    if any(name not in lists for name in needed):
        told = " or ".join(needed)
        raise UsageError(f"The calibration in {where} is damaged: it lacks {told}.")
    for name, values in lists.items():
        if not isinstance(values, list | tuple) or len(values) != classes:
            raise UsageError(
                f"The calibration in {where} is damaged: {name} needs {classes} numbers."
            )
    wrong = [value for value in (row["temperature"], row["n"]) if not _finite(value)]
    wrong += [x for values in lists.values() for x in values if not _finite(x)]
    wrong += [x for x in lists.get("thresholds", ()) if not _in_range(x, 1.0)]
    wrong += [row[name] for name in LOSSES if not _in_range(row[name], math.inf)]
    wrong += [row[name] for name in SHARES if not _in_range(row[name], 1.0)]
    if not wrong and (not isinstance(row["n"], int) or row["n"] < 0):
        wrong = [row["n"]]
    if wrong or row["temperature"] <= 0:
        odd_one = (wrong or [row["temperature"]])[0]
        raise UsageError(f"The calibration in {where} is damaged: it cannot hold {odd_one!r:.60}.")
    whole = {name: tuple(float(x) for x in values) for name, values in lists.items()}
    return Calibration(**{**row, **whole})


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST


def _in_range(value: Any, most: float) -> bool:
    return value is None or (_finite(value) and 0.0 <= value <= most)
