"""Inputs of several callers in one batch: each gets its own result, whatever the others do."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor

import pytest

from emosym.service.batching import Batcher, Full


class Gate:
    """Doubles numbers when it is opened; 13 fails, alone or in company."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.batches: list[tuple[Hashable, list[int]]] = []

    def __call__(self, kind: Hashable, items: list[int]) -> list[int]:
        self.batches.append((kind, items))
        self.entered.release()
        assert self.open.wait(30)
        if 13 in items:
            raise ValueError("13")
        return [2 * item for item in items]


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def batcher(gate):
    made: Batcher[int, int] = Batcher(gate, at_once=4, most=8, patience=0.2)
    yield made
    gate.open.set()
    made.close()


def hold_one(batcher, gate):
    """Put one batch to work, so that what comes next must wait."""
    (first,) = batcher.submit("a", [0])
    assert gate.entered.acquire(timeout=30)
    return first


def test_what_waits_becomes_one_batch_in_order_and_by_kind(batcher, gate) -> None:
    hold_one(batcher, gate)
    wanted = {i: batcher.submit(kind, [i])[0] for i, kind in enumerate("aabaaa", start=1)}
    gate.open.set()
    assert {item: future.result(30) for item, future in wanted.items()} == {
        item: 2 * item for item in range(1, 7)
    }
    # four of the first kind go first; the last of them waits for the next batch
    assert gate.batches == [("a", [0]), ("a", [1, 2, 4, 5]), ("b", [3]), ("a", [6])]


def test_a_lone_input_waits_for_nobody_and_a_known_one_is_waited_for(gate) -> None:
    gate.open.set()
    batcher: Batcher[int, int] = Batcher(gate, at_once=4, patience=60.0)
    assert batcher.submit("a", [1])[0].result(30) == 2  # not after a minute
    with batcher.coming():
        first = batcher.submit("a", [2])[0]
        second = batcher.submit("a", [3])[0]
    assert [first.result(30), second.result(30)] == [4, 6]
    assert gate.batches == [("a", [1]), ("a", [2, 3])]
    batcher.close()


def test_one_that_fails_fails_alone(batcher, gate) -> None:
    hold_one(batcher, gate)
    futures = batcher.submit("a", [1, 13, 2])
    gate.open.set()
    assert [futures[0].result(30), futures[2].result(30)] == [2, 4]
    with pytest.raises(ValueError, match="13"):
        futures[1].result(30)
    assert batcher.submit("a", [5])[0].result(30) == 10


def test_more_than_may_wait_is_refused_whole(batcher, gate) -> None:
    hold_one(batcher, gate)
    batcher.submit("a", range(6))
    with pytest.raises(Full) as full:
        batcher.submit("a", range(3))
    assert full.value.seconds > 0
    assert batcher.waiting == 6
    batcher.submit("a", range(2))


def test_what_is_cancelled_is_not_run(batcher, gate) -> None:
    hold_one(batcher, gate)
    futures = batcher.submit("a", [1, 2, 3])
    assert futures[1].cancel()
    gate.open.set()
    assert futures[2].result(30) == 6
    assert gate.batches[-1] == ("a", [1, 3])


def test_what_is_handed_back_is_answered_once(batcher, gate) -> None:
    running = hold_one(batcher, gate)
    waiting, cancelled = batcher.submit("a", [1, 2])
    cancelled.cancel()
    batcher.hand_back(RuntimeError("closing"))
    for future in (running, waiting):
        with pytest.raises(RuntimeError, match="closing"):
            future.result(0)
    gate.open.set()
    assert batcher.submit("a", [5])[0].result(30) == 10


def test_many_threads_get_their_own(gate) -> None:
    gate.open.set()
    seen: list[int] = []
    batcher: Batcher[int, int] = Batcher(gate, 8, seen=lambda size, seconds: seen.append(size))
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda i: batcher.submit("a", [i])[0].result(30), range(100, 300)))
    batcher.close()
    assert found == [2 * i for i in range(100, 300)]
    assert sum(seen) == 200 and max(seen) <= 8
