"""The one training loop: seeded batches, resumable to the same numbers, on accelerate.

Step s of a run named n draws its batch from the permutation of its epoch and its noise from the
stream (seed, n, s): nothing but the weights, the optimizer and s is needed to go on after a kill.
"""

from __future__ import annotations

import functools
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from torch.optim import Optimizer

from emosym.errors import EmoSymError, StoppedEarly, UsageError
from emosym.files import disk_errors, write_text
from emosym.seeds import numpy_rng, stream_seed
from emosym.training.deadline import is_late
from emosym.training.optim import Schedule
from emosym.training.progress import training_bar
from emosym.training.state import latest_state, load_state, save_state, trainable_tensors

log = logging.getLogger(__name__)
Losses = dict[str, torch.Tensor]
LossFn = Callable[[int, np.ndarray], Losses]


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How long, how large and where. `ema_decay` keeps an average that replaces the weights.

    After `deadline` (see emosym.training.deadline) the loop saves its state and stops, at the next
    step that ends a line of the log and a repeated batch: what a resumed run could not know, the
    sums of a line and a held batch, is empty there.
    """

    name: str
    out: Path
    steps: int
    batch_size: int
    seed: int
    checkpoint_every: int = 200
    log_every: int = 10
    max_grad_norm: float = 1.0
    ema_decay: float | None = None
    accumulate: int = 1
    bf16: bool = True
    repeat: int = 1  # a batch serves this many steps in a row
    shuffle: bool = True  # False: the data are in their order already
    deadline: float | None = None


def batch_indices(seed: int, name: str, step: int, batch_size: int, data_size: int) -> np.ndarray:
    """Return the sample indices (batch_size,) of a step, from seeded permutations per epoch.

    Consecutive batches walk through one permutation after the other; no sample is left out.
    """
    first = step * batch_size
    positions = np.arange(first, first + batch_size)
    chosen = np.empty(batch_size, dtype=np.int64)
    for epoch in np.unique(positions // data_size):
        order = _epoch_order(seed, name, int(epoch), data_size)
        here = positions // data_size == epoch
        chosen[here] = order[positions[here] % data_size]
    return chosen


@functools.lru_cache(maxsize=2)
def _epoch_order(seed: int, name: str, epoch: int, data_size: int) -> np.ndarray:
    """Return an epoch's permutation, kept: drawing one of many samples takes milliseconds."""
    order = numpy_rng(seed, f"{name}-order", epoch).permutation(data_size)
    order.setflags(write=False)
    return order


def run_loop(
    settings: LoopSettings,
    modules: Mapping[str, nn.Module],
    optimizers: list[Optimizer],
    schedule: Schedule,
    data_size: int,
    loss_fn: LossFn,
    accelerator: Accelerator | None = None,
    progress: bool = True,
) -> dict[str, float]:
    """Train what requires a gradient in `modules`; resume from settings.out/state if there is one.

    `loss_fn(step, indices)` returns scalars of which "loss" is minimised. Returns the means over
    the last `log_every` steps. With `ema_decay` the modules end with the averaged weights.

    Raises:
        UsageError: for an empty data set or a batch size below 1.
        EmoSymError: when a loss or gradient is not finite; the last good state stays on disk.
        StoppedEarly: at the deadline, when the state is saved; the same call goes on from there.
    """
    if data_size < 1 or settings.batch_size < 1 or settings.steps < 0:
        raise UsageError(
            f"{settings.name}: needs data, a batch size of 1 or more and steps of 0 or more, got "
            f"{data_size} samples, batch {settings.batch_size}, steps {settings.steps}."
        )
    for name in ("log_every", "repeat"):
        if settings.checkpoint_every % getattr(settings, name):
            raise UsageError(
                f"{settings.name}: checkpoint_every ({settings.checkpoint_every}) must be a "
                f"multiple of {name} ({getattr(settings, name)}): a resumed run must be the same."
            )
    accelerator = accelerator or Accelerator()
    weights = trainable_tensors(modules)
    average = None
    if settings.ema_decay is not None:
        average = {k: v.detach().clone() for k, v in weights.items()}
    states = settings.out / "state"
    found = latest_state(states)
    start = load_state(found, weights, optimizers, average, settings.name) if found else 0
    base_rates = [[float(g.get("initial_lr", g["lr"])) for g in o.param_groups] for o in optimizers]
    for optimizer, rates in zip(optimizers, base_rates, strict=True):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["initial_lr"] = rate
    logger = _Logger(settings, start, accelerator.is_main_process)
    with training_bar(settings.name, settings.steps, start, progress) as advance:
        for step in range(start, settings.steps):
            for optimizer, rates in zip(optimizers, base_rates, strict=True):
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * schedule(step / settings.steps)
            losses = _one_step(settings, weights, optimizers, step, data_size, loss_fn, accelerator)
            if average is not None and settings.ema_decay is not None:
                _update_average(average, weights, settings.ema_decay, step)
            logger.add(step, losses)
            advance(losses["loss"], settings.batch_size)
            done = step + 1
            finished, stop = done == settings.steps, _stops_here(settings, done, accelerator)
            if accelerator.is_main_process and (
                finished or stop or done % settings.checkpoint_every == 0
            ):
                save_state(states, done, weights, optimizers, average, settings.name)
            if stop and not finished:
                logger.close()
                accelerator.wait_for_everyone()
                raise StoppedEarly(f"{settings.name} at step {done:,} of {settings.steps:,}")
    accelerator.wait_for_everyone()
    if average is not None:
        with torch.no_grad():
            for name, tensor in weights.items():
                tensor.copy_(average[name])
    return logger.close()


def _stops_here(settings: LoopSettings, done: int, accelerator: Accelerator) -> bool:
    """Return whether to stop after `done` steps; all processes say the same."""
    if settings.deadline is None or done % math.lcm(settings.log_every, settings.repeat):
        return False
    late = is_late(settings.deadline)
    if accelerator.num_processes > 1:  # one clock runs ahead of the other
        told = torch.tensor(float(late), device=accelerator.device)
        late = bool(accelerator.reduce(told, "sum") > 0)
    return late


def _one_step(
    settings: LoopSettings,
    weights: dict[str, torch.Tensor],
    optimizers: list[Optimizer],
    step: int,
    data_size: int,
    loss_fn: LossFn,
    accelerator: Accelerator,
) -> dict[str, float]:
    """Run one optimizer step over this process's share of the batch; return the mean losses."""
    rank, world = accelerator.process_index, accelerator.num_processes
    turn = step // settings.repeat
    if settings.shuffle:
        indices = batch_indices(settings.seed, settings.name, turn, settings.batch_size, data_size)
    else:
        first = turn * settings.batch_size
        indices = np.arange(first, first + settings.batch_size) % data_size
    parts = [p for p in np.array_split(indices[rank::world], settings.accumulate) if len(p)]
    torch.manual_seed(stream_seed(settings.seed, settings.name, step, rank))
    sums: dict[str, float] = {}
    for part in parts:
        device = accelerator.device.type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=settings.bf16):
            losses = loss_fn(step, part)
        accelerator.backward(losses["loss"] / len(parts))
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach()) / len(parts)
    if not np.isfinite(sums["loss"]):
        raise _not_finite(settings, "loss", sums["loss"], step)
    parameters = [p for p in weights.values() if isinstance(p, nn.Parameter)]
    if world > 1:
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad = accelerator.reduce(parameter.grad, "mean")
    largest = settings.max_grad_norm if settings.max_grad_norm > 0 else float("inf")
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, largest))
    if not np.isfinite(norm):  # such a step would spoil the weights, and the state after them
        raise _not_finite(settings, "gradient", norm, step)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return sums


def _not_finite(settings: LoopSettings, what: str, value: float, step: int) -> EmoSymError:
    return EmoSymError(
        f"{settings.name}: the {what} is {value} at step {step}. Lower the learning rate, then "
        f"start again: it goes on from the last state in {settings.out}."
    )


@torch.no_grad()
def _update_average(
    average: dict[str, torch.Tensor], weights: dict[str, torch.Tensor], decay: float, step: int
) -> None:
    """Move the exponential average; its decay grows, so that the start is forgotten."""
    now = min(decay, (1 + step) / (10 + step))
    floats = [k for k, v in average.items() if v.is_floating_point()]
    torch._foreach_lerp_([average[k] for k in floats], [weights[k].data for k in floats], 1 - now)
    for name, tensor in weights.items():
        if not tensor.is_floating_point():
            average[name].copy_(tensor)


class _Logger:
    """Means of every `log_every` steps into metrics.jsonl and TensorBoard."""

    def __init__(self, settings: LoopSettings, start: int, main: bool) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._settings, self._main = settings, main
        self._path = settings.out / "metrics.jsonl"
        self._values: dict[str, list[float]] = {}
        self._count, self._clock = 0, time.monotonic()
        self._last: dict[str, float] = {}
        if not main:
            return
        settings.out.mkdir(parents=True, exist_ok=True)
        kept = self._path.read_text().splitlines() if self._path.is_file() else []
        kept = [line for line in kept if line.endswith("}") and json.loads(line)["step"] <= start]
        write_text(self._path, "".join(f"{line}\n" for line in kept))
        if kept:
            last = json.loads(kept[-1])
            self._last = {k: v for k, v in last.items() if k not in ("step", "samples_per_second")}
        self._board = SummaryWriter(str(settings.out / "tensorboard"), purge_step=start)

    def add(self, step: int, losses: Mapping[str, float]) -> None:
        """Add one step's losses and write a line when `log_every` steps are full."""
        for name, value in losses.items():
            self._values.setdefault(name, []).append(value)
        self._count += 1
        done = step + 1
        if done % self._settings.log_every and done != self._settings.steps:
            return
        self._last = {k: sum(v) / len(v) for k, v in self._values.items()}
        seconds = max(time.monotonic() - self._clock, 1e-9)
        speed = self._count * self._settings.batch_size / seconds
        if self._main:
            with disk_errors(self._path), self._path.open("a") as stream:
                row = {"step": done, **self._last, "samples_per_second": round(speed, 1)}
                stream.write(json.dumps(row) + "\n")
            for name, value in self._last.items():
                self._board.add_scalar(f"{self._settings.name}/{name}", value, done)
        self._values, self._count, self._clock = {}, 0, time.monotonic()

    def close(self) -> dict[str, float]:
        """Close the writer and return the last means."""
        if self._main:
            self._board.close()
        return self._last
