"""Figures of the ablation's page: forest plots and learning curves.

Each meaning has a marker of its own beside its colour, so that no figure needs its colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emosym.evaluation.report.drawing import TIP, Plot
from emosym.evaluation.report.palette import CYCLE, LIGHT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE = CYCLE[1][0], CYCLE[3][0]
LOOKS = {  # verdict: (colour, marker)
    "better": (BLUE, "^"),
    "confirmed": (BLUE, "^"),
    "worse": (ORANGE, "v"),
    "refuted": (ORANGE, "v"),
}
PLAIN = (LIGHT["muted"], "o")
WIDE, NARROW = 11.5, 4.2  # inches: a laptop's card, a phone's
MARKERS = "osD^vPX"
NO_BREAK = "\N{WORD JOINER}"  # no space to textwrap, so that "5 %" stays on one line


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a forest plot: an estimate with its 95 % interval.

    `expected` is where it was expected: +1 above zero, -1 below, 0 no difference, None nowhere.
    """

    name: str
    value: float
    low: float
    high: float
    verdict: str
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """An arm's values by the share of labels (0..1], with standard errors (None: one seed)."""

    name: str
    fractions: Sequence[float]
    values: Sequence[float]
    errors: Sequence[float | None]


def forest(bars: Sequence[Bar], axis: str, alt: str) -> Plot:
    """Return a forest plot: zero line, intervals, a shade on the expected side."""
    reach = max((abs(v) for bar in bars for v in (bar.value, bar.low, bar.high)), default=1.0)
    reach = 1.12 * (reach or 1.0)

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        for row, bar in enumerate(bars):
            colour, marker = LOOKS.get(bar.verdict, PLAIN)
            if bar.expected is not None:
                start = {1: 0.0, -1: -reach, 0: -0.12 * reach}[bar.expected]
                long = reach if bar.expected else 0.24 * reach
                axes.barh(row, long, 0.86, start, color=LIGHT["line"], alpha=0.7, zorder=0)
            axes.plot([bar.low, bar.high], [row, row], color=colour, linewidth=2, zorder=2)
            (point,) = axes.plot(bar.value, row, marker, color=colour, markersize=7, zorder=3)
            point.set_gid(f"{TIP}{bar.name}: {bar.value:+.3g} [{bar.low:+.3g}, {bar.high:+.3g}]")
        axes.axvline(0.0, color=LIGHT["ink"], linewidth=1, zorder=1)
        axes.set_xlim(-reach, reach)
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_yticks(range(len(bars)), [_wrapped(bar.name, narrow) for bar in bars])
        axes.set_xlabel(_wrapped(axis, narrow))
        axes.locator_params(axis="x", nbins=4 if narrow else 9)

    tall, narrow_tall = 0.9 + 0.36 * len(bars), 1.1 + 0.56 * len(bars)
    return Plot(alt, draw, (WIDE, tall), (NARROW, narrow_tall))


def learning_curves(curves: Sequence[Curve], axis: str, alt: str) -> Plot:
    """Return values by the share of labels, one line an arm, bars of one standard error."""
    ticks = sorted({fraction for curve in curves for fraction in curve.fractions})

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        for place, curve in enumerate(curves):
            axes.errorbar(
                curve.fractions,
                curve.values,
                yerr=[error or 0.0 for error in curve.errors],
                label=curve.name,
                color=CYCLE[(place + 1) % len(CYCLE)][0],
                marker=MARKERS[place % len(MARKERS)],
                linestyle=("-", "--", ":", "-.")[place // len(MARKERS) % 4],
                capsize=3,
            )
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
        axes.minorticks_off()
        axes.grid(axis="y")
        axes.set_xlabel("share of the labels")
        axes.set_ylabel(axis)
        columns = 1 if narrow else min(4, len(curves))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=columns)

    tall, narrow_tall = 3.8 + 0.1 * len(curves), 3.4 + 0.2 * len(curves)
    return Plot(alt, draw, (WIDE, tall), (NARROW, narrow_tall))


def _wrapped(name: str, narrow: bool) -> str:
    from textwrap import fill

    return fill(name.replace(" %", NO_BREAK + "%"), 22 if narrow else 64).replace(NO_BREAK, " ")
