"""A progress bar in a terminal, a line every few seconds in a log file."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)
LOG_SECONDS = 15.0


@contextmanager
def training_bar(
    name: str, steps: int, start: int, enabled: bool
) -> Iterator[Callable[[float, int], None]]:
    """Yield `advance(loss, samples)`, which shows loss, samples per second and time left."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    began = shown = time.monotonic()
    samples = done = 0
    smooth: float | None = None
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TextColumn("loss {task.fields[loss]:.3f}  {task.fields[speed]:.0f} samples/s"),
        TimeRemainingColumn(),
        console=console,
        disable=not (enabled and console.is_terminal),
    )
    task = bar.add_task(name, total=steps, completed=start, loss=float("nan"), speed=0.0)

    def advance(loss: float, count: int) -> None:
        nonlocal samples, done, smooth, shown
        samples, done = samples + count, done + 1
        smooth = loss if smooth is None else 0.95 * smooth + 0.05 * loss
        now = time.monotonic()
        speed = samples / max(now - began, 1e-9)
        bar.update(task, advance=1, loss=smooth, speed=speed)
        if enabled and bar.disable and now - shown > LOG_SECONDS:
            shown = now
            left = (steps - start - done) * (now - began) / done
            log.info(
                "%s %d/%d loss %.3f, %.0f samples/s, %.1f min left",
                name,
                start + done,
                steps,
                smooth,
                speed,
                left / 60,
            )

    with bar:
        yield advance
