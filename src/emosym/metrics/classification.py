"""How often the reading is right: accuracy, F1, recall, confusion, polarity.

Class indices follow the label space. Every function raises UsageError for shape mismatch, NaN,
no samples, or labels outside the space.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from emosym.emotions import POLARITIES, LabelSpace
from emosym.metrics.checks import Ints, as_labels, as_probabilities, as_vector, same_length

UNREADABLE = -1


def _pair(predicted: ArrayLike, truth: ArrayLike, classes: int) -> tuple[Ints, Ints]:
    guesses = as_labels("predicted", predicted, classes)
    answers = as_labels("truth", truth, classes)
    same_length(predicted=guesses, truth=answers)
    return guesses, answers


def accuracy(predicted: ArrayLike, truth: ArrayLike, classes: int) -> float:
    """Return the share of (N,) labels that equal the truth, 0..1."""
    guesses, answers = _pair(predicted, truth, classes)
    return float((guesses == answers).mean())


def confusion(predicted: ArrayLike, truth: ArrayLike, classes: int) -> Ints:
    """Return counts (C, C): row = truth, column = prediction."""
    guesses, answers = _pair(predicted, truth, classes)
    flat = np.bincount(answers * classes + guesses, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def macro_f1(predicted: ArrayLike, truth: ArrayLike, classes: int) -> float:
    """Return the unweighted mean F1 over classes, 0..1.

    A class that is neither in the truth nor predicted has no F1 and is left out; a class that
    occurs on one side only counts as 0.
    """
    from sklearn.metrics import f1_score

    guesses, answers = _pair(predicted, truth, classes)
    return float(f1_score(answers, guesses, average="macro", zero_division=0.0))


def weighted_f1(predicted: ArrayLike, truth: ArrayLike, classes: int) -> float:
    """Return the mean F1 over classes weighted by their number of true samples, 0..1."""
    from sklearn.metrics import f1_score

    guesses, answers = _pair(predicted, truth, classes)
    return float(f1_score(answers, guesses, average="weighted", zero_division=0.0))


def recall_per_class(predicted: ArrayLike, truth: ArrayLike, classes: int) -> list[float | None]:
    """Return the recall of each class (C entries, 0..1); None where the truth lacks the class."""
    counts = confusion(predicted, truth, classes)
    return [
        float(counts[label, label] / row.sum()) if row.sum() else None
        for label, row in enumerate(counts)
    ]


def polarity_probabilities(probabilities: ArrayLike, space: LabelSpace) -> np.ndarray:
    """Return (N, 3) summed probabilities in the order positive, negative, neutral."""
    shares = as_probabilities("probabilities", probabilities, len(space))
    columns = [shares[:, list(space.indices(name))].sum(axis=1) for name in POLARITIES]
    return np.stack(columns, axis=1)  # (N, 3)


def polarity_accuracy(
    probabilities: ArrayLike, truth: ArrayLike, space: LabelSpace
) -> float | None:
    """Return the share of samples whose likeliest polarity is that of their true label, 0..1.

    The probabilities (N, C) of each polarity's labels are summed first. An exact tie goes to
    positive, then negative. None where the polarity of a label of the space is unknown.
    """
    answers = as_labels("truth", truth, len(space))
    sums = polarity_probabilities(probabilities, space)
    same_length(probabilities=sums, truth=answers)
    kinds = [space.polarity(label) for label in space.labels]
    if None in kinds:
        return None
    wanted = np.asarray([POLARITIES.index(str(kind)) for kind in kinds])
    return float((sums.argmax(axis=1) == wanted[answers]).mean())


def classification_values(
    probabilities: ArrayLike, truth: ArrayLike, space: LabelSpace
) -> dict[str, float | list[float | None] | list[list[int]] | None]:
    """Return every measure of this module for (N, C) probabilities, ready for a result file."""
    shares = as_probabilities("probabilities", probabilities, len(space))
    guesses, classes = shares.argmax(axis=1), len(space)
    return {
        "accuracy": accuracy(guesses, truth, classes),
        "macro_f1": macro_f1(guesses, truth, classes),
        "weighted_f1": weighted_f1(guesses, truth, classes),
        "polarity_accuracy": polarity_accuracy(shares, truth, space),
        "recall_per_class": recall_per_class(guesses, truth, classes),
        "confusion": confusion(guesses, truth, classes).tolist(),
    }


def recognition_values(
    predicted: ArrayLike, truth: ArrayLike, classes: int
) -> dict[str, float | list[float | None]]:
    """Return accuracy and F1 of named emotions (MER), ready for a result file.

    `predicted` (N,) may hold -1, an unreadable answer: it is wrong, a miss of the true class and no
    false alarm of another. `unreadable` is their share. `weighted_f1` weights classes by their true
    samples; `macro_f1` is the plain mean over the classes that occur on either side, the entries of
    `f1_per_class` that are not None; `recall_per_class` has C entries too. `majority_accuracy`,
    `majority_weighted_f1`, `majority_macro_f1` are those of the most frequent true class, said of
    every sample.
    """
    found = as_vector("predicted", predicted)
    read = found != UNREADABLE
    if read.any():
        as_labels("predicted", found[read], classes)
    guesses, answers = found.astype(np.int64), as_labels("truth", truth, classes)
    same_length(predicted=guesses, truth=answers)
    right = guesses == answers
    rows = [answers == label for label in range(classes)]
    usual = np.full_like(answers, np.bincount(answers).argmax())
    always = f1_means(usual, answers, classes)
    weighted, macro = f1_means(guesses, answers, classes)
    return {
        "accuracy": float(right.mean()),
        "weighted_f1": weighted,
        "macro_f1": macro,
        "f1_per_class": _f1_per_class(guesses, answers, classes),
        "recall_per_class": [float(right[row].mean()) if row.any() else None for row in rows],
        "unreadable": float((~read).mean()),
        "majority_accuracy": float((usual == answers).mean()),
        "majority_weighted_f1": always[0],
        "majority_macro_f1": always[1],
    }


def f1_means(guesses: np.ndarray, answers: np.ndarray, classes: int) -> tuple[float, float]:
    """Return (weighted, macro) F1 of class indices (N,), where a guess may be -1; unchecked."""
    each = _f1_per_class(guesses, answers, classes)
    counts = np.bincount(answers, minlength=classes)
    weighted = sum(f1 * count for f1, count in zip(each, counts, strict=True) if f1 is not None)
    return float(weighted / len(answers)), float(np.mean([f1 for f1 in each if f1 is not None]))


def _f1_per_class(guesses: np.ndarray, answers: np.ndarray, classes: int) -> list[float | None]:
    hits = np.bincount(answers[guesses == answers], minlength=classes)
    totals = np.bincount(answers, minlength=classes)
    totals = totals + np.bincount(guesses[guesses >= 0], minlength=classes)
    return [2.0 * h / t if t else None for h, t in zip(hits.tolist(), totals.tolist(), strict=True)]
