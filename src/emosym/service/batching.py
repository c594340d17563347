"""Requests of several callers become one batch: a thread between them and the model."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Full(Exception):  # noqa: N818 - an answer, not a fault
    """As many inputs wait as may; `seconds` is when they will have been read, as things go."""

    def __init__(self, seconds: float) -> None:
        """Hold how long to wait."""
        super().__init__(f"full for {seconds:.1f} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Item, Result]):
    kind: Hashable
    item: Item
    future: Future[Result]


class Batcher(Generic[Item, Result]):
    """Collects inputs of the same kind and runs them at once, `at_once` at most.

    `run(kind, items)` gives as many results as there are items, in order. A lone input never waits:
    only where others are known to come (`coming`), or more were there when the last batch ended,
    are they waited for (see `_gather`). When a batch fails, each of its inputs is run alone, so
    that one cannot spoil the others'. `seen` is told the size and seconds of every batch.
    """

    def __init__(
        self,
        run: Callable[[Hashable, list[Item]], Sequence[Result]],
        at_once: int,
        patience: float = 0.01,
        most: int = 256,
        seen: Callable[[int, float], None] | None = None,
    ) -> None:
        """Start the thread; `most` inputs may wait."""
        self.run, self.at_once, self.patience, self.most = run, at_once, patience, most
        self.seen = seen
        self._waiting: deque[_Waiting[Item, Result]] = deque()
        self._running: set[Future[Result]] = set()
        self._changed = threading.Condition()
        self._coming = self._usual = 0
        self._seconds = 0.1  # of a batch, as the last ones went
        self._closed = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batch")
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many inputs wait."""
        return len(self._waiting)

    @contextmanager
    def coming(self) -> Iterator[None]:
        """Say that somebody inside is about to submit something."""
        with self._changed:
            self._coming += 1
        try:
            yield
        finally:
            with self._changed:
                self._coming -= 1
                self._changed.notify()

    def submit(self, kind: Hashable, items: Sequence[Item]) -> list[Future[Result]]:
        """Return a future an item; one that is cancelled before its batch begins is left out.

        Raises:
            Full: when they would be more than may wait: none of them is taken.
        """
        added: list[_Waiting[Item, Result]] = [_Waiting(kind, item, Future()) for item in items]
        with self._changed:
            if len(self._waiting) + len(added) > self.most:
                self._waiting = deque(one for one in self._waiting if not one.future.cancelled())
            if len(self._waiting) + len(added) > self.most:
                batches = -(-len(self._waiting) // self.at_once)
                raise Full(batches * self._seconds)
            self._waiting.extend(added)
            self._changed.notify()
        return [one.future for one in added]

    def hand_back(self, error: Exception) -> None:
        """Answer everything that waits or runs with an error."""
        with self._changed:
            running, waiting = list(self._running), list(self._waiting)
            self._running.clear()
            self._waiting.clear()
        for one in waiting:
            if one.future.set_running_or_notify_cancel():
                running.append(one.future)
        for future in running:
            future.set_exception(error)

    def close(self) -> None:
        """Run what waits, then end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self._pool.shutdown()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                self._gather()
                batch = self._take()
            start = time.perf_counter()
            self._answer(batch)
            seconds = time.perf_counter() - start
            if not batch:
                continue
            self._seconds = 0.5 * self._seconds + 0.5 * seconds
            self._usual = len(batch) + len(self._waiting)  # they may well ask again
            if self.seen is not None:
                self.seen(len(batch), seconds)

    def _gather(self) -> None:
        """Wait for the inputs that are known to come, or for as many as there were.

        The wait ends when none came for a quarter of the time that a batch takes, or after half of
        that time: what is gained is a fuller batch. Where batches are quick, `patience` seconds.
        """
        start = time.monotonic()
        gap, most = (max(self.patience, self._seconds / part) for part in (4, 2))
        while 0 < (ready := len(self._waiting)) < self.at_once and not self._closed:
            left = start + most - time.monotonic()
            if left <= 0 or not (self._coming or ready < self._usual):
                return
            told = self._changed.wait(min(gap, left))
            if not told and not self._coming:
                return

    def _take(self) -> list[_Waiting[Item, Result]]:
        """Take a batch of the first input's kind; the others keep their places."""
        batch: list[_Waiting[Item, Result]] = []
        rest: deque[_Waiting[Item, Result]] = deque()
        for one in self._waiting:
            if one.kind != self._waiting[0].kind or len(batch) == self.at_once:
                rest.append(one)
            elif one.future.set_running_or_notify_cancel():
                batch.append(one)
                self._running.add(one.future)
        self._waiting = rest
        return batch

    def _answer(self, batch: list[_Waiting[Item, Result]]) -> None:
        if not batch:
            return
        done = self._pool.submit(self.run, batch[0].kind, [one.item for one in batch])
        error = done.exception()
        if error is not None and len(batch) > 1:
            for one in batch:
                self._answer([one])
            return
        for place, one in enumerate(batch):
            with self._changed:
                if one.future not in self._running:
                    continue  # handed back while it ran
                self._running.remove(one.future)
            if error is None:
                one.future.set_result(done.result()[place])
            else:
                one.future.set_exception(error)
