"""Batches made ahead: the same as made now, whatever was wanted; errors where they are taken."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from emosym.errors import UsageError
from emosym.training.loop.ahead import HELD, Ahead


@pytest.mark.parametrize("workers", [1, 3])
def test_what_is_taken_does_not_depend_on_what_was_wanted(workers: int) -> None:
    ahead = Ahead(lambda i: i * i, sum, workers)
    batches = [np.array(rows) for rows in ([1, 2], [3], [2, 1], [4, 4])]
    wanted = [5, 9, 5, 32]
    assert [ahead.take(rows) for rows in batches] == wanted
    for rows in batches:
        ahead.want(rows)
        ahead.want(rows)
    ahead.want(np.array([9]))  # never taken
    assert [ahead.take(rows) for rows in reversed(batches)] == wanted[::-1]


def test_a_wanted_batch_is_loaded_before_it_is_taken_and_once() -> None:
    loaded: list[int] = []
    ready = threading.Event()

    def load(index: int) -> int:
        loaded.append(index)
        if len(loaded) == 2:
            ready.set()
        return index

    ahead = Ahead(load, tuple, 1)
    ahead.want(np.array([7, 8]))
    assert ready.wait(5)
    assert ahead.take(np.array([7, 8])) == (7, 8)
    assert loaded == [7, 8]


def test_no_more_than_some_batches_wait() -> None:
    ahead = Ahead(lambda i: i, tuple, 1)
    for start in range(0, 40, 2):
        ahead.want(np.array([start, start + 1]))
    assert len(ahead._wanted) == HELD
    assert ahead.take(np.array([0, 1])) == (0, 1)  # forgotten, and made now


def test_an_error_is_raised_where_the_batch_is_taken() -> None:
    def load(index: int) -> int:
        if index == 3:
            raise UsageError("picture 3 is damaged")
        return index

    ahead = Ahead(load, tuple, 2)
    ahead.want(np.array([2, 3]))
    ahead.want(np.array([4]))
    assert ahead.take(np.array([4])) == (4,)
    with pytest.raises(UsageError, match="picture 3"):
        ahead.take(np.array([2, 3]))
