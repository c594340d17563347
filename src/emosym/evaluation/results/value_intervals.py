"""Values of a result with the interval that chance alone could move them in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from emosym.metrics.intervals import Interval, bootstrap, bootstrap_mean, paired_bootstrap

Values = dict[str, Any]


def add_mean(values: Values, name: str, each: ArrayLike, seed: int) -> None:
    """Store the mean of (N,) values and its bootstrap interval; None where there are none."""
    _add(values, name, bootstrap_mean(each, seed) if len(np.asarray(each)) else None)


def add_share(values: Values, name: str, hits: np.ndarray, totals: np.ndarray, seed: int) -> None:
    """Store sum(hits) / sum(totals) over (N,) samples, interval over samples; None for 0 / 0."""
    if not totals.sum():
        _add(values, name, None)
        return
    found = bootstrap([hits, totals], lambda h, t: h.sum() / max(t.sum(), 1), seed)
    _add(values, name, found)


def add_difference(
    values: Values, name: str, first: ArrayLike, second: ArrayLike, seed: int
) -> None:
    """Store the mean of first - second over (N,) paired samples; None where there are none."""
    some = len(np.asarray(first)) > 0
    _add(values, name, paired_bootstrap(first, second, seed) if some else None)


def _add(values: Values, name: str, found: Interval | None) -> None:
    values[name] = None if found is None else found.value
    values[f"{name}_interval"] = None if found is None else [found.low, found.high]
