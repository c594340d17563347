"""Draw what the reader of photographs predicts against what people rated, and where it puts others.

    emosym train photo root=OASIS_FOLDER out=runs/photo
    emosym understand PHOTOGRAPHS --model photo --csv photographs.csv
    python scripts/plot_photo.py runs/photo FIGURE --readings photographs.csv --plane OTHER_FIGURE

The first figure: every rated picture, predicted without any picture of its theme, with the interval
that is to hold for 90 of 100. The second: the readings of the shell on the plane of valence and
arousal; pictures that are named are drawn with their intervals.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emosym.models.photo.head import correlation

RATINGS = ("valence", "arousal")
SCALE = (1.0, 7.0)
INK, ACCENT, MISSED, LIGHT = "#1f2430", "#2a6f97", "#c8553d", "#c7cdd6"
PLACES = ((8, 6), (8, -12), (-8, 6), (-8, -12))  # of names beside their points, in turn
WHITE = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.0}


def main(words: list[str] | None = None) -> int:
    """Draw one figure or two; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("run", type=Path, help="The folder of `emosym train photo`.")
    parser.add_argument("out", type=Path, help="The picture that is written.")
    parser.add_argument("--readings", type=Path, help="A CSV of `emosym understand`.")
    parser.add_argument("--plane", type=Path, help="The picture of these readings.")
    parser.add_argument("--name", action="append", default=[], help="A file that is named there.")
    asked = parser.parse_args(words)
    if (asked.readings is None) != (asked.plane is None):
        parser.error("--readings and --plane go together.")
    left_out(rows_of(asked.run / "predictions.csv")).savefig(asked.out, dpi=120)
    if asked.readings is not None:
        plane(rows_of(asked.readings), asked.name).savefig(asked.plane, dpi=120)
    return 0


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def numbers(rows: Sequence[dict[str, str]], column: str) -> np.ndarray:
    """Return a column (n,)."""
    return np.array([float(row[column]) for row in rows])


def left_out(rows: Sequence[dict[str, str]]) -> Figure:
    """Return predicted against rated, one plot a rating, each point with its interval."""
    figure = Figure(figsize=(10.4, 5.4), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), RATINGS, strict=True):
        truth, found = numbers(rows, name), numbers(rows, f"{name}_predicted")
        low, high = (numbers(rows, f"{name}_{end}") for end in ("low", "high"))
        holds = (low <= truth) & (truth <= high)
        for some, colour, what in ((holds, ACCENT, "holds"), (~holds, MISSED, "does not")):
            ends = [low[some].clip(*SCALE), high[some].clip(*SCALE)]
            axes.vlines(truth[some], *ends, color=colour, alpha=0.16, linewidth=1.1)
            told = f"interval {what}: {int(some.sum())}"
            axes.scatter(truth[some], found[some], s=15, color=colour, linewidths=0, label=told)
        axes.plot(SCALE, SCALE, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        error = float(np.abs(found - truth).mean())
        title = f"{name}: r = {correlation(found, truth):.2f}, mean error {error:.2f}, "
        axes.set_title(f"{title}{100 * holds.mean():.1f} % hold", color=INK, fontsize=11)
        axes.set_xlabel(f"{name}, mean of about 100 people")
        axes.set_ylabel("predicted without any picture of its theme")
        axes.legend(loc="lower right", frameon=False, fontsize=9, handletextpad=0.2)
        dressed(axes)
    return figure


def plane(rows: Sequence[dict[str, str]], names: Sequence[str]) -> Figure:
    """Return the readings on the plane; those of the files `names` with name and intervals."""
    read = [row for row in rows if not row["error"]]
    figure = Figure(figsize=(6.4, 6.2), layout="constrained")
    axes = figure.subplots()
    axes.axvline(4, color=LIGHT, linewidth=0.8)
    axes.axhline(4, color=LIGHT, linewidth=0.8)
    named = [row for row in read if Path(row["source"]).name in names]
    rest = [row for row in read if row not in named]
    point: dict[str, Any] = {"s": 15, "color": ACCENT, "alpha": 0.55, "linewidths": 0}
    axes.scatter(numbers(rest, "valence"), numbers(rest, "arousal"), **point)
    for row, (right, up) in zip(named, PLACES * len(named), strict=False):
        at = float(row["valence"]), float(row["arousal"])
        axes.hlines(at[1], float(row["valence_low"]), float(row["valence_high"]), color=MISSED)
        axes.vlines(at[0], float(row["arousal_low"]), float(row["arousal_high"]), color=MISSED)
        axes.scatter(*at, s=34, color=MISSED, zorder=3)
        side = "left" if right > 0 else "right"
        place: dict[str, Any] = {"xytext": (right, up), "textcoords": "offset points", "ha": side}
        axes.annotate(Path(row["source"]).name, at, fontsize=9, bbox=WHITE, **place)
    axes.set_title(f"{len(read)} photographs as the reader places them", color=INK, fontsize=11)
    axes.set_xlabel("valence: unpleasant to pleasant")
    axes.set_ylabel("arousal: calm to exciting")
    dressed(axes)
    return figure


def dressed(axes: Axes) -> None:
    """Give a plot the raters' scale on both axes, and no frame."""
    axes.set(xlim=SCALE, ylim=SCALE, aspect="equal")
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    sys.exit(main())
