"""Pictures of the batches to come, decoded and prepared by threads while this one is computed."""

from __future__ import annotations

import collections
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import numpy as np

Item = TypeVar("Item")
Batch = TypeVar("Batch")
HELD = 4  # batches waiting: more would only hold memory


class Ahead(Generic[Item, Batch]):
    """Loads items in `workers` threads and joins them in one more, at most HELD batches ahead.

    What `take` returns does not depend on what was wanted before, nor on the number of workers.
    """

    def __init__(
        self, load: Callable[[int], Item], join: Callable[[list[Item]], Batch], workers: int
    ) -> None:
        """Take the functions that load item i, and that join loaded items into a batch."""
        self._load, self._join = load, join
        self._loaders = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        # of its own: a joiner waits for loaders, which must not wait for it
        self._joiner = ThreadPoolExecutor(1, thread_name_prefix="prepare")
        self._wanted: collections.OrderedDict[bytes, Future[Batch]] = collections.OrderedDict()

    def want(self, indices: np.ndarray) -> None:
        """Begin a batch (B,) of indices; one that is not taken is forgotten after HELD others."""
        key = indices.tobytes()
        if key not in self._wanted:
            self._wanted[key] = self._begin(indices)
        while len(self._wanted) > HELD:
            self._wanted.popitem(last=False)[1].cancel()

    def take(self, indices: np.ndarray) -> Batch:
        """Return a batch; errors of loading it are raised here."""
        found = self._wanted.pop(indices.tobytes(), None)
        return (found or self._begin(indices)).result()

    def _begin(self, indices: np.ndarray) -> Future[Batch]:
        items = [self._loaders.submit(self._load, int(i)) for i in indices]
        return self._joiner.submit(lambda: self._join([item.result() for item in items]))
