"""What was asked of a ratio beside what was measured: "met" or "missed", and what limits it."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.timing import ratio


@dataclass(frozen=True)
class Bar:
    """A measured value and its bar: the most it may be, or with `at_least` the least.

    `quartiles` are (.25, .75) of the paired ratios, or None; `unit` stands behind the number;
    `limits` says what keeps the value from its bar, and is printed only where it is missed.
    """

    what: str
    value: float
    bar: float
    limits: str
    at_least: bool = False
    unit: str = ""
    quartiles: tuple[float, float] | None = None

    @property
    def met(self) -> bool:
        """Whether the value keeps to its bar."""
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    def row(self) -> str:
        """Return a Markdown row."""
        measured = f"{self.value:.3g}{self.unit}"
        if self.quartiles is not None:
            measured += f" ({self.quartiles[0]:.3g} to {self.quartiles[1]:.3g})"
        sign = ">=" if self.at_least else "<="
        told = "met" if self.met else f"**missed**: {self.limits}"
        return f"| {self.what} | {measured} | {sign} {self.bar:g}{self.unit} | {told} |"


def paired(
    what: str,
    seconds: Mapping[str, list[float]],
    name: str,
    reference: str,
    bar: float,
    limits: str,
    at_least: bool = False,
    unit: str = "x",
) -> Bar:
    """Return the bar of the paired ratio name / reference."""
    low, middle, high = ratio(seconds, name, reference)
    return Bar(what, middle, bar, limits, at_least, unit, (low, high))


def median(what: str, seconds: Sequence[float], bar_ms: float, limits: str) -> Bar:
    """Return the bar of a median in milliseconds."""
    low, middle, high = statistics.quantiles([1000 * s for s in seconds], n=4, method="inclusive")
    return Bar(what, middle, bar_ms, limits, unit=" ms", quartiles=(low, high))


def show_bars(bars: Sequence[Bar]) -> None:
    """Print one Markdown table: what was measured, and what was asked."""
    print("\n| asked | measured (quartiles) | bar | |")
    print("| --- | ---: | ---: | --- |")
    for bar in bars:
        print(bar.row())
    sys.stdout.flush()
