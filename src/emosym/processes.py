"""What several processes share: the rows of a batch, its random draws, and small decisions.

Every process computes its own rows of a batch; what it computed is gathered (`whole`), and from
there on all of them compute the one loss of the whole batch, as a single process would. Their
gradients are averaged, so the gradient that reaches a process's own rows is multiplied by their
number: the average is then the gradient of that one loss. With one process every function here
returns what it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from torch import distributed

from emosym.seeds import stream_seed

Rows = TypeVar("Rows", np.ndarray, torch.Tensor, list[str])
Value = TypeVar("Value")
RngState = tuple[torch.Tensor, torch.Tensor | None]


class Processes:
    """This process's place among those of a run, and the random state that all of them share."""

    def __init__(self) -> None:
        """Take the place that the launcher gave; a plain start is process 0 of 1."""
        state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))
        self.rank: int = state.process_index
        self.world: int = state.num_processes
        self.device: torch.device = state.device
        self._common: RngState | None = None

    @property
    def main(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def begin(self, seed: int, apart: bool) -> None:
        """Seed torch's generators for a step; with `apart` each process draws on its own.

        What must be drawn alike, for the whole batch, goes through `draw`.
        """
        torch.manual_seed(seed)
        if self.world > 1 and apart:
            self._common = self._states()
            torch.manual_seed(stream_seed(seed, "process", self.rank))

    def draw(self, drawing: Callable[[], Value]) -> Value:
        """Return what `drawing` draws, the same in all processes: draw for the whole batch."""
        if self._common is None:
            return drawing()
        own = self._states()
        self._restore(self._common)
        drawn = drawing()
        self._common = self._states()
        self._restore(own)
        return drawn

    def span(self, total: int) -> tuple[int, int]:
        """Return (start, stop): this process's stretch of `total` rows."""
        sizes = self.sizes(total)
        start = sum(sizes[: self.rank])
        return start, start + sizes[self.rank]

    def sizes(self, total: int) -> list[int]:
        """Return how many of `total` rows each process has; they differ by one at most."""
        return [total // self.world + (rank < total % self.world) for rank in range(self.world)]

    def own(self, rows: Rows, each: int = 1) -> Rows:
        """Return this process's rows of a whole batch, of which every sample has `each`."""
        if self.world == 1:
            return rows
        start, stop = self.span(len(rows) // each)
        return rows[start * each : stop * each]

    def whole(self, own: torch.Tensor, total: int, each: int = 1) -> torch.Tensor:
        """Return the rows of all processes in order: `total` samples of `each` rows.

        Gradients go back to this process's own rows.
        """
        if self.world == 1:
            return own
        counts = [size * each for size in self.sizes(total)]
        gathered: torch.Tensor = _Whole.apply(own, counts, self.rank)
        return gathered

    def mean(self, value: torch.Tensor, count: int | torch.Tensor) -> torch.Tensor:
        """Return the mean over all processes of a mean () over `count` items of this one."""
        if self.world == 1:
            return value
        number = torch.as_tensor(count, dtype=value.dtype, device=value.device)
        sums = self.whole((value * number)[None], self.world)
        return sums.sum() / self.whole(number[None], self.world).sum()

    def mean_of(self, items: torch.Tensor) -> torch.Tensor | None:
        """Return the mean over all processes of items (M,), of which some may have none.

        None where no process has any.
        """
        if self.world == 1:
            return items.mean() if len(items) else None
        own = torch.tensor([float(len(items))], device=items.device)
        total = self.whole(own, self.world).sum()
        sums = self.whole(items.sum()[None], self.world)
        return sums.sum() / total if total else None

    def wait(self) -> None:
        """Wait until every process is here."""
        PartialState().wait_for_everyone()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Let process 0 go through a block before the others."""
        if self.world > 1 and not self.main:
            self.wait()
        yield
        if self.world > 1 and self.main:
            self.wait()

    def agree(self, value: Value) -> Value:
        """Return process 0's value in every process."""
        if self.world == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def collect(self, value: Value) -> list[Value]:
        """Return every process's value in order, in process 0; an empty list in the others."""
        if self.world == 1:
            return [value]
        boxes: list[Any] | None = [None] * self.world if self.main else None
        distributed.gather_object(value, boxes, dst=0)
        return boxes or []

    def stretches(self, total: int, size: int) -> list[tuple[int, int]]:
        """Return every process's (start, stop) of `total` rows, cut at multiples of `size`.

        What is computed in batches of `size` is then computed in the very batches of one process.
        """
        ends = np.cumsum(self.sizes(-(-total // size))) * size
        stops = np.minimum(ends, total).tolist()
        return list(zip([0, *stops[:-1]], stops, strict=True))

    def join(self, own: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
        """Return CPU rows of all processes in order, `counts` of them each, without gradients."""
        if self.world == 1:
            return own
        rows: torch.Tensor = _Whole.apply(own.to(self.device), list(counts), self.rank)
        return rows.cpu()

    def _states(self) -> RngState:
        if self.device.type != "cuda":
            return torch.get_rng_state(), None
        return torch.get_rng_state(), torch.cuda.get_rng_state(self.device)

    def _restore(self, states: RngState) -> None:
        torch.set_rng_state(states[0])
        if states[1] is not None:
            torch.cuda.set_rng_state(states[1], self.device)


class _Whole(torch.autograd.Function):
    """All processes' rows; back to each go its own, times the number of processes.

    All of them compute the same loss of the same rows, so nothing is exchanged on the way back.
    """

    @staticmethod
    def forward(ctx: Any, own: torch.Tensor, counts: list[int], rank: int) -> torch.Tensor:
        if len(own) != counts[rank]:
            raise ValueError(f"process {rank} has {len(own)} rows, of {counts} over all processes")
        ctx.counts, ctx.rank = counts, rank
        largest = max(counts)
        padded = own.new_zeros((largest, *own.shape[1:]))
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in counts]
        distributed.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        start = sum(ctx.counts[: ctx.rank])
        own = gradients[0][start : start + ctx.counts[ctx.rank]]
        return own * len(ctx.counts), None, None


def leave() -> None:
    """End this process's part in a group of processes, where there is one.

    Whoever exits without it leaves threads running that may abort the process on its way out.
    """
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
