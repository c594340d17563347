"""Several labels at once: emotions of a text, action units of a face.

Each sample has a set of labels on both sides; a prediction may be None, an unreadable answer, which
counts as a miss of every true label and no false alarm.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from emosym.errors import UsageError, unknown_name
from emosym.metrics.checks import same_length

Labels = Collection[str]


def set_f1(predicted: Labels, truth: Labels) -> float:
    """Return the F1 of one set against another, 0..1; of two empty ones it is 1."""
    found, wanted = set(predicted), set(truth)
    total = len(found) + len(wanted)
    return 2.0 * len(found & wanted) / total if total else 1.0


def named_set_f1(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean F1 of the sets of one or two labels of highest expected F1, against one true.

    `probabilities` (N, C), `truth` (N,). One label, the likeliest, is named where p1 is at least
    2/3 (p1 + p2), else the two likeliest: a hit of one counts 1, a hit of two 2/3.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]  # (N, 2)
    first, second = np.take_along_axis(probabilities, order, axis=1).T
    pair = (first + second) * 2 / 3 > first
    hits = order == truth[:, None]
    return float(np.where(pair, hits.any(axis=1) * 2 / 3, hits[:, 0]).mean())


def indicators(sets: Sequence[Labels | None], labels: Sequence[str]) -> np.ndarray:
    """Return sets as bool (N, C), a row of False for None.

    Raises:
        UsageError: for a label that is not one of `labels`.
    """
    place = {label: index for index, label in enumerate(labels)}
    marks = np.zeros((len(sets), len(labels)), dtype=bool)
    for row, some in enumerate(sets):
        for label in some or ():
            if label not in place:
                raise unknown_name(f"label (row {row})", str(label), labels)
            marks[row, place[label]] = True
    return marks


def micro_f1(found: np.ndarray, wanted: np.ndarray) -> float:
    """Return 2 hits / (predicted + true) over all labels of bool (N, C); 0 where there are none."""
    total = int(found.sum()) + int(wanted.sum())
    return 2.0 * int((found & wanted).sum()) / total if total else 0.0


def macro_f1(found: np.ndarray, wanted: np.ndarray) -> float | None:
    """Return the mean F1 over the labels that occur on either side of bool (N, C); None: none."""
    each = [value for value in _each_f1(found, wanted) if value is not None]
    return float(np.mean(each)) if each else None


def label_set_values(
    predicted: Sequence[Labels | None], truth: Sequence[Labels], labels: Sequence[str]
) -> dict[str, Any]:
    """Return the values of N samples, ready for a result file.

    `micro_precision`, `micro_recall`, `micro_f1`: of all labels together. `macro_f1`: the mean of
    `f1_per_label` (C entries; None where a label occurs on neither side). `support_per_label`: how
    often each is true. `exact_match`: share of samples whose sets are equal. `jaccard`: mean share
    of common labels (1 where both sets are empty and the answer is readable). `unreadable`: share
    of answers that are None.

    Two answers that look at nothing stand beside: `constant_micro_f1`, `constant_macro_f1` of the
    one set that, said of every sample, has the highest micro F1 on these truths; and
    `all_labels_micro_f1`, `all_labels_macro_f1` of every label that is ever true.

    Raises:
        UsageError: for no samples, lengths that differ, or a label that is not one of `labels`.
    """
    if same_length(predicted=predicted, truth=truth) == 0:
        raise UsageError("There are no samples to score.")
    found, wanted = indicators(predicted, labels), indicators(truth, labels)  # (N, C)
    read = np.array([some is not None for some in predicted])  # (N,)
    hits = int((found & wanted).sum())
    either = (found | wanted).sum(axis=1)  # (N,)
    shares = np.divide((found & wanted).sum(axis=1), either, where=either > 0, out=read * 1.0)
    constant, everything = _best_constant(wanted), np.broadcast_to(wanted.any(axis=0), wanted.shape)
    return {
        "micro_precision": hits / int(found.sum()) if found.any() else 0.0,
        "micro_recall": hits / int(wanted.sum()) if wanted.any() else 0.0,
        "micro_f1": micro_f1(found, wanted),
        "macro_f1": macro_f1(found, wanted),
        "f1_per_label": _each_f1(found, wanted),
        "support_per_label": wanted.sum(axis=0).tolist(),
        "exact_match": float(((found == wanted).all(axis=1) & read).mean()),
        "jaccard": float(shares.mean()),
        "unreadable": float((~read).mean()),
        "constant_micro_f1": micro_f1(constant, wanted),
        "constant_macro_f1": macro_f1(constant, wanted),
        "all_labels_micro_f1": micro_f1(everything, wanted),
        "all_labels_macro_f1": macro_f1(everything, wanted),
    }


def _each_f1(found: np.ndarray, wanted: np.ndarray) -> list[float | None]:
    hits = (found & wanted).sum(axis=0)
    totals = found.sum(axis=0) + wanted.sum(axis=0)
    return [2.0 * h / t if t else None for h, t in zip(hits.tolist(), totals.tolist(), strict=True)]


def _best_constant(wanted: np.ndarray) -> np.ndarray:
    """Return as (N, C) the one row that has the highest micro F1: the most frequent k labels."""
    support = wanted.sum(axis=0)
    order = np.argsort(-support, kind="stable")
    sizes = np.arange(1, len(order) + 1)
    scores = 2.0 * np.cumsum(support[order]) / (len(wanted) * sizes + max(support.sum(), 1))
    chosen = np.zeros(len(order), dtype=bool)
    chosen[order[: int(scores.argmax()) + 1]] = True
    return np.broadcast_to(chosen, wanted.shape)
