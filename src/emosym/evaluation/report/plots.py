"""The report's figures as inline SVG: they follow the page's light or dark colours and stay sharp.

Every function takes plain numbers and returns one `<svg>` string; all text in it is escaped.
Colours are CSS variables of the page (`--ink`, `--line`, `--accent`, `--e-<emotion>`), which also
holds `HATCH` once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

HALF = math.sqrt(2 * math.log(2))  # radius, in standard deviations, around half of a 2-D Gaussian
# Once a page: an id must not occur twice when several runs stand in one report.
HATCH = (
    '<svg style="position:absolute;width:0;height:0" aria-hidden="true"><defs><pattern id="hatch" '
    'width="6" height="6" patternTransform="rotate(45)" patternUnits="userSpaceOnUse">'
    '<rect width="6" height="6" fill="var(--card)" fill-opacity=".55"/>'
    '<rect width="2.5" height="6" fill="var(--card)"/></pattern></defs></svg>'
)


def svg(width: float, height: float, title: str, parts: Sequence[str], cls: str = "") -> str:
    """Return an <svg> of this size whose title screen readers say."""
    return (
        f'<svg class="{cls}" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def label_at(x: float, y: float, text: str, cls: str = "", anchor: str = "start") -> str:
    """Return text at a place; `anchor` is start, middle or end."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{cls}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def colour(emotion: str) -> str:
    """Return the CSS colour of an emotion, grey for one the page does not know."""
    plain = "".join(c for c in emotion.lower() if c.isalnum() or c == "-")
    return f"var(--e-{plain}, var(--muted))"


def confusion_svg(labels: Sequence[str], counts: Sequence[Sequence[float]]) -> str:
    """Draw counts (C, C), row = truth, column = reading; each row in percent of its sum."""
    cell, left, top = 42.0, 84.0, 74.0
    parts: list[str] = []
    for column, label in enumerate(labels):
        x = left + (column + 0.5) * cell + 3
        parts.append(
            f'<text class="axis" transform="translate({x:.1f} {top - 7:.1f}) rotate(-45)">'
            f"{escape(label)}</text>"
        )
    for row, label in enumerate(labels):
        y = top + row * cell
        parts.append(label_at(left - 8, y + cell / 2 + 4, label, "axis", "end"))
        total = sum(counts[row])
        for column, count in enumerate(counts[row]):
            share = count / total if total else 0.0
            x = left + column * cell
            base = "good" if row == column else "bad"
            opacity = 0.06 + 0.94 * share**0.6 if count else 0.04
            parts.append(
                f'<rect x="{x + 1:g}" y="{y + 1:g}" width="{cell - 2:g}" height="{cell - 2:g}" '
                f'rx="5" fill="var(--{base})" fill-opacity="{opacity:.3f}"><title>'
                f"{escape(label)} read as {escape(labels[column])}: {count:g}</title></rect>"
            )
            if count:
                value = f"{100 * share:.0f}" if share >= 0.005 else "·"
                shade = "cell on" if opacity > 0.55 else "cell"
                parts.append(label_at(x + cell / 2, y + cell / 2 + 4, value, shade, "middle"))
    side = len(labels) * cell
    return svg(left + side + 34, top + side + 4, "Confusion matrix in percent", parts)


def reliability_svg(
    counts: Sequence[float],
    confidence: Sequence[float | None],
    accuracy: Sequence[float | None],
    title: str = "Reliability diagram",
) -> str:
    """Draw stated confidence against what came true, with how many readings each bar holds."""
    left, top, side, rise, low = 52.0, 10.0, 392.0, 292.0, 44.0
    bars = len(counts)
    width = side / bars
    total = sum(counts) or 1
    most = max(counts) or 1
    parts: list[str] = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = top + rise * (1 - tick)
        parts.append(
            f'<line x1="{left:g}" x2="{left + side:g}" y1="{y:g}" y2="{y:g}" class="grid"/>'
        )
        parts.append(label_at(left - 8, y + 4, f"{100 * tick:.0f} %", "axis", "end"))
    for bar, (count, sure, right) in enumerate(zip(counts, confidence, accuracy, strict=True)):
        x = left + bar * width
        tall = low * count / most
        base = top + rise + 14 + low
        parts.append(
            f'<rect x="{x + 2:.1f}" y="{base - tall:.1f}" width="{width - 4:.1f}" '
            f'height="{tall:.1f}" rx="2" fill="var(--muted)" fill-opacity=".45">'
            f"<title>{count:g} readings, {100 * count / total:.1f} %</title></rect>"
        )
        if right is None or sure is None:
            continue
        y, wanted = top + rise * (1 - right), top + rise * (1 - sure)
        parts.append(
            f'<rect x="{x + 2:.1f}" y="{y:.1f}" width="{width - 4:.1f}" '
            f'height="{top + rise - y:.1f}" rx="3" fill="var(--accent)" fill-opacity=".8">'
            f"<title>said {100 * sure:.1f} %, right {100 * right:.1f} %, {count:g} readings"
            "</title></rect>"
        )
        gap, start = abs(y - wanted), min(y, wanted)
        parts.append(
            f'<rect x="{x + 2:.1f}" y="{start:.1f}" width="{width - 4:.1f}" height="{gap:.1f}" '
            'fill="var(--bad)" fill-opacity=".75"/>'
        )
    parts.append(
        f'<line x1="{left:g}" y1="{top + rise:g}" x2="{left + side:g}" y2="{top:g}" '
        'class="diagonal"/>'
    )
    bottom = top + rise + 14 + low
    for tick in (0.0, 0.5, 1.0):
        anchor = {0.0: "start", 0.5: "middle", 1.0: "end"}[tick]
        parts.append(
            label_at(left + side * tick, bottom + 16, f"{100 * tick:.0f} %", "axis", anchor)
        )
    parts.append(
        label_at(
            left + side / 2,
            bottom + 34,
            "stated confidence, and how many readings state it",
            "axis",
            "middle",
        )
    )
    return svg(left + side + 10, bottom + 42, title, parts)


def space_svg(
    points: Sequence[Sequence[Any]],
    emotions: Sequence[str],
    gaussians: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Draw [x, y, emotion, kind] points: dots are real pictures, rings painted ones.

    Of each of `gaussians` (keys of emotion_space.json) the ellipse that holds half of it is drawn.
    """
    width, height, edge = 560.0, 420.0, 26.0
    xs, ys = _trimmed([p[0] for p in points]), _trimmed([p[1] for p in points])

    def place(x: float, y: float) -> tuple[float, float]:
        across = min(1.0, max(0.0, (x - xs[0]) / (xs[1] - xs[0])))
        up = min(1.0, max(0.0, (y - ys[0]) / (ys[1] - ys[0])))
        return edge + across * (width - 2 * edge), height - edge - up * (height - 2 * edge)

    dots: list[str] = []
    names: list[str] = []
    for kind in ("real", "painted"):
        for x, y, emotion, its_kind in points:
            if its_kind != kind:
                continue
            px, py = place(x, y)
            paint = colour(emotion)
            style = (
                f'fill="{paint}" fill-opacity=".5" r="3"'
                if kind == "real"
                else f'fill="var(--card)" fill-opacity=".75" stroke="{paint}" stroke-width="2" '
                'r="4.5"'
            )
            dots.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" {style}/>')
    across, up = (width - 2 * edge) / (xs[1] - xs[0]), (height - 2 * edge) / (ys[1] - ys[0])
    for found in gaussians:
        px, py = place(*found["mean"])
        dots.append(_ellipse(px, py, found["covariance"], (across, up), str(found["emotion"])))
    taken: list[tuple[float, float]] = []
    for emotion in emotions:
        own = [p for p in points if p[2] == emotion]
        if not own:
            continue
        px, py = place(sum(p[0] for p in own) / len(own), sum(p[1] for p in own) / len(own))
        for _ in emotions:  # step down from names that are there already
            if any(abs(px - x) < 76 and abs(py - y) < 17 for x, y in taken):
                py += 17
        taken.append((px, py))
        px = min(width - 44, max(44, px))
        names.append(
            f'<text x="{px:.1f}" y="{py + 5:.1f}" class="centre" text-anchor="middle" '
            f'style="fill:{colour(emotion)}">{escape(emotion)}</text>'
        )
    return svg(width, height, "Emotion space in two dimensions", [*dots, *names], "map")


def _ellipse(
    x: float,
    y: float,
    covariance: Sequence[Sequence[float]],
    scale: tuple[float, float],
    emotion: str,
) -> str:
    """Return the ellipse at (x, y) that holds half of a Gaussian; `scale` is pixels per unit."""
    a = covariance[0][0] * scale[0] ** 2
    c = covariance[1][1] * scale[1] ** 2
    b = -covariance[0][1] * scale[0] * scale[1]  # the page's y points down
    middle, spread = (a + c) / 2, math.hypot((a - c) / 2, b)
    radii = [HALF * math.sqrt(max(0.0, middle + sign * spread)) for sign in (1, -1)]
    angle = math.degrees(0.5 * math.atan2(2 * b, a - c))
    return (
        f'<ellipse rx="{radii[0]:.1f}" ry="{radii[1]:.1f}" fill="none" stroke="{colour(emotion)}" '
        f'stroke-width="2" transform="translate({x:.1f} {y:.1f}) rotate({angle:.1f})"><title>half '
        f"of what is painted from for {escape(emotion)}</title></ellipse>"
    )


def _trimmed(values: Sequence[float]) -> tuple[float, float]:
    """Return the 1st and 99th percentile: a stray point must not shrink the rest to a blot."""
    ordered = sorted(values)
    low = ordered[math.floor(0.01 * (len(ordered) - 1))]
    high = ordered[math.ceil(0.99 * (len(ordered) - 1))]
    return (low, high) if high > low else (low - 1.0, high + 1.0)
