"""Reading pictures in several processes, as `accelerate launch` starts them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from emosym.types import BadInput, UnderstandingOutput

if TYPE_CHECKING:
    from emosym.processes import Processes

Item = TypeVar("Item")
Reading = tuple[str, "UnderstandingOutput | BadInput"]
Found = Sequence["Path | BadInput"]


def launched() -> Processes | None:
    """Return this process's place among several, or None where it runs alone.

    The first process measures the CPU before the others ask, so that all compute alike.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return None
    from emosym.device import cpu_plan
    from emosym.processes import Processes

    processes = Processes()
    with processes.main_first():
        cpu_plan()
    return processes


def read_together(
    processes: Processes,
    found: Found,
    batch_size: int,
    read: Callable[[Found], Iterator[Reading]],
) -> Iterator[Reading]:
    """Yield all readings in the order of `found` in the first process, nothing in the others.

    Batches go round: each process reads every so-manieth one, and gives what it read to the first
    before it goes on, so that memory does not grow with the number of pictures. All processes
    must take the iterator to its end.
    """
    batches = [found[i : i + batch_size] for i in range(0, len(found), batch_size)]
    own = batches[processes.rank :: processes.world]
    readings = read([item for batch in own for item in batch])
    for turn in range(-(-len(batches) // processes.world)):
        size = len(own[turn]) if turn < len(own) else 0
        for batch in processes.collect(list(islice(readings, size))):
            yield from batch
