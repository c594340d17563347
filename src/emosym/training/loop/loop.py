"""The one training loop: seeded batches, resumable to the same numbers, on accelerate.

Step s of a run named n draws its batch from the permutation of its epoch and its noise from the
stream (seed, n, s): nothing but the weights, the optimizer and s is needed to go on after a kill.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from emosym.errors import Diverged, StoppedEarly, UsageError
from emosym.processes import Processes
from emosym.seeds import numpy_rng, stream_seed
from emosym.training.loop.deadline import is_late
from emosym.training.loop.engine import (
    Engine,
    LossFn,
    backward,
    clip,
    close,
    new_accelerator,
    prepare,
)
from emosym.training.loop.metrics_log import MetricsLog
from emosym.training.loop.optim import Schedule
from emosym.training.loop.progress import training_bar
from emosym.training.loop.state import (
    METRICS,
    here,
    latest_state,
    load_state,
    save_state,
    trainable_tensors,
)

log = logging.getLogger(__name__)
Ahead = Callable[[int, np.ndarray], None]


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How long, how large and where. `ema_decay` keeps an average that replaces the weights.

    After `deadline` (see `deadline`) the loop saves its state and stops, at the next
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
    uses_all: bool = True  # False: a step may leave out what is trained
    until: int | None = None  # a stretch of the run: return, with the state saved, at this step


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
    processes: Processes | None = None,
    progress: bool = True,
    ahead: Ahead | None = None,
) -> dict[str, float]:
    """Train what requires a gradient in `modules`; resume from settings.out/state if there is one.

    `loss_fn(step, indices)` returns scalars of which "loss" is minimised, of the whole batch in
    every process. A stage that gives its `processes` shares the batch between them with
    `Processes.own` and `whole`; without, each computes all of it. `ahead(step, indices)` is told
    what comes after the part that is about to be computed. Returns the means over the last
    `log_every` steps. With `ema_decay` the modules end with the averaged weights.

    Raises:
        UsageError: for an empty data set, a batch size below 1, or fewer samples in a part of a
            batch than there are processes to share it.
        Diverged: when a loss or gradient is not finite; the last good state stays on disk.
        StoppedEarly: at the deadline, when the state is saved; the same call goes on from there.
    """
    shared = processes is not None
    processes = processes or Processes()
    _check(settings, data_size, processes.world if shared else 1)
    engine = prepare(new_accelerator(), modules, optimizers, loss_fn, shared and settings.uses_all)
    weights = trainable_tensors(modules)
    average = None
    if settings.ema_decay is not None:
        average = {k: v.detach().clone() for k, v in weights.items()}
    states = settings.out / "state"
    found = processes.agree(latest_state(states) if processes.main else None)
    start = load_state(found, weights, optimizers, average, settings.name) if found else 0
    base_rates = [[float(g.get("initial_lr", g["lr"])) for g in o.param_groups] for o in optimizers]
    for optimizer, rates in zip(optimizers, base_rates, strict=True):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["initial_lr"] = rate
    logger = MetricsLog(
        settings.out,
        settings.name,
        settings.log_every,
        settings.steps,
        settings.batch_size,
        start,
        processes.main,
        kept=found and found / METRICS,
    )
    with training_bar(settings.name, settings.steps, start, progress and processes.main) as advance:
        last = settings.steps if settings.until is None else min(settings.until, settings.steps)
        for step in range(start, last):
            for optimizer, rates in zip(optimizers, base_rates, strict=True):
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * schedule(step / settings.steps)
            processes.begin(stream_seed(settings.seed, settings.name, step, 0), apart=shared)
            losses = _one_step(settings, weights, optimizers, step, data_size, engine, ahead)
            if average is not None and settings.ema_decay is not None:
                _update_average(average, weights, settings.ema_decay, step)
            logger.add(step, losses)
            advance(losses["loss"], settings.batch_size)
            done = step + 1
            finished, stop = done == last, _stops_here(settings, done, processes)
            if finished or stop or done % settings.checkpoint_every == 0:
                save_state(
                    states, done, weights, optimizers, average, settings.name, processes.main
                )
            if stop and not finished:
                logger.close()
                processes.wait()
                raise StoppedEarly(f"{settings.name} at step {done:,} of {settings.steps:,}")
    processes.wait()
    if average is not None:
        with torch.no_grad():
            for name, tensor in weights.items():
                tensor.copy_(average[name])
    close(engine)
    return logger.close()


def _check(settings: LoopSettings, data_size: int, processes: int) -> None:
    """Refuse settings that cannot work; errors as in `run_loop`."""
    if data_size < 1 or settings.batch_size < 1 or settings.steps < 0:
        raise UsageError(
            f"{settings.name}: needs data, a batch size of 1 or more and steps of 0 or more, got "
            f"{data_size} samples, batch {settings.batch_size}, steps {settings.steps}."
        )
    for name in ("log_every", "repeat"):
        pauses = settings.until is not None and settings.until < settings.steps
        if pauses and settings.until % getattr(settings, name):
            raise UsageError(f"{settings.name}: a stretch must be a multiple of {name}.")
        if settings.checkpoint_every % getattr(settings, name):
            raise UsageError(
                f"{settings.name}: checkpoint_every ({settings.checkpoint_every}) must be a "
                f"multiple of {name} ({getattr(settings, name)}): a resumed run must be the same."
            )
    if processes > 1 and settings.batch_size // settings.accumulate < processes:
        raise UsageError(
            f"{settings.name}: a batch of {settings.batch_size} in {settings.accumulate} part(s) "
            f"gives some of {processes} processes nothing to do. Use a larger batch_size, "
            "a smaller accumulate, or fewer processes."
        )


def _stops_here(settings: LoopSettings, done: int, processes: Processes) -> bool:
    """Return whether to stop after `done` steps; all processes say what process 0's clock says."""
    if settings.deadline is None or done % math.lcm(settings.log_every, settings.repeat):
        return False
    return processes.agree(is_late(settings.deadline))


def _one_step(
    settings: LoopSettings,
    weights: dict[str, torch.Tensor],
    optimizers: list[Optimizer],
    step: int,
    data_size: int,
    engine: Engine,
    ahead: Ahead | None,
) -> dict[str, float]:
    """Run one optimizer step over a batch; return the mean losses."""
    parts = _parts(settings, step, data_size)
    sums: dict[str, float] = {}
    for number, part in enumerate(parts, 1):
        if ahead is not None and number < len(parts):
            ahead(step, parts[number])
        elif ahead is not None and step + 1 < settings.steps:
            ahead(step + 1, _parts(settings, step + 1, data_size)[0])
        losses = backward(engine, step, part, len(parts), number == len(parts), settings.bf16)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach()) / len(parts)
    if not np.isfinite(sums["loss"]):
        raise _not_finite(settings, "loss", sums["loss"], step)
    parameters = [p for p in weights.values() if isinstance(p, nn.Parameter)]
    largest = settings.max_grad_norm if settings.max_grad_norm > 0 else float("inf")
    norm = clip(engine, parameters, largest)
    if not np.isfinite(norm):  # such a step would spoil the weights, and the state after them
        raise _not_finite(settings, "gradient", norm, step)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return sums


def _parts(settings: LoopSettings, step: int, data_size: int) -> list[np.ndarray]:
    """Return the indices of a step's batch, in the parts that are computed one after the other."""
    turn = step // settings.repeat
    if settings.shuffle:
        indices = batch_indices(settings.seed, settings.name, turn, settings.batch_size, data_size)
    else:
        first = turn * settings.batch_size
        indices = np.arange(first, first + settings.batch_size) % data_size
    return [p for p in np.array_split(indices, settings.accumulate) if len(p)]


def _not_finite(settings: LoopSettings, what: str, value: float, step: int) -> Diverged:
    return Diverged(
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
    before, after = ([here(tensors[k]) for k in floats] for tensors in (average, weights))
    torch._foreach_lerp_(before, after, 1 - now)
    for name, tensor in weights.items():
        if not tensor.is_floating_point():
            average[name].copy_(tensor)
