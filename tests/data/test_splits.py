from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emosym.data.splits import Fold, label_fraction, stratified_split, stretch
from emosym.errors import UsageError

THIRDS = {"train": 0.8, "val": 0.1, "test": 0.1}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-1, 4), max_size=120), st.integers(0, 5))
def test_every_index_once_and_shares_kept(labels: list[int], seed: int) -> None:
    array = np.array(labels, dtype=np.int64)
    parts = stratified_split(array, THIRDS, seed)
    together = np.concatenate(list(parts.values()))
    assert sorted(together.tolist()) == list(range(len(labels)))
    for name, share in THIRDS.items():
        assert abs(len(parts[name]) - share * len(labels)) <= 1.0
        for label in set(labels):
            count = labels.count(label)
            assert abs((array[parts[name]] == label).sum() - share * count) <= 2.0


def test_the_same_seed_gives_the_same_split() -> None:
    labels = np.repeat(np.arange(8), 5)
    first, again, other = (stratified_split(labels, THIRDS, seed) for seed in (3, 3, 4))
    assert all(np.array_equal(first[name], again[name]) for name in THIRDS)
    assert not np.array_equal(first["train"], other["train"])
    # Five per class: rounding each class alone would leave one split empty.
    assert [len(first[name]) for name in THIRDS] == [32, 4, 4]


@pytest.mark.parametrize("fractions", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": 1.0, "b": 0.0}])
def test_fractions_must_divide_the_whole(fractions: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="sum to 1"):
        stratified_split(np.zeros(4, dtype=np.int64), fractions, 0)


def test_label_fraction_is_stratified_and_nested() -> None:
    labels = np.concatenate([np.repeat(np.arange(4), 50), [5], np.full(9, -1)])
    small, large = (label_fraction(labels, fraction, 0) for fraction in (0.1, 0.3))
    assert np.bincount(labels[small]).tolist() == [5, 5, 5, 5, 0, 1]
    assert np.bincount(labels[large]).tolist() == [15, 15, 15, 15, 0, 1]
    assert set(small) < set(large)
    assert label_fraction(labels, 1.0, 0).tolist() == list(range(201))
    assert not np.array_equal(small, label_fraction(labels, 0.1, 1))
    for fraction in (0.0, 1.1):
        with pytest.raises(UsageError, match="label fraction"):
            label_fraction(labels, fraction, 0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-1, 4), max_size=80), st.floats(0.1, 0.9), st.integers(0, 3))
def test_stretches_lose_no_sample_and_share_none(labels: list[int], cut: float, seed: int) -> None:
    array = np.array(labels, dtype=np.int64)
    first, second = stretch(array, 0.0, cut, seed), stretch(array, cut, 1.0, seed)
    assert sorted([*first.tolist(), *second.tolist()]) == list(range(len(labels)))
    for label in set(labels):
        assert abs((array[first] == label).sum() - cut * labels.count(label)) <= 0.5


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-1, 4), max_size=60), st.integers(2, 7), st.integers(0, 3))
def test_every_sample_is_held_out_in_one_fold(labels: list[int], count: int, seed: int) -> None:
    array = np.array(labels, dtype=np.int64)
    held = [Fold(number, count).chosen(array, seed).tolist() for number in range(count)]
    assert sorted(n for mine in held for n in mine) == list(range(len(labels)))
    for number, mine in enumerate(held):
        others = Fold(number, count, without=True).chosen(array, seed).tolist()
        assert sorted([*mine, *others]) == list(range(len(labels)))
        for label in set(labels):
            assert abs((array[mine] == label).sum() - labels.count(label) / count) <= 1
    for number in (-1, count):
        with pytest.raises(UsageError, match=f"There is no fold {number} of {count}: the first"):
            Fold(number, count).chosen(array, seed)


def test_a_stretch_is_seeded_and_checked() -> None:
    labels = np.repeat(np.arange(4), 25)
    assert np.array_equal(stretch(labels, 0.2, 0.6, 1), stretch(labels, 0.2, 0.6, 1))
    assert not np.array_equal(stretch(labels, 0.2, 0.6, 1), stretch(labels, 0.2, 0.6, 2))
    for start, stop in ((0.5, 0.5), (-0.1, 0.5), (0.5, 1.1), (float("nan"), 1.0)):
        with pytest.raises(UsageError, match=r"0 <= start < stop <= 1"):
            stretch(labels, start, stop, 0)
