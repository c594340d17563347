"""Figures of the ablation's page: forest plots and learning curves, each in two widths.

Okabe-Ito colours with a marker of its own for each meaning, so that no figure needs its colours.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Draw = Callable[[Axes, bool], None]

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LOOKS = {  # verdict: (colour, marker)
    **{"better": ("#0072B2", "^"), "confirmed": ("#0072B2", "^")},
    **{"worse": ("#D55E00", "v"), "refuted": ("#D55E00", "v")},
}
PLAIN = ("#5a5a5a", "o")
WIDTHS = (8.6, 3.7)  # inches: a laptop's card, a phone's
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


def forest(bars: Sequence[Bar], axis: str, alt: str) -> str:
    """Return a forest plot as HTML: zero line, intervals, a shade on the expected side."""

    def draw(axes: Axes, narrow: bool) -> None:
        reach = max((abs(v) for bar in bars for v in (bar.value, bar.low, bar.high)), default=1.0)
        reach = 1.12 * (reach or 1.0)
        for row, bar in enumerate(bars):
            colour, marker = LOOKS.get(bar.verdict, PLAIN)
            if bar.expected is not None:
                start = {1: 0.0, -1: -reach, 0: -0.12 * reach}[bar.expected]
                long = reach if bar.expected else 0.24 * reach
                axes.barh(row, long, 0.86, start, color="#e9e3d6", zorder=0)
            axes.plot([bar.low, bar.high], [row, row], color=colour, linewidth=2, zorder=2)
            axes.plot(bar.value, row, marker, color=colour, markersize=7, zorder=3)
        axes.axvline(0.0, color="black", linewidth=1, zorder=1)
        axes.set_xlim(-reach, reach)
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_yticks(range(len(bars)), [_wrapped(bar.name, narrow) for bar in bars])
        axes.set_xlabel(_wrapped(axis, narrow))
        axes.locator_params(axis="x", nbins=4 if narrow else 7)

    return _both_widths(draw, 1.0 + 0.42 * len(bars), 1.1 + 0.56 * len(bars), alt)


def learning_curves(curves: Sequence[Curve], axis: str, alt: str) -> str:
    """Return values by the share of labels as HTML, one line an arm, bars of one standard error."""
    ticks = sorted({fraction for curve in curves for fraction in curve.fractions})

    def draw(axes: Axes, narrow: bool) -> None:
        for place, curve in enumerate(curves):
            errors = [error or 0.0 for error in curve.errors]
            axes.errorbar(
                curve.fractions,
                curve.values,
                yerr=errors,
                label=curve.name,
                color=OKABE_ITO[place % len(OKABE_ITO)],
                marker=MARKERS[place % len(MARKERS)],
                linestyle=("-", "--", ":", "-.")[place // len(OKABE_ITO) % 4],
                capsize=3,
            )
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("share of the labels")
        axes.set_ylabel(axis)
        columns = 1 if narrow else min(3, len(curves))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=columns, frameon=False)

    return _both_widths(draw, 4.2, 3.6 + 0.2 * len(curves), alt)


def _both_widths(draw: Draw, tall: float, narrow_tall: float, alt: str) -> str:
    wide, narrow = (
        _figure(draw, width, height, width == WIDTHS[1])
        for width, height in zip(WIDTHS, (tall, narrow_tall), strict=True)
    )
    return (
        f'<picture><source media="(max-width:640px)" srcset="{narrow}">'
        f'<img class="figure" src="{wide}" alt="{escape(alt)}"></picture>'
    )


def _figure(draw: Draw, width: float, height: float, narrow: bool) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure as NewFigure

    settings: dict[Any, Any] = {"svg.hashsalt": "emosym", "font.size": 9 if narrow else 10}
    with rc_context(settings):
        figure: Figure = NewFigure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        draw(axes, narrow)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", facecolor="white", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(stream.getvalue()).decode()


def _wrapped(name: str, narrow: bool) -> str:
    from textwrap import fill

    return fill(name.replace(" %", NO_BREAK + "%"), 22 if narrow else 56).replace(NO_BREAK, " ")
