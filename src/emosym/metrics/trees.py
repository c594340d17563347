"""Scores that respect a tree of emotions: a near miss is less wrong than a far one.

A path is a word's ancestors from the root, itself last (`emosym.trees`); None is a prediction that
the tree does not know, which is wrong at every level.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from emosym.errors import UsageError
from emosym.metrics.checks import same_length
from emosym.trees import Path, tree_distance


def path_f1(predicted: Path | None, truth: Path) -> float:
    """Return 2 |common ancestors| / (|predicted| + |true|), themselves included, 0..1."""
    if not predicted:
        return 0.0
    return 2.0 * len(set(predicted) & set(truth)) / (len(predicted) + len(truth))


def tree_values(predicted: Sequence[Path | None], truth: Sequence[Path]) -> dict[str, Any]:
    """Return the values of N answers, ready for a result file.

    `tree_precision`, `tree_recall`, `tree_f1`: of all ancestors of all answers together
    (Kiritchenko and others 2006). `accuracy_level_<k>`: share of truths that are k deep of which
    the answer has the same ancestor at k, `n_level_<k>` how many. `tree_distance`: mean number of
    edges to the truth of the answers that the tree knows; `unknown`: share of those that it does
    not.

    Raises:
        UsageError: for no samples, lengths that differ, or a truth without a path.
    """
    if same_length(predicted=predicted, truth=truth) == 0:
        raise UsageError("There are no samples to score.")
    if not all(truth):
        raise UsageError("A truth must be a word of the tree.")
    said = [path or () for path in predicted]
    hits = sum(len(set(one) & set(other)) for one, other in zip(said, truth, strict=True))
    named, there = sum(map(len, said)), sum(map(len, truth))
    known = [(one, other) for one, other in zip(said, truth, strict=True) if one]
    values: dict[str, Any] = {
        "tree_precision": hits / named if named else 0.0,
        "tree_recall": hits / there,
        "tree_f1": 2.0 * hits / (named + there),
        "tree_distance": float(np.mean([tree_distance(*pair) for pair in known]))
        if known
        else None,
        "unknown": 1.0 - len(known) / len(truth),
    }
    for level in range(1, max(map(len, truth)) + 1):
        deep = [(o, t) for o, t in zip(said, truth, strict=True) if len(t) >= level]
        right = [one[:level] == other[:level] for one, other in deep]
        values[f"accuracy_level_{level}"] = float(np.mean(right))
        values[f"n_level_{level}"] = len(deep)
    return values
