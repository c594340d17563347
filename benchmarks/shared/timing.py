"""Interleaved timings: every repetition runs every variant, so that a slow minute hits all."""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping

from emosym.device import processor_name, usable_cores


def arguments(
    description: str, more: Callable[[argparse.ArgumentParser], None] | None = None
) -> argparse.Namespace:
    """Parse --quick, --repeats and what `more` adds; `repeats` is then a number."""
    parser = argparse.ArgumentParser(description=description)
    if more is not None:
        more(parser)
    parser.add_argument("--quick", action="store_true", help="A smoke run: no number to quote.")
    parser.add_argument("--repeats", type=int, default=None, help="Repetitions of every variant.")
    found = parser.parse_args()
    found.repeats = max(2, found.repeats or (3 if found.quick else 21))  # quartiles need 2
    return found


def interleaved(
    variants: Mapping[str, Callable[[], object]],
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Return seconds (repeats,) of `clock` per variant.

    Each variant runs once unmeasured, and the order rotates.
    """
    for run in variants.values():
        run()
    names = list(variants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(repeats):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = clock()
            variants[name]()
            seconds[name].append(clock() - start)
    return seconds


def ratio(seconds: Mapping[str, list[float]], name: str, reference: str) -> tuple[float, ...]:
    """Return quartiles (.25, .5, .75) of the paired ratios name / reference."""
    pairs = zip(seconds[name], seconds[reference], strict=True)
    low, middle, high = statistics.quantiles([a / b for a, b in pairs], n=4, method="inclusive")
    return low, middle, high


def show(
    title: str, seconds: Mapping[str, list[float]], reference: str, images: int | None = None
) -> None:
    """Print one Markdown table: median, and the paired ratio to `reference` with its quartiles.

    With `images` (how many pictures a run takes) also images a second.
    """
    speed = "" if images is None else " images/s |"
    print(f"\n### {title}\n")
    print(f"| what | median ms |{speed} over '{reference}' (quartiles) |")
    print(f"| --- | ---: |{' ---: |' if speed else ''} ---: |")
    for name, times in seconds.items():
        low, middle, high = ratio(seconds, name, reference)
        told = "1" if name == reference else f"{middle:.3f} ({low:.3f} to {high:.3f})"
        middle = statistics.median(times)
        rate = "" if images is None else f" {images / middle:.1f} |"
        print(f"| {name} | {middle * 1000:.2f} |{rate} {told} |")
    sys.stdout.flush()


def machine(quick: bool, repeats: int, threads: int | None = None) -> None:
    """Print where and how this was measured."""
    parts = [processor_name(), f"{usable_cores()} core(s)", f"Python {platform.python_version()}"]
    if threads is not None:
        import torch

        parts += [f"{threads} thread(s)", f"torch {torch.__version__}"]
    print(f"\nMachine: {', '.join(parts)}; {repeats} interleaved repetitions.")
    if quick:
        print("A --quick run: it shows that the benchmark works, its numbers mean nothing.")
