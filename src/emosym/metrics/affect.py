"""Agreement of continuous values (valence, arousal, intensity): Pearson, CCC, RMSE, Spearman.

Arguments are (N,). Every function raises UsageError for shape mismatch, NaN, or too few values.
A correlation that does not exist (one side constant) is None, never a number.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from emosym.metrics.checks import Floats, as_vector, same_length


def _pair(predicted: ArrayLike, truth: ArrayLike, at_least: int) -> tuple[Floats, Floats]:
    guess = as_vector("predicted", predicted, at_least)
    answer = as_vector("truth", truth, at_least)
    same_length(predicted=guess, truth=answer)
    return guess, answer


def _constant(values: Floats) -> bool:
    # Compared by value: the deviation of equal floats from their mean need not be exactly 0.
    return bool((values == values[0]).all())


def pearson(predicted: ArrayLike, truth: ArrayLike) -> float | None:
    """Return Pearson's r, -1..1, of at least 2 pairs; None when one side is constant."""
    guess, answer = _pair(predicted, truth, 2)
    if _constant(guess) or _constant(answer):
        return None
    x, y = guess - guess.mean(), answer - answer.mean()
    x, y = x / np.abs(x).max(), y / np.abs(y).max()  # keeps tiny and huge values from the squares
    r = (x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum())
    return float(np.clip(r, -1.0, 1.0))


def ccc(predicted: ArrayLike, truth: ArrayLike) -> float | None:
    """Return the concordance 2 s_xy / (s_x^2 + s_y^2 + (m_x - m_y)^2), -1..1 (Lin 1989).

    Variances are those of the population (divided by N). One constant side gives 0; None when
    both sides are the same constant (0 / 0).
    """
    guess, answer = _pair(predicted, truth, 2)
    if _constant(guess) or _constant(answer):
        return None if _constant(guess) and bool((guess == answer).all()) else 0.0
    shift = guess.mean() - answer.mean()
    covariance = ((guess - guess.mean()) * (answer - answer.mean())).mean()
    return float(2.0 * covariance / (guess.var() + answer.var() + shift**2))


def rmse(predicted: ArrayLike, truth: ArrayLike) -> float:
    """Return the root mean squared error in the unit of the inputs."""
    guess, answer = _pair(predicted, truth, 1)
    return float(np.sqrt(((guess - answer) ** 2).mean()))


def mae(predicted: ArrayLike, truth: ArrayLike) -> float:
    """Return the mean absolute error in the unit of the inputs."""
    guess, answer = _pair(predicted, truth, 1)
    return float(np.abs(guess - answer).mean())


def spearman(predicted: ArrayLike, truth: ArrayLike) -> float | None:
    """Return Spearman's rank correlation, -1..1, ties at mean rank; None if a side is constant."""
    from scipy.stats import rankdata

    guess, answer = _pair(predicted, truth, 2)
    return pearson(rankdata(guess), rankdata(answer))


def affect_values(predicted: ArrayLike, truth: ArrayLike) -> dict[str, float | None]:
    """Return pearson, ccc and rmse of one dimension, ready for a result file."""
    return {
        "pearson": pearson(predicted, truth),
        "ccc": ccc(predicted, truth),
        "rmse": rmse(predicted, truth),
    }
