"""Pieces of work, in order, in this process or in spawned ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

T = TypeVar("T")


def run_pieces(work: Callable[..., T], pieces: list[tuple[Any, ...]], workers: int) -> Iterator[T]:
    """Run pieces of work in order, in this process or in spawned ones."""
    if workers == 1 or len(pieces) < 2:
        for piece in pieces:
            yield work(*piece)
        return
    with ProcessPoolExecutor(min(workers, len(pieces)), mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, *zip(*pieces, strict=True))
