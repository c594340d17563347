"""Figures from matplotlib: into a page that is light or dark, or into files of their own.

A `Plot` is drawn in light colours. In a page its text stays text, its colours become the page's
variables (`palette`), and an artist whose gid begins with TIP shows the rest of it as a tooltip.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from emosym.evaluation.report.palette import LIGHT, VARIABLES
from emosym.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TIP = "tip: "
FORMATS = ("pdf", "png", "svg")
_TIPPED = re.compile(rf"<g id=([\"']){TIP}(.*?)\1>")
_SHAPE = re.compile(r' (?:d|x|y|width|height|transform|style)="[^"]*"')


@dataclass(frozen=True, slots=True)
class Plot:
    """What to draw, and in which sizes (inches).

    `draw` gets an empty figure and whether it is the narrow one, for a phone. Without a `narrow`
    size the wide one is shown there too. `alt` is what a screen reader says.
    """

    alt: str
    draw: Callable[[Figure, bool], None]
    wide: tuple[float, float]
    narrow: tuple[float, float] | None = None


def inline(plot: Plot) -> Markup:
    """Return a plot as `<svg>` elements for a page."""
    if plot.narrow is None:
        return _svg(plot, False, "figure")
    return _svg(plot, False, "figure on-wide") + _svg(plot, True, "figure on-narrow")


def save(plot: Plot, stem: Path) -> list[Path]:
    """Write a plot as stem.pdf, stem.png (300 dots an inch) and stem.svg, on white.

    Raises:
        EmoSymError: when the disk is full or not writable.
    """
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in FORMATS]
    for kind, path in zip(FORMATS, paths, strict=True):
        content = _rendered(plot, False, kind, facecolor="white", dpi=300)
        write_atomic(path, lambda temporary, content=content: temporary.write_bytes(content))  # type: ignore[misc]
    return paths


def _rendered(plot: Plot, narrow: bool, kind: str, **settings: Any) -> bytes:
    from matplotlib import rc_context
    from matplotlib.figure import Figure as NewFigure

    style: dict[Any, Any] = {
        "svg.hashsalt": "emosym",
        "svg.fonttype": "none",
        "pdf.fonttype": 42,
        "font.size": 9.5 if narrow else 10,
        "text.color": LIGHT["ink"],
        "axes.edgecolor": LIGHT["muted"],
        "axes.labelcolor": LIGHT["muted"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.facecolor": "none",
        "grid.color": LIGHT["line"],
        "xtick.color": LIGHT["muted"],
        "ytick.color": LIGHT["muted"],
        "legend.frameon": False,
    }
    stream = io.BytesIO()
    with rc_context(style):
        size = plot.narrow if narrow and plot.narrow is not None else plot.wide
        figure = NewFigure(figsize=size, layout="constrained")
        plot.draw(figure, narrow)
        moment = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}[kind]
        figure.savefig(stream, format=kind, metadata=moment, **settings)
    return stream.getvalue()


def _svg(plot: Plot, narrow: bool, cls: str) -> Markup:
    drawn = _rendered(plot, narrow, "svg", transparent=True).decode()
    box = re.search(r'viewBox="([^"]+)"', drawn)
    assert box is not None  # matplotlib always writes one
    inside = drawn[drawn.index(">", box.end()) + 1 : drawn.rindex("</svg>")]
    for noise in (r"<metadata>.*?</metadata>", r"<!--.*?-->", r"<style.*?</style>"):
        inside = re.sub(noise, "", inside, flags=re.DOTALL)
    inside = re.sub(_TIPPED, r"<g><title>\2</title>", inside)
    inside = _own_ids(inside.replace("xlink:href", "href"))
    inside = re.sub(r"#[0-9a-f]{6}\b", lambda hit: VARIABLES.get(hit[0], hit[0]), inside)
    inside = re.sub(r" font-family: [^;\"]*;", "", inside)  # the page's font
    inside = re.sub(r' transform="rotate\(-0 [^"]*"', "", inside)
    inside = re.sub(_SHAPE, lambda hit: re.sub(r"(\.\d\d)\d+", r"\1", hit[0]), inside)
    inside = re.sub(r"\s*\n\s*", " ", inside).strip()
    told = escape(plot.alt)
    return Markup(  # every text in it was escaped by matplotlib, or above
        f'<svg class="{cls}" viewBox="{box[1]}" role="img" aria-label="{told}">{inside}</svg>'
    )


def _own_ids(inside: str) -> str:
    """Drop ids that nothing refers to, and make the others this figure's own in a page of many."""
    mark = "g" + hashlib.sha256(inside.encode()).hexdigest()[:8]
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', inside))

    def renamed(hit: re.Match[str]) -> str:
        return f' id="{mark}-{hit[1]}"' if hit[1] in used else ""

    inside = re.sub(r' id="([^"]*)"', renamed, inside)
    return re.sub(r'(url\(|href=")#([^)"]+)', rf"\1#{mark}-\2", inside)
