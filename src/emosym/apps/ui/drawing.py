"""Bars, cards and the valence/arousal plane as HTML and SVG, in the colours of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

from emosym.emotions import VAD_MAX, VAD_MIN, LabelSpace
from emosym.evaluation.report.palette import colour

SIDE = 320.0  # of the plane's square, in units of its viewBox
LEFT, TOP = 14.0, 14.0
HEIGHT = SIDE + 2 * TOP
WIDTH = SIDE + 2 * LEFT
LINE, WORD = 15.0, 90.0  # the height of a line, how far a word reaches
SIGN, RING = 7.0, 14.0  # the width of a letter, and how far the mark of a place reaches
MIDDLE = (VAD_MIN + VAD_MAX) / 2
BARS_SHOWN = 8


def bars(probabilities: Mapping[str, float], most: int = BARS_SHOWN, rest: bool = True) -> str:
    """Return the `most` largest probabilities as a list of bars, and how many the `rest` are."""
    shares = sorted(probabilities.items(), key=lambda item: -item[1])
    rows = [
        f'<li style="--c:{colour(label)}"><span class="name">{escape(label)}</span>'
        f'<span class="track" aria-hidden="true"><span style="width:{100 * share:.1f}%"></span>'
        f'</span><span class="share">{percent(share)}</span></li>'
        for label, share in shares[:most]
    ]
    more = len(shares) - most
    if rest and more > 0:
        below = percent(shares[most][1])
        rows.append(f'<li class="more">and {more} more, each {below} or less</li>')
    return f'<ul class="bars">{"".join(rows)}</ul>'


def percent(share: float) -> str:
    """Return a share as '82 %'; what would round to nothing is 'below 1 %'."""
    return "&lt; 1 %" if share < 0.005 else f"{100 * share:.0f} %"


def at(valence: float, arousal: float) -> tuple[float, float]:
    """Return where a place of 1..9 by 1..9 is in the plane's drawing; arousal grows upwards."""
    width = VAD_MAX - VAD_MIN
    x = LEFT + SIDE * (valence - VAD_MIN) / width
    return x, TOP + SIDE * (VAD_MAX - arousal) / width


def plane(
    space: LabelSpace | None,
    place: tuple[float, float] | None,
    clickable: bool = False,
    interval: tuple[tuple[float, float], tuple[float, float]] | None = None,
) -> str:
    """Return the valence/arousal plane as SVG, with the words of a space and one place in it.

    `interval` is (low, high) of valence and of arousal: a box around the place.
    """
    x, y = at(MIDDLE, MIDDLE)
    parts = [
        f'<rect class="field" x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}" rx="10"/>',
        f'<path class="cross" d="M{x} {TOP}V{TOP + SIDE}M{LEFT} {y}H{LEFT + SIDE}"/>',
        *(_edge(text, *where) for text, where in EDGES.items()),
        *(() if space is None else _words(space, None if place is None else at(*place))),
    ]
    if interval is not None:
        (low_v, high_v), (low_a, high_a) = interval
        left, top = at(low_v, high_a)
        right, bottom = at(high_v, low_a)
        size = f'width="{right - left:.1f}" height="{bottom - top:.1f}"'
        parts.append(f'<rect class="interval" x="{left:.1f}" y="{top:.1f}" {size} rx="4"/>')
    if place is not None:
        px, py = at(*place)
        parts.append(f'<circle class="halo" cx="{px:.1f}" cy="{py:.1f}" r="{RING - 1:g}"/>')
        parts.append(f'<circle class="here" cx="{px:.1f}" cy="{py:.1f}" r="6.5"/>')
    told = escape(told_place(place))
    touch = ' tabindex="0" data-plane="1"' if clickable else ""
    cls = "plane clickable" if clickable else "plane"
    return (
        f'<svg class="{cls}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{told}"{touch}>'
        f"<title>{told}</title>{''.join(parts)}</svg>"
    )


EDGES = {
    "unpleasant": (LEFT + 8, TOP + SIDE / 2 - 7, "start"),
    "pleasant": (LEFT + SIDE - 8, TOP + SIDE / 2 - 7, "end"),
    "stirred up": (LEFT + SIDE / 2, TOP + 18, "middle"),
    "calm": (LEFT + SIDE / 2, TOP + SIDE - 9, "middle"),
}


def _edge(text: str, x: float, y: float, anchor: str) -> str:
    return f'<text class="edge" x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>'


def _words(space: LabelSpace, ring: tuple[float, float] | None) -> list[str]:
    """Return the words of a space at their places, below another's line and the `ring` if need be.

    The ring is what marks the place that a plane shows.
    """
    placed = [
        (at(norm[0], norm[1]), label) for label in space.labels if (norm := space.norm(label))
    ]
    lines: list[tuple[float, float]] = []
    drawn = []
    for (x, y), label in sorted(placed, key=lambda word: word[0][1]):
        below = [line + LINE for other, line in lines if abs(other - x) < WORD]
        line = max([y + 4, *below])
        anchor, dx = ("end", -8) if x > LEFT + 0.6 * SIDE else ("start", 8)
        if ring is not None and _under(ring, x + dx, line, math.copysign(SIGN * len(label), dx)):
            line = ring[1] + RING + LINE - 4
        lines.append((x, line))
        drawn.append(
            f'<g style="--c:{colour(label)}"><circle class="word" cx="{x:.1f}" cy="{y:.1f}" '
            f'r="3.5"/><text class="word" x="{x + dx:.1f}" y="{line:.1f}" '
            f'text-anchor="{anchor}">{escape(label)}</text></g>'
        )
    return drawn


def _under(ring: tuple[float, float], x: float, line: float, width: float) -> bool:
    """Return whether a word from x to x + width, on a line, would lie under the ring."""
    left, right = sorted((x, x + width))
    beside = ring[0] < left - RING or ring[0] > right + RING
    return not beside and line - LINE + 4 < ring[1] + RING and line + 3 > ring[1] - RING


def told_place(place: tuple[float, float] | None) -> str:
    """Return what a plane shows, in words."""
    if place is None:
        return "The plane of pleasantness and excitement; nothing is placed in it."
    return (
        f"The plane of pleasantness and excitement, both from 1 to 9: pleasantness {place[0]:.1f}, "
        f"excitement {place[1]:.1f}."
    )


def status(text: str, done: int | None = None, total: int | None = None) -> str:
    """Return a line that says what goes on, with a bar; a screen reader says it by itself."""
    if not text:
        return '<p class="status" role="status"></p>'
    bar = ""
    if total is not None:
        value = f' value="{done}"' if done else ""
        bar = f'<progress max="{total}"{value} aria-label="progress"></progress>'
    return f'<p class="status" role="status">{escape(text)}{bar}</p>'


def notice(sentence: str) -> str:
    """Return what should be known of a result that is there, as one sentence in the page."""
    return f'<p class="notice" role="status">{escape(sentence)}</p>'


def alert(sentence: str) -> str:
    """Return an error as one sentence in the page."""
    return f'<p class="alert" role="alert">{escape(sentence)}</p>'
