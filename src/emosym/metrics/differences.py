"""Tests of paired differences: above zero, not worse than a margin, several at once, and power.

The sample is the seeds: each draws its labels, first weights and order anew for all arms. Where the
test pictures are to be a sample too, both are crossed (`crossed_difference`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import nct, t


@dataclass(frozen=True, slots=True)
class PairedTest:
    """A mean of n paired differences with Student's interval, and the chance of it by luck.

    `p` is one-sided: of a mean as high or higher where the true one is `bound`. `deviation` is that
    of the differences (n - 1).
    """

    mean: float
    low: float
    high: float
    deviation: float
    n: int
    bound: float
    p: float


def paired_test(
    differences: Sequence[float], bound: float = 0.0, level: float = 0.95
) -> PairedTest | None:
    """Test that a mean difference lies above `bound`; None for fewer than two differences.

    With `bound` = -margin it is the test of "not worse by the margin" (the lower half of the two
    one-sided tests of equivalence, TOST; Schuirmann 1987).
    """
    values = np.asarray(differences, np.float64)
    if len(values) < 2:
        return None
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    error = deviation / len(values) ** 0.5
    half = float(t.ppf(0.5 + level / 2, len(values) - 1)) * error
    if error > 0:
        p = float(t.sf((mean - bound) / error, len(values) - 1))
    else:
        p = 0.0 if mean > bound else 1.0
    return PairedTest(mean, mean - half, mean + half, deviation, len(values), bound, p)


@dataclass(frozen=True, slots=True)
class CrossedDifference:
    """A mean difference over seeds and samples with its interval, and where its variance is from.

    `of_seeds`, `of_samples` and `of_both` are the variances of a seed's effect, of a sample's and
    of what is left; 0 where less was found than chance gives.
    """

    mean: float
    low: float
    high: float
    of_seeds: float
    of_samples: float
    of_both: float


def crossed_difference(differences: np.ndarray, level: float = 0.95) -> CrossedDifference | None:
    """Return the mean of differences (S, N) of S seeds on the same N samples, both drawn.

    The linear mixed model with random effects of seeds and samples, in closed form since every seed
    has every sample: variances by mean squares, degrees of freedom by Satterthwaite. None for fewer
    than two of either. The variance is never taken to be less than the seeds alone give.
    """
    seeds, samples = differences.shape
    if seeds < 2 or samples < 2:
        return None
    values = np.asarray(differences, np.float64)
    mean, rows, columns = values.mean(), values.mean(axis=1), values.mean(axis=0)
    rest = values - rows[:, None] - columns[None] + mean
    free = (seeds - 1, samples - 1, (seeds - 1) * (samples - 1))
    by_seed = float(samples * ((rows - mean) ** 2).sum() / free[0])
    by_sample = float(seeds * ((columns - mean) ** 2).sum() / free[1])
    left = float((rest**2).sum() / free[2])
    summed = by_seed + by_sample - left
    if summed > by_seed:
        parts = zip((by_seed, by_sample, left), free, strict=True)
        degrees = summed**2 / sum(square**2 / count for square, count in parts)
    else:
        summed, degrees = by_seed, float(free[0])
    half = float(t.ppf(0.5 + level / 2, degrees)) * (summed / (seeds * samples)) ** 0.5
    return CrossedDifference(
        float(mean),
        float(mean) - half,
        float(mean) + half,
        max(by_seed - left, 0.0) / samples,
        max(by_sample - left, 0.0) / seeds,
        left,
    )


def equivalence_p(differences: Sequence[float], margin: float) -> float | None:
    """Return the p of TOST: that a mean difference lies within the margin on both sides."""
    above = paired_test(differences, -margin)
    below = paired_test([-value for value in differences], -margin)
    return None if above is None or below is None else max(above.p, below.p)


def holm(chances: Sequence[float]) -> list[float]:
    """Return the chances adjusted for their number (Holm 1979), in the order given, at most 1.

    The smallest is multiplied by m, the next by m - 1, ...; none is smaller than one before it.
    """
    order = sorted(range(len(chances)), key=lambda place: chances[place])
    adjusted, largest = [0.0] * len(chances), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(chances) - rank) * chances[place]))
        adjusted[place] = largest
    return adjusted


def power_of(effect: float, deviation: float, n: int, level: float = 0.05) -> float:
    """Return the chance that a one-sided paired t-test of n pairs finds a true `effect` above 0."""
    if n < 2:
        return 0.0
    if deviation <= 0:
        return 1.0 if effect > 0 else 0.0
    critical = float(t.ppf(1 - level, n - 1))
    return float(nct.sf(critical, n - 1, effect * n**0.5 / deviation))
