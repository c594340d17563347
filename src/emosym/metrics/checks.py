"""Checks of metric inputs: anything that would yield a silent number becomes a UsageError."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emosym.errors import UsageError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def _numbers(name: str, values: ArrayLike, ndim: int, at_least: int) -> Floats:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} must be an array of numbers: {error}.") from error
    if array.ndim != ndim:
        raise UsageError(f"{name} must have {ndim} dimension(s), got shape {array.shape}.")
    if len(array) < at_least:
        raise UsageError(f"{name} must have at least {at_least} row(s), got {len(array)}.")
    if not np.isfinite(array).all():
        raise UsageError(f"{name} contains NaN or infinite values.")
    return array


def as_vector(name: str, values: ArrayLike, at_least: int = 1) -> Floats:
    """Return `values` as a finite float64 array (N,) with N >= `at_least`.

    Raises:
        UsageError: for another shape, too few values, NaN or infinity.
    """
    return _numbers(name, values, 1, at_least)


def as_matrix(name: str, values: ArrayLike, at_least: int = 1) -> Floats:
    """Return `values` as a finite float64 array (N, D) with N >= `at_least` and D >= 1.

    Raises:
        UsageError: for another shape, too few rows, NaN or infinity.
    """
    array = _numbers(name, values, 2, at_least)
    if array.shape[1] == 0:
        raise UsageError(f"{name} has no columns.")
    return array


def as_unit(name: str, values: ArrayLike) -> Floats:
    """Return `values` as float64 (N,) within 0..1.

    Raises:
        UsageError: for another shape, no value, NaN, or a value outside 0..1.
    """
    array = as_vector(name, values)
    if array.min() < 0.0 or array.max() > 1.0:
        raise UsageError(f"{name} must lie in 0..1, got {array.min():g}..{array.max():g}.")
    return array


def as_probabilities(name: str, values: ArrayLike, classes: int | None = None) -> Floats:
    """Return `values` as float64 (N, C) whose rows sum to exactly 1.

    Rows may be off by 1e-3 (half precision) and are divided by their sum.

    Raises:
        UsageError: for another shape, NaN, a negative value, or rows that do not sum to 1.
    """
    array = as_matrix(name, values)
    if classes is not None and array.shape[1] != classes:
        raise UsageError(f"{name} must have {classes} columns, got {array.shape[1]}.")
    sums = array.sum(axis=1, keepdims=True)  # (N, 1)
    if array.min() < 0.0 or np.abs(sums - 1.0).max() > 1e-3:
        raise UsageError(f"{name} must hold probabilities: 0 or more, rows that sum to 1.")
    return np.asarray(array / sums)


def as_labels(name: str, values: ArrayLike, classes: int) -> Ints:
    """Return `values` as class indices int64 (N,) in 0..classes-1.

    Raises:
        UsageError: for another shape, no value, a fraction, or an index outside the label space.
    """
    if classes < 1:
        raise UsageError(f"The number of classes must be 1 or more, got {classes}.")
    array = as_vector(name, values)
    if (np.floor(array) != array).any():
        raise UsageError(f"{name} must hold whole class indices.")
    if array.min() < 0 or array.max() >= classes:
        wrong = array[(array < 0) | (array >= classes)][0]
        raise UsageError(f"{name} holds {wrong:g}, outside the label space 0..{classes - 1}.")
    return array.astype(np.int64)


def as_correct(name: str, values: ArrayLike) -> Floats:
    """Return right/wrong marks as float64 (N,) of 0 and 1.

    Raises:
        UsageError: for another shape, no value, or anything but 0, 1, False, True.
    """
    array = as_vector(name, values)
    if not np.isin(array, (0.0, 1.0)).all():
        raise UsageError(f"{name} must hold only 0 (wrong) and 1 (right).")
    return array


def same_length(**arrays: np.ndarray | Sequence[object]) -> int:
    """Return the common length of all arrays.

    Raises:
        UsageError: when the lengths differ; names each.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise UsageError(f"These must have the same length: {told}.")
    return next(iter(lengths.values()))


def align_by_id(ids: Sequence[str], wanted: Sequence[str]) -> Ints:
    """Return positions (N,) such that `ids[positions[i]] == wanted[i]`: predictions onto truth.

    Raises:
        UsageError: for a duplicate id on either side, or ids that only one side has.
    """
    for side, names in (("predictions", ids), ("truth", wanted)):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise UsageError(f"The {side} name {len(twice)} id(s) twice, such as {twice[0]!r}.")
    missing = set(wanted) - set(ids)
    unknown = set(ids) - set(wanted)
    if missing:
        raise UsageError(f"{len(missing)} id(s) have no prediction, such as {min(missing)!r}.")
    if unknown:
        raise UsageError(f"{len(unknown)} prediction id(s) are unknown, such as {min(unknown)!r}.")
    places = {name: place for place, name in enumerate(ids)}
    return np.asarray([places[name] for name in wanted], dtype=np.int64)


def mean_defined(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are not None, or None when none is."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def check_mode(mode: str) -> bool:
    """Return True for 'compat', False for 'corrected'.

    Raises:
        UsageError: for any other mode.
    """
    if mode not in ("compat", "corrected"):
        raise UsageError(f"The mode must be 'corrected' or 'compat', got {mode!r}.")
    return mode == "compat"
