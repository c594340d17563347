"""How far chance alone could move a number: bootstrap, paired and unpaired, Wilson."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from emosym.errors import UsageError
from emosym.metrics.checks import as_vector, same_length
from emosym.seeds import numpy_rng


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its interval; `level` is the share of intervals that hold the true value."""

    value: float
    low: float
    high: float
    level: float = 0.95

    def excludes(self, number: float) -> bool:
        """Return whether `number` lies outside low..high."""
        return not self.low <= number <= self.high


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise UsageError(f"The level must lie between 0 and 1, got {level}.")


def bootstrap(
    arrays: Sequence[np.ndarray],
    statistic: Callable[..., float | None],
    seed: int,
    draws: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Return `statistic(*arrays)` with its percentile bootstrap interval (Efron 1979).

    `arrays` are one or more arrays of N samples each; all are resampled with the same rows, so
    that predictions stay with their truth.

    Raises:
        UsageError: for no array, lengths that differ, N = 0, fewer than 100 draws, or a statistic
            that is undefined (None or NaN) on the samples or on a resample.
    """
    _check_level(level)
    if not arrays:
        raise UsageError("The bootstrap needs at least one array.")
    columns = [np.asarray(array) for array in arrays]
    count = same_length(**{f"array {i}": column for i, column in enumerate(columns)})
    if count == 0:
        raise UsageError("The bootstrap needs at least one sample.")
    if draws < 100:
        raise UsageError(f"The bootstrap needs at least 100 draws, got {draws}.")
    rng = numpy_rng(seed, "metrics-bootstrap")
    value = _defined(statistic(*columns))
    samples = np.empty(draws)
    for draw in range(draws):
        rows = rng.integers(0, count, size=count)  # (N,)
        samples[draw] = _defined(statistic(*(column[rows] for column in columns)))
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(samples, [tail, 1.0 - tail])
    return Interval(value, float(low), float(high), level)


def _defined(value: float | None) -> float:
    if value is None or not np.isfinite(value):
        raise UsageError("The statistic is undefined on a resample; use more samples.")
    return float(value)


def bootstrap_mean(
    values: ArrayLike, seed: int, draws: int = 2000, level: float = 0.95
) -> Interval:
    """Return the mean of (N,) per-sample values with its bootstrap interval."""
    return bootstrap(
        [as_vector("values", values)], lambda column: column.mean(), seed, draws, level
    )


def paired_bootstrap(
    first: ArrayLike, second: ArrayLike, seed: int, draws: int = 2000, level: float = 0.95
) -> Interval:
    """Return mean(first - second) with its interval; both (N,) are of the same samples, in order.

    For a statistic that is no mean, call `bootstrap` with both systems' arrays and a statistic
    that returns the difference. Raises UsageError for shape mismatch or NaN.
    """
    one, other = as_vector("first", first), as_vector("second", second)
    same_length(first=one, second=other)
    return bootstrap_mean(one - other, seed, draws, level)


def unpaired_bootstrap(
    first: ArrayLike, second: ArrayLike, seed: int, draws: int = 2000, level: float = 0.95
) -> Interval:
    """Return mean(first) - mean(second) with its interval; (N,) and (M,) of different samples.

    Each side is resampled by itself. Raises UsageError for an empty side or NaN.
    """
    _check_level(level)
    one, other = as_vector("first", first), as_vector("second", second)
    rng = numpy_rng(seed, "metrics-bootstrap-unpaired")
    samples = np.empty(draws)
    for draw in range(draws):
        rows, others = (rng.integers(0, len(side), size=len(side)) for side in (one, other))
        samples[draw] = one[rows].mean() - other[others].mean()
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(samples, [tail, 1.0 - tail])
    return Interval(float(one.mean() - other.mean()), float(low), float(high), level)


def wilson(successes: int, count: int, level: float = 0.95) -> Interval:
    """Return the share successes / count with its score interval (Wilson 1927), 0..1.

    Raises:
        UsageError: when count is 0 or successes do not lie in 0..count.
    """
    from statistics import NormalDist

    _check_level(level)
    if count < 1 or not 0 <= successes <= count:
        raise UsageError(f"Need 0 <= successes <= count and count >= 1, got {successes}/{count}.")
    z = NormalDist().inv_cdf((1.0 + level) / 2.0)
    share = successes / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * (share * (1 - share) / count + z * z / (4 * count**2)) ** 0.5
    # At the ends the bound equals the share exactly; rounding must not push it past.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == count else centre + half
    return Interval(share, low, high, level)
