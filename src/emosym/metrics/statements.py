"""Statement judgement (MVEI): is a statement about a picture Correct or Incorrect?

Marks are (N,): 1 = correct, 0 = incorrect; a predicted -1 is an unreadable answer, which counts as
wrong. Every function raises UsageError for shape mismatch, NaN, no samples or other marks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from emosym.data.statement_labels import CLASSES, MARKS, statement_class
from emosym.errors import UsageError, unknown_name
from emosym.metrics.checks import as_vector, same_length

UNREADABLE = -1
STATEMENT_CLASSES = CLASSES
_MARKS = {mark: int(mark == "correct") for mark in MARKS}


def statement_mark(label: str) -> int:
    """Return 1 for 'correct', 0 for 'incorrect', in any case, as records name them.

    Raises:
        UsageError: for another word.
    """
    word = label.strip().lower()
    if word not in _MARKS:
        raise unknown_name("statement label", label, _MARKS)
    return _MARKS[word]


def statement_values(
    predicted: ArrayLike, truth: ArrayLike, classes: Sequence[str | None]
) -> dict[str, float | int | None]:
    """Return accuracy overall and per class, 0..1, ready for a result file.

    `classes` (N,) names the class of each statement, None where it is not told. Keys: `accuracy`;
    `accuracy_<class>` and
    `n_<class>` for all of STATEMENT_CLASSES (accuracy None where a class has no statement);
    `unreadable`, the share of answers that were neither word; `always_correct`, the accuracy of
    answering Correct to everything, below which a reader knows nothing.
    """
    guesses, answers = as_vector("predicted", predicted), as_vector("truth", truth)
    same_length(predicted=guesses, truth=answers, classes=list(classes))
    if not np.isin(guesses, (0, 1, UNREADABLE)).all():
        raise UsageError("predicted must hold only 1 (correct), 0 (incorrect), -1 (unreadable).")
    if not np.isin(answers, (0, 1)).all():
        raise UsageError("truth must hold only 1 (correct) and 0 (incorrect).")
    right = guesses == answers
    names = np.asarray([statement_class(name) if name else "" for name in classes])
    values: dict[str, float | int | None] = {"accuracy": float(right.mean())}
    for name in STATEMENT_CLASSES:
        here = names == name
        values[f"accuracy_{name}"] = float(right[here].mean()) if here.any() else None
        values[f"n_{name}"] = int(here.sum())
    values["unreadable"] = float((guesses == UNREADABLE).mean())
    values["always_correct"] = float(answers.mean())
    return values
