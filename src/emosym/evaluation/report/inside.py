"""The page of `emosym inspect`: where the emotion can be read, and what pushes do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emosym.evaluation.report.drawing import TIP, Plot, inline
from emosym.evaluation.report.figures import PAIRED, PERCENT, PHONE, WHOLE
from emosym.evaluation.report.palette import LIGHT
from emosym.evaluation.report.render import render
from emosym.evaluation.report.words import percent
from emosym.files import write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What a push is measured by: the value's name, the figure's title, what its height is.
EFFECTS = (
    ("answer", "What it answers", "probability of that emotion"),
    ("words", "What it says", "share of named cues that fit it"),
    ("painted_a", "What it paints, as judge A sees it", "share taken for that emotion"),
    ("painted_b", "What it paints, as judge B sees it", "share taken for that emotion"),
)
TOPS = (0.1, 0.2, 0.4)  # of axes whose values are small; they begin at 0 all the same


def write_inside(out: Path, result: Mapping[str, Any], title: str) -> Path:
    """Write the page of a result named `inside`; returns its path.

    Raises:
        EmoSymError: when the disk is full or not writable.
    """
    values = result["values"]
    page = render(
        "inside.html",
        result.get("labels", ()),
        title=title,
        heading=title,
        said=said_inside(result),
        n=result["n"],
        seed=result["seed"],
        taught=values["taught"],
        asked=values["asked"],
        probes=inline(probe_map(values)),
        depth=inline(by_depth(values)) if "pushed_depth" in values else None,
        doses=[
            (name, inline(by_dose(values, key, name, axis)))
            for key, name, axis in EFFECTS
            if any(value is not None for value in values.get(f"{key}_own", ()))
        ],
        links=[("probes", "Where it can be read"), ("pushes", "What pushes do")],
    )
    write_text(out, page)
    return out


def places_of(values: Mapping[str, Any]) -> list[str]:
    """Return the names of the places that were probed: end of the prompt, [CTX] 1..K, [EMO]."""
    count = len(values["probe_accuracy"]) - 2
    return ["prompt", *(f"[CTX] {number}" for number in range(1, count + 1)), "[EMO]"]


def said_inside(result: Mapping[str, Any]) -> list[str]:
    """Return what was found, in sentences."""
    values = result["values"]
    table = np.array(values["probe_accuracy"], dtype=np.float64)  # None becomes NaN
    control = np.array(values["probe_shuffled"], dtype=np.float64)
    place, depth = np.unravel_index(int(np.nanargmax(table)), table.shape)
    best = f"{places_of(values)[place]} at depth {depth} of {table.shape[1] - 1}"
    told = [
        f"A straight line reads the emotion best off {best}: {percent(float(table[place, depth]))} "
        f"of {values['asked']} samples are right. The model's own head is right in "
        f"{percent(values['own_accuracy'])}, always naming the most frequent emotion in "
        f"{percent(values['majority_accuracy'])}, and a line that was fitted to shuffled labels in "
        f"{percent(float(np.nanmax(control)))} at best."
    ]
    if "pushed_depth" not in values:
        return told
    zero, one = values["doses"].index(0.0), values["doses"].index(1.0)
    low, high = values["answer_own_minus_random_interval"]
    own, random = values["answer_own"], values["answer_random"]
    told.append(
        f"Pushed at depth {values['pushed_depth']} by the whole direction of another emotion, "
        f"[CTX] moves the probability of that emotion from {percent(own[zero])} to "
        f"{percent(own[one])}; a random push of the same size moves it to {percent(random[one])} "
        f"(difference {100 * values['answer_own_minus_random']:.1f} points, 95 % interval "
        f"{100 * low:.1f} to {100 * high:.1f})."
    )
    known = [effect for effect in EFFECTS[1:] if values.get(f"{effect[0]}_own")]
    if known:
        own_at, random_at, unpushed = (
            [values[f"{key}_{kind}"][at] for key, _, _ in known]
            for kind, at in (("own", -1), ("random", -1), ("own", zero))
        )
        parts = [
            f"{what[0].lower()}{what[1:]} ({axis}): {percent(before)} unpushed, {percent(own)} "
            f"pushed, {percent(random)} pushed at random"
            for (_, what, axis), before, own, random in zip(
                known, unpushed, own_at, random_at, strict=True
            )
        ]
        told.append(
            f"At dose {values['doses'][-1]:g}, of the first {values['shown']} samples: "
            f"{'; '.join(parts)}."
        )
    return told


def probe_map(values: Mapping[str, Any]) -> Plot:
    """Draw the accuracy of linear probes, a row a place, a column a depth."""
    table = np.array(values["probe_accuracy"], dtype=np.float64)
    names = places_of(values)
    low = min(float(np.nanmin(table)), float(values["majority_accuracy"]))
    span = max(float(np.nanmax(table)) - low, 1e-9)
    every = max(1, table.shape[1] // 16)

    def draw(figure: Figure, narrow: bool) -> None:
        from matplotlib.patches import Rectangle

        axes = figure.subplots()
        for row, column in np.ndindex(table.shape):
            share = table[row, column]
            if np.isnan(share):
                continue
            shade = 0.06 + 0.9 * (share - low) / span
            box = Rectangle(
                (column - 0.48, row - 0.48), 0.96, 0.96, color=LIGHT["accent"], alpha=shade, lw=0
            )
            box.set_gid(f"{TIP}{names[row]}, depth {column}: {percent(float(share))} right")
            axes.add_patch(box)
            if table.shape[1] <= 16 and not (narrow and table.shape[1] > 8):
                colour = LIGHT["card" if shade > 0.55 else "ink"]
                axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=colour)
        axes.set_xlim(-0.5, table.shape[1] - 0.5)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xticks(range(0, table.shape[1], every))
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("depth: 0 is the input, the last what the head gets")

    tall = 0.9 + 0.42 * len(names)
    return Plot("Accuracy of linear probes, in percent", draw, (WHOLE, tall), (PHONE, tall))


def by_depth(values: Mapping[str, Any]) -> Plot:
    """Draw what a push of the whole direction does at each depth, beside a random one."""
    depths = list(range(len(values["depth_own"])))

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        _line(axes, depths, values["depth_own"], None, "own", "towards the emotion")
        _line(axes, depths, values["depth_random"], None, "random", "at random, as large")
        axes.axhline(values["depth_unpushed"], color=LIGHT["muted"], linestyle=":", linewidth=1.2)
        axes.set_xticks(depths[:: max(1, len(depths) // 12)])
        heights = [*values["depth_own"], *values["depth_random"]]
        _finished(axes, "depth at which [CTX] is pushed", EFFECTS[0][2], heights)

    return Plot("Probability after a push, by depth", draw, (PAIRED, 3.6), (PHONE, 3.4))


def by_dose(values: Mapping[str, Any], key: str, title: str, axis: str) -> Plot:
    """Draw one effect by dose with 95 % intervals: of the emotion's direction, and of random."""

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        for kind, name in (("own", "towards the emotion"), ("random", "at random, as large")):
            ends = (values[f"{key}_{kind}_low"], values[f"{key}_{kind}_high"])
            _line(axes, values["doses"], values[f"{key}_{kind}"], ends, kind, name)
        axes.set_xticks(values["doses"], [f"{dose:g}" for dose in values["doses"]])
        heights = [*values[f"{key}_own_high"], *values[f"{key}_random_high"]]
        _finished(axes, "dose: 1 is from the mean of all to the emotion's", axis, heights)

    return Plot(f"{title}, by dose", draw, (PAIRED, 3.6), (PHONE, 3.4))


def _line(
    axes: Axes,
    places: Sequence[float],
    heights: Sequence[float | None],
    ends: tuple[Sequence[float | None], Sequence[float | None]] | None,
    kind: str,
    name: str,
) -> None:
    """Draw one kind of push; `ends` are the lower and upper ends of its intervals."""
    colour, style = (LIGHT["accent"], "-") if kind == "own" else (LIGHT["bad"], "--")
    known = [i for i, height in enumerate(heights) if height is not None]
    x, y = [places[i] for i in known], [heights[i] for i in known]
    axes.plot(x, y, style, color=colour, linewidth=2, label=name)  # type: ignore[arg-type]
    if ends is not None:
        low, high = ([end[i] for i in known] for end in ends)
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)  # type: ignore[arg-type]
    for place, height in zip(x, y, strict=True):
        (dot,) = axes.plot(place, height, "o", color=colour, markersize=5)  # type: ignore[arg-type]
        dot.set_gid(f"{TIP}{name}, {place:g}: {percent(height)}")


def _finished(axes: Axes, below: str, beside: str, heights: Sequence[float | None]) -> None:
    most = max((height for height in heights if height is not None), default=1.0)
    top = next((top for top in TOPS if most <= 0.8 * top), 1.0)  # room for the legend
    axes.set_ylim(0, 1.02 * top)
    axes.set_yticks(
        [top * tick for tick in PERCENT], [f"{100 * top * tick:g} %" for tick in PERCENT]
    )
    axes.grid(axis="y")
    axes.set_xlabel(below)
    axes.set_ylabel(beside)
    axes.legend(loc="upper left")
