"""The course of a conversation, turn by turn, a line a speaker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from emosym.evaluation.report.drawing import TIP, Plot
from emosym.evaluation.report.palette import CYCLE, LIGHT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOBODY = "(nobody named)"
MOST_LINES = 8  # speakers with a colour of their own; the others share a grey one
RANGES = {"polarity": (-1.0, 1.0)}
NORMS = (1.0, 9.0)


def course_plot(
    states: ArrayLike,
    names: Sequence[str],
    speakers: Sequence[str | None],
    labels: Sequence[str],
) -> Plot:
    """Draw states (N, K) over the turns, one panel for each of K `names`.

    `labels` are the emotions that were read of the turns: a point's tooltip. Unknown states leave a
    gap in their speaker's line.
    """
    rows = np.asarray(states, dtype=np.float64)
    whose = [who or NOBODY for who in speakers]
    people = list(dict.fromkeys(whose))
    shades = [light for light, _ in CYCLE[:MOST_LINES]]

    def draw(figure: Figure, narrow: bool) -> None:
        panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
        for column, (axes, name) in enumerate(zip(panels, names, strict=True)):
            for number, who in enumerate(people):
                turns = [n for n, one in enumerate(whose) if one == who]
                shade = shades[number] if number < len(shades) else LIGHT["muted"]
                own = rows[turns, column]
                axes.plot(np.array(turns) + 1, own, color=shade, linewidth=1.4, label=who)
                for turn, value in zip(turns, own, strict=True):
                    if np.isfinite(value):
                        (point,) = axes.plot([turn + 1], [value], "o", color=shade, markersize=5)
                        point.set_gid(f"{TIP}{turn + 1}, {who}: {labels[turn]} ({value:.2f})")
            low, high = RANGES.get(name, NORMS)
            axes.set_ylim(low, high)
            axes.axhline((low + high) / 2, color=LIGHT["line"], linewidth=0.8, zorder=0)
            axes.set_ylabel(name)
        panels[-1].set_xlabel("turn")
        panels[-1].xaxis.get_major_locator().set_params(integer=True)
        panels[0].legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=2 if narrow else 4, fontsize="small"
        )

    height = 1.0 + 1.6 * len(names)
    told = f"Course of a conversation of {len(rows)} turns: {', '.join(names)} by speaker"
    return Plot(told, draw, (7.5, height), (4.2, height))
