"""A pen in picture units: every shape is given in 0..1 and drawn at three times the final size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

OVERSAMPLING = 3
Colour = tuple[int, int, int]
Point = tuple[float, float]


def blend(first: Colour, second: Colour, amount: float) -> Colour:
    """Return the colour `amount` (0..1) of the way from first to second."""
    mixed = [round(a + (b - a) * amount) for a, b in zip(first, second, strict=True)]
    return mixed[0], mixed[1], mixed[2]


def bow(x0: float, x1: float, y: float, sag: float, steps: int = 12) -> list[Point]:
    """Return points of a parabola from (x0, y) to (x1, y) whose middle lies `sag` lower."""
    return [
        (x0 + (x1 - x0) * t, y + sag * 4 * t * (1 - t))
        for t in (i / steps for i in range(steps + 1))
    ]


def ring(cx: float, cy: float, rx: float, ry: float, count: int, turn: float = 0) -> list[Point]:
    """Return `count` points round an ellipse, the first one `turn` radians from the top."""
    return [
        (cx + rx * math.sin(turn + 2 * math.pi * i / count),
         cy - ry * math.cos(turn + 2 * math.pi * i / count))
        for i in range(count)
    ]  # fmt: skip


@dataclass(frozen=True)
class Pen:
    """A drawing surface with transparent ground; (ox, oy) is the picture point at its corner."""

    image: Image.Image
    draw: ImageDraw.ImageDraw
    scale: float
    ox: float = 0.0
    oy: float = 0.0

    def _xy(self, points: Sequence[Point]) -> list[Point]:
        return [((x - self.ox) * self.scale, (y - self.oy) * self.scale) for x, y in points]

    def poly(self, points: Sequence[Point], fill: Colour) -> None:
        """Fill a polygon."""
        self.draw.polygon(self._xy(points), fill=fill)

    def oval(self, cx: float, cy: float, rx: float, ry: float, fill: Colour) -> None:
        """Fill an ellipse."""
        self.draw.ellipse(self._xy([(cx - rx, cy - ry), (cx + rx, cy + ry)]), fill=fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        """Fill a rectangle."""
        self.draw.rectangle(self._xy([(x0, y0), (x1, y1)]), fill=fill)

    def round_box(
        self, x0: float, y0: float, x1: float, y1: float, radius: float, fill: Colour
    ) -> None:
        """Fill a rectangle with round corners."""
        self.draw.rounded_rectangle(
            self._xy([(x0, y0), (x1, y1)]), radius=radius * self.scale, fill=fill
        )

    def pie(self, cx: float, cy: float, r: float, start: float, end: float, fill: Colour) -> None:
        """Fill a slice of a disc; degrees clockwise from the right."""
        self.draw.pieslice(self._xy([(cx - r, cy - r), (cx + r, cy + r)]), start, end, fill=fill)

    def line(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        """Draw a line with round joints and ends."""
        thick = max(1, round(width * self.scale))
        flat = self._xy(points)
        self.draw.line(flat, fill=fill, width=thick, joint="curve")
        half = thick / 2
        for x, y in (flat[0], flat[-1]):
            self.draw.ellipse([x - half, y - half, x + half, y + half], fill=fill)


Painter = Callable[[Pen, np.random.Generator], None]


def new_pen(
    size: int, x0: float = 0.0, y0: float = 0.0, width: float = 1.0, height: float = 1.0
) -> Pen:
    """Return a transparent pen over a window of a picture of `size` pixels, three times as fine."""
    fine = size * OVERSAMPLING
    pixels = (
        max(1, round(width * size)) * OVERSAMPLING,
        max(1, round(height * size)) * OVERSAMPLING,
    )
    image = Image.new("RGBA", pixels)
    return Pen(image, ImageDraw.Draw(image), fine, x0, y0)


def reduced(image: Image.Image) -> np.ndarray:
    """Return an RGBA picture reduced three times, (H, W, 4) float32 in 0..1, not premultiplied."""
    return np.asarray(image.reduce(OVERSAMPLING), np.float32) / 255.0


def lay(picture: np.ndarray, colour: np.ndarray, alpha: np.ndarray, x: int, y: int) -> None:
    """Blend a sprite into a picture with its corner at pixel (x, y), clipped to the picture."""
    height, width = picture.shape[:2]
    x0, y0 = max(0, x), max(0, y)
    x1, y1 = min(width, x + alpha.shape[1]), min(height, y + alpha.shape[0])
    part = alpha[y0 - y : y1 - y, x0 - x : x1 - x]
    paint = colour[y0 - y : y1 - y, x0 - x : x1 - x]
    picture[y0:y1, x0:x1] += (paint - picture[y0:y1, x0:x1]) * part
