"""The figures of readings, paintings and the bank; every function returns a `Plot`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from emosym.evaluation.report.drawing import TIP, Plot
from emosym.evaluation.report.palette import LIGHT, colours_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HALF = math.sqrt(2 * math.log(2))  # radius, in standard deviations, around half of a 2-D Gaussian
PERCENT = (0.0, 0.25, 0.5, 0.75, 1.0)
PAIRED, WHOLE, PHONE = 5.2, 11.5, 4.2  # inches: half a laptop's page, all of it, a phone's


def confusion(labels: Sequence[str], counts: Sequence[Sequence[float]]) -> Plot:
    """Draw counts (C, C), row = truth, column = reading; each row in percent of its sum."""
    from matplotlib.patches import FancyBboxPatch

    size = len(labels)
    table = np.asarray(counts, dtype=np.float64)
    totals = table.sum(axis=1, keepdims=True)
    shares = table / np.where(totals > 0, totals, 1.0)

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        for row, column in np.ndindex(size, size):
            share = float(shares[row, column])
            shade = 0.06 + 0.94 * share**0.6 if table[row, column] else 0.04
            box = FancyBboxPatch(
                (column - 0.46, row - 0.46),
                0.92,
                0.92,
                boxstyle="round,pad=0,rounding_size=0.1",
                facecolor=LIGHT["good" if row == column else "bad"],
                alpha=shade,
                linewidth=0,
            )
            box.set_gid(f"{TIP}{labels[row]} read as {labels[column]}: {table[row, column]:g}")
            axes.add_patch(box)
            if table[row, column] and size <= 16:
                axes.text(
                    column,
                    row,
                    f"{100 * share:.0f}" if share >= 0.005 else "·",
                    ha="center",
                    va="center",
                    color=LIGHT["card" if shade > 0.55 else "ink"],
                )
        axes.set_xlim(-0.5, size - 0.5)
        axes.set_ylim(size - 0.5, -0.5)
        axes.set_aspect("equal")
        axes.xaxis.tick_top()
        axes.set_xticks(range(size), labels, rotation=45, ha="left", rotation_mode="anchor")
        axes.set_yticks(range(size), labels)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)

    return Plot(
        "Confusion matrix in percent of each true emotion", draw, (PAIRED, PAIRED), (PHONE, PHONE)
    )


def reliability(
    counts: Sequence[float],
    confidence: Sequence[float | None],
    accuracy: Sequence[float | None],
    title: str = "Reliability diagram",
) -> Plot:
    """Draw stated confidence against what came true, with how many readings each bar holds."""
    bars, total = len(counts), sum(counts) or 1
    width = 1.0 / bars

    def draw(figure: Figure, narrow: bool) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(6, 1))
        for place, (count, sure, right) in enumerate(
            zip(counts, confidence, accuracy, strict=True)
        ):
            middle = (place + 0.5) * width
            held = lower.bar(middle, count, 0.9 * width, color=LIGHT["muted"], alpha=0.5)[0]
            held.set_gid(f"{TIP}{count:g} readings, {100 * count / total:.1f} %")
            if sure is None or right is None:
                continue
            told = f"said {100 * sure:.1f} %, right {100 * right:.1f} %, {count:g} readings"
            bar = upper.bar(middle, right, 0.9 * width, color=LIGHT["accent"], alpha=0.85)[0]
            gap = upper.bar(
                middle, abs(right - sure), 0.9 * width, min(right, sure), color=LIGHT["bad"]
            )[0]
            gap.set_alpha(0.8)
            for piece in (bar, gap):
                piece.set_gid(f"{TIP}{told}")
        upper.plot([0, 1], [0, 1], color=LIGHT["ink"], linewidth=1.2, linestyle=(0, (4, 4)))
        upper.set_ylim(0, 1)
        upper.set_xlim(0, 1)
        upper.set_yticks(PERCENT, [f"{100 * tick:.0f} %" for tick in PERCENT])
        upper.grid(axis="y")
        upper.set_axisbelow(True)
        upper.set_ylabel("came true")
        upper.tick_params(bottom=False)
        lower.set_yticks([])
        lower.spines["left"].set_visible(False)
        lower.set_xticks(PERCENT, [f"{100 * tick:.0f} %" for tick in PERCENT])
        lower.set_xlabel("stated confidence, and how many readings state it")

    return Plot(title, draw, (PAIRED, 4.9), (PHONE, 4.4))


def reliability_of(values: Mapping[str, Any], title: str, kind: str = "") -> Plot:
    """Draw the reliability of a result's values; `kind` '_raw' is that before calibration."""
    return reliability(
        values[f"reliability_count{kind}"],
        values[f"reliability_confidence{kind}"],
        values[f"reliability_accuracy{kind}"],
        title,
    )


def answered(coverage: Sequence[float], accuracy: Sequence[float | None]) -> Plot:
    """Draw how often the readings above each confidence are right, by the share of them."""
    kept = sorted((c, a) for c, a in zip(coverage, accuracy, strict=True) if a is not None)
    told = "; ".join(f"{100 * c:.0f} % answered: {100 * a:.1f} % right" for c, a in kept)

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        axes.plot([c for c, _ in kept], [a for _, a in kept], color=LIGHT["accent"], linewidth=2)
        for share, right in kept:
            (dot,) = axes.plot(share, right, "o", color=LIGHT["accent"], markersize=5)
            dot.set_gid(f"{TIP}{100 * share:.1f} % answered, {100 * right:.1f} % of those right")
        low = min((a for _, a in kept), default=0.0)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(max(0.0, math.floor(20 * low - 0.5) / 20), 1.005)
        axes.set_xticks(PERCENT, [f"{100 * tick:.0f} %" for tick in PERCENT])
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        axes.grid(axis="y")
        axes.set_xlabel("share of pictures answered: those read with enough confidence")
        axes.set_ylabel("right among them")

    return Plot(f"Accuracy by coverage. {told}.", draw, (PAIRED, 3.6), (PHONE, 3.2))


def emotion_map(
    points: Sequence[Sequence[Any]],
    emotions: Sequence[str],
    gaussians: Sequence[Mapping[str, Any]] = (),
) -> Plot:
    """Draw [x, y, emotion, kind] points: dots are real pictures, rings painted ones.

    Of each of `gaussians` (keys of emotion_space.json) the ellipse that holds half of it is drawn.
    """
    colours = colours_of(emotions)

    def of(label: str) -> str:
        return colours.get(label, LIGHT["muted"])

    def draw(figure: Figure, narrow: bool) -> None:
        from matplotlib.patches import Ellipse
        from matplotlib.patheffects import withStroke

        axes = figure.subplots()
        for kind in ("real", "painted"):
            rows = [point for point in points if point[3] == kind]
            axes.scatter(
                [point[0] for point in rows],
                [point[1] for point in rows],
                s=14 if kind == "real" else 30,
                facecolors=[of(p[2]) if kind == "real" else LIGHT["card"] for p in rows],
                edgecolors="none" if kind == "real" else [of(p[2]) for p in rows],
                linewidths=0 if kind == "real" else 1.5,
                alpha=0.45 if kind == "real" else 0.9,
                rasterized=False,
            )
        for found in gaussians:
            (a, b), (_, c) = found["covariance"]
            middle, spread = (a + c) / 2, math.hypot((a - c) / 2, b)
            sides = [2 * HALF * math.sqrt(max(0.0, middle + s * spread)) for s in (1, -1)]
            turn = math.degrees(0.5 * math.atan2(2 * b, a - c))
            label = str(found["emotion"])
            ring = Ellipse(found["mean"], *sides, angle=turn, fill=False, linewidth=1.8)
            ring.set_edgecolor(of(label))
            ring.set_gid(f"{TIP}half of what is painted from for {label}")
            axes.add_patch(ring)
        axes.set_xlim(*_trimmed([point[0] for point in points]))
        axes.set_ylim(*_trimmed([point[1] for point in points]))
        for label, (x, y) in _places(points, emotions, axes, 0.055 if narrow else 0.045).items():
            name = axes.text(x, y, label, ha="center", va="center", color=of(label), weight="bold")
            name.set_path_effects([withStroke(linewidth=4, foreground=LIGHT["card"])])
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)

    return Plot("Emotion space in two dimensions", draw, (WHOLE, 6.8), (PHONE, 4.6))


def _places(
    points: Sequence[Sequence[Any]], emotions: Sequence[str], axes: Axes, step: float
) -> dict[str, tuple[float, float]]:
    """Return where each emotion's name stands: at its mean, moved down from those already there."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    wide, tall = right - left, top - bottom
    found: dict[str, tuple[float, float]] = {}
    for label in emotions:
        own = [point for point in points if point[2] == label]
        if not own:
            continue
        x, y = (float(np.mean([point[axis] for point in own])) for axis in (0, 1))
        x = min(right - 0.09 * wide, max(left + 0.09 * wide, x))
        y = min(top - 0.03 * tall, max(bottom + 0.03 * tall, y))
        for _ in emotions:
            if any(
                abs(x - p) < 0.17 * wide and abs(y - q) < step * tall for p, q in found.values()
            ):
                y -= step * tall
        found[label] = (x, y)
    return found


def _trimmed(values: Sequence[float]) -> tuple[float, float]:
    """Return limits round the middle 98 %: a stray point must not shrink the rest to a blot."""
    low, high = (float(x) for x in np.quantile(np.asarray(values, dtype=np.float64), (0.01, 0.99)))
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


def bank_growth(per_round: Mapping[str, Mapping[str, float]], emotions: Sequence[str]) -> Plot:
    """Draw the painted entries of each emotion, one piece a round, the newest darkest.

    `per_round` maps a round's number to the entries {emotion: count} that it left in the bank.
    """
    numbers, colours = sorted(per_round, key=int), colours_of(emotions)

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        for row, emotion in enumerate(emotions):
            start = 0.0
            for place, number in enumerate(numbers):
                count = float(per_round[number].get(emotion, 0))
                shade = 0.35 + 0.65 * (place + 1) / len(numbers)
                piece = axes.barh(row, count, 0.66, start, color=colours[emotion], alpha=shade)[0]
                piece.set_gid(f"{TIP}{emotion}, round {number}: {count:g}")
                start += count
            _total(axes, start, row)
        _bars_of(axes, emotions)

    return Plot("Painted entries of each emotion, round by round", draw, _tall(emotions))


def bank_sizes(
    before: Mapping[str, Mapping[str, float]],
    after: Mapping[str, Mapping[str, float]],
    emotions: Sequence[str],
) -> Plot:
    """Draw entries per emotion, before above after, real filled and generated hatched."""
    colours = colours_of(emotions)

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        for row, emotion in enumerate(emotions):
            for when, side, shift in (("before", before, -0.2), ("after", after, 0.2)):
                start, found = 0.0, side.get(emotion, {})
                for kind in ("real", "generated"):
                    count = float(found.get(kind, 0))
                    piece = axes.barh(row + shift, count, 0.36, start, color=colours[emotion])[0]
                    piece.set_alpha(0.5 if when == "before" else 1.0)
                    piece.set_gid(f"{TIP}{emotion}, {when}: {count:g} {kind}")
                    if kind == "generated" and count:
                        piece.set_hatch("////")
                        piece.set_edgecolor(LIGHT["card"])
                    start += count
                _total(axes, start, row + shift)
        _bars_of(axes, emotions)

    return Plot("Memory bank before and after", draw, _tall(emotions))


def _tall(emotions: Sequence[str]) -> tuple[float, float]:
    return PAIRED, 0.3 + 0.44 * len(emotions)


def _total(axes: Axes, count: float, row: float) -> None:
    axes.annotate(f"{count:g}", (count, row), (5, 0), textcoords="offset points", va="center")


def _bars_of(axes: Axes, emotions: Sequence[str]) -> None:
    axes.set_yticks(range(len(emotions)), emotions)
    axes.set_ylim(len(emotions) - 0.4, -0.6)
    axes.margins(x=0.12)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def losses(stages: Mapping[str, Sequence[tuple[float, float]]]) -> Plot:
    """Draw the (step, loss) of each stage, one small figure each."""
    told = "; ".join(
        f"{n}: from {rows[0][1]:.3g} to {rows[-1][1]:.3g}" for n, rows in stages.items()
    )
    count = len(stages)

    def draw(figure: Figure, narrow: bool) -> None:
        shape = (count, 1) if narrow else (1, count)
        every = np.ravel(figure.subplots(*shape, squeeze=False))
        for axes, (name, rows) in zip(every, stages.items(), strict=True):
            axes.plot(
                [x for x, _ in rows], [y for _, y in rows], color=LIGHT["accent"], linewidth=1.6
            )
            axes.set_title(name, fontsize="medium", loc="left")
            axes.grid(axis="y")
            axes.locator_params(nbins=4)
            axes.set_xlabel("step")

    wide = (WHOLE, 2.8) if count > 1 else (PAIRED, 3.0)
    return Plot(f"Training loss by step. {told}.", draw, wide, (PHONE, 0.3 + 1.7 * count))
