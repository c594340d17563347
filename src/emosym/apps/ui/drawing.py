"""Bars, cards and the valence/arousal plane as HTML and SVG, in the colours of the page."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from emosym.emotions import VAD_MAX, VAD_MIN, LabelSpace
from emosym.evaluation.report.palette import colour

SIDE = 320.0  # of the plane's square, in units of its viewBox
LEFT, TOP = 14.0, 14.0
HEIGHT = SIDE + 2 * TOP
WIDTH = SIDE + 2 * LEFT
LINE = 16.0  # the height of a line
SIGN, WIDE, THIN = 8.3, 13.2, 5.4  # the widths of most letters, of m and w, and of f, i, j, l, t
GAP, UNDER = 8.0, 3.0  # between a dot and its word; what of a letter is below the line
DOT, RING = 4.5, 14.0  # how far a dot and the mark of a place reach
Box = tuple[float, float, float, float]  # left, top, right, bottom
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


def alike(cosine: float) -> str:
    """Return in words how alike two things are whose latents have this cosine, -1 to 1."""
    return f"{100 * max(cosine, 0.0):.0f} % alike"


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
    ]
    parts += [_edge(text, *where) for text, where in EDGES.items()]
    if space is not None:
        parts += _words(space, None if place is None else at(*place))
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
    """Return the words of a space beside their places, where they cover as little as may be.

    The ring is what marks the place that a plane shows.
    """
    placed = [
        (at(norm[0], norm[1]), label) for label in space.labels if (norm := space.norm(label))
    ]
    taken = [_around(x, y, DOT) for (x, y), _ in placed]
    taken += [_edge_box(text, *where) for text, where in EDGES.items()]
    if ring is not None:
        taken.append(_around(*ring, RING))
    drawn = []
    for (x, y), label in sorted(placed, key=lambda word: word[0][1]):
        box = min(_beside(x, y, label), key=lambda box: sum(_shared(box, one) for one in taken))
        taken.append(box)
        anchor, edge = ("end", box[2]) if box[2] < x else ("start", box[0])
        drawn.append(
            f'<g style="--c:{colour(label)}"><circle class="word" cx="{x:.1f}" cy="{y:.1f}" '
            f'r="3.5"/><text class="word" x="{edge:.1f}" y="{box[3] - UNDER:.1f}" '
            f'text-anchor="{anchor}">{escape(label)}</text></g>'
        )
    return drawn


def _beside(x: float, y: float, label: str) -> list[Box]:
    """Return where a word may stand beside its dot, the best first; none leaves the field."""
    width = width_of(label)
    right, left, middle = x + GAP, x - GAP - width, x - width / 2
    sides = (left, right) if x > LEFT + 0.6 * SIDE else (right, left)
    rows = [(side, 0.0) for side in sides] + [(middle, LINE), (middle, -LINE)]
    rows += [(side, k * LINE) for k in (1, -1, 2, -2) for side in sides]
    found = [(start, y + row - 7, start + width, y + row + 7) for start, row in rows]
    inside = [box for box in found if box[0] >= LEFT and box[2] <= LEFT + SIDE]
    return inside or found


def width_of(text: str) -> float:
    """Return about how wide a word is drawn, in a system's font that is on the wide side."""
    return sum(WIDE if sign in "mw" else THIN if sign in "fijlt " else SIGN for sign in text)


def _around(x: float, y: float, size: float) -> Box:
    return x - size, y - size, x + size, y + size


def _edge_box(text: str, x: float, y: float, anchor: str) -> Box:
    width = width_of(text)
    left = x - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
    return left, y - 10, left + width, y + 3


def _shared(one: Box, other: Box) -> float:
    """Return how large the part is that two boxes share."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0.0) * max(high, 0.0)


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
