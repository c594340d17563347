"""Multimodal sentiment analysis (MSA): signed scores, where below 0 is negative.

Arguments are (N,) scores on one scale (CMU-MOSI and MOSEI: -3..3), or -1, 0, 1 where only a
polarity is given. Every function raises UsageError for shape mismatch, NaN or no samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from emosym.metrics.affect import mae, pearson
from emosym.metrics.checks import Floats, as_vector, same_length
from emosym.metrics.classification import accuracy, weighted_f1


def _pair(predicted: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    guess, answer = as_vector("predicted", predicted), as_vector("truth", truth)
    same_length(predicted=guess, truth=answer)
    return guess, answer


def _two_class(guess: np.ndarray, answer: np.ndarray) -> tuple[float, float]:
    marks, truth = guess.astype(np.int64), answer.astype(np.int64)
    return accuracy(marks, truth, 2), weighted_f1(marks, truth, 2)


def non_negative(predicted: ArrayLike, truth: ArrayLike) -> tuple[float, float]:
    """Return (Acc-2, weighted F1), 0..1, of non-negative (0 or more) against negative."""
    guess, answer = _pair(predicted, truth)
    return _two_class(guess >= 0.0, answer >= 0.0)


def positive(predicted: ArrayLike, truth: ArrayLike) -> tuple[float, float] | None:
    """Return (Acc-2, weighted F1), 0..1, of positive against negative.

    Samples whose true score is exactly 0 are left out; a predicted 0 counts as negative, since it
    does not say positive. None when every true score is 0.
    """
    guess, answer = _pair(predicted, truth)
    told = answer != 0.0
    return _two_class(guess[told] > 0.0, answer[told] > 0.0) if told.any() else None


def rounded_accuracy(predicted: ArrayLike, truth: ArrayLike, reach: int) -> float:
    """Return the share of scores that round to the true whole number, 0..1.

    Both are clipped to -reach..reach first, and halves round to the even neighbour: `reach` 3 is
    Acc-7, 2 is Acc-5 of scores in -3..3.
    """
    guess, answer = _pair(predicted, truth)
    return float((_rounded(guess, reach) == _rounded(answer, reach)).mean())


def _rounded(scores: Floats, reach: int) -> Floats:
    return np.asarray(np.rint(np.clip(scores, -reach, reach)))  # rint takes halves to the even


def sentiment_values(
    predicted: ArrayLike, truth: ArrayLike, scored: bool = True
) -> dict[str, float | None]:
    """Return both Acc-2 and F1, and with `scored` Acc-7, Acc-5, MAE and Pearson, for a result file.

    Pearson is None where one side is constant or there is one sample only.
    """
    guess, answer = _pair(predicted, truth)
    values: dict[str, float | None] = {}
    values["acc2_non_negative"], values["f1_non_negative"] = non_negative(guess, answer)
    values["acc2_positive"], values["f1_positive"] = positive(guess, answer) or (None, None)
    if scored:
        values["acc7"] = rounded_accuracy(guess, answer, 3)
        values["acc5"] = rounded_accuracy(guess, answer, 2)
        values["mae"] = mae(guess, answer)
        values["pearson"] = pearson(guess, answer) if len(guess) > 1 else None
    return values


def constant_values(truth: ArrayLike, scored: bool = True) -> dict[str, float | None]:
    """Return what answers that are the same for every sample score, for a result file.

    `majority_acc2_*`, `majority_f1_*`, `majority_acc7`, `majority_acc5`: of the most frequent side
    or whole number; `median_mae`: of the median score, which no other constant can beat. The two of
    `positive` are None when every true score is 0.
    """
    answer = as_vector("truth", truth)
    values: dict[str, float | None] = {}
    told = answer[answer != 0.0]
    sides = {"non_negative": answer >= 0.0, "positive": told > 0.0}
    for name, side in sides.items():
        share = max(side.mean(), 1.0 - side.mean()) if len(side) else None
        values[f"majority_acc2_{name}"] = None if share is None else float(share)
        # one class has recall 1 and precision `share`, the other F1 0
        values[f"majority_f1_{name}"] = None if share is None else float(2 * share**2 / (1 + share))
    if scored:
        for name, reach in (("acc7", 3), ("acc5", 2)):
            counts = np.unique(_rounded(answer, reach), return_counts=True)[1]
            values[f"majority_{name}"] = float(counts.max() / len(answer))
        values["median_mae"] = mae(np.full_like(answer, np.median(answer)), answer)
    return values
