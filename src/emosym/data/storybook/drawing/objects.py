"""The twelve key objects, each drawn in its own square: x and y from -1 to 1, y downwards."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emosym.data.storybook.drawing.pen import Colour, Pen, Point, blend, bow, ring

HALF = 0.12  # half the side of an object's square, in units of the picture


@dataclass(frozen=True)
class Stamp:
    """Draws shapes of a small square around (cx, cy) with half side `half`."""

    pen: Pen
    cx: float
    cy: float
    half: float

    def at(self, points: Sequence[Point]) -> list[Point]:
        """Return picture points of square points."""
        return [(self.cx + x * self.half, self.cy + y * self.half) for x, y in points]

    def poly(self, points: Sequence[Point], fill: Colour) -> None:
        """Fill a polygon."""
        self.pen.poly(self.at(points), fill)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        """Fill an ellipse."""
        h = self.half
        self.pen.oval(self.cx + x * h, self.cy + y * h, rx * h, ry * h, fill)

    def line(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        """Draw a round line."""
        self.pen.line(self.at(points), width * self.half, fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, r: float, fill: Colour) -> None:
        """Fill a rectangle with round corners of radius r."""
        (ax, ay), (bx, by) = self.at([(x0, y0), (x1, y1)])
        self.pen.round_box(ax, ay, bx, by, r * self.half, fill)


DARK = (46, 32, 54)
CREAM = (255, 246, 224)


def _balloon(s: Stamp, c: Colour) -> None:
    s.line([(0, 0.5), (0.1, 0.75), (-0.05, 1.0)], 0.12, (120, 90, 90))
    s.poly([(-0.2, 0.66), (0.2, 0.66), (0, 0.4)], blend(c, DARK, 0.25))
    s.oval(0, -0.2, 0.72, 0.8, c)
    s.oval(-0.25, -0.45, 0.2, 0.26, blend(c, (255, 255, 255), 0.65))


def _kite(s: Stamp, c: Colour) -> None:
    tail = [(0.0, 0.45), (0.18, 0.66), (-0.04, 0.8), (0.14, 1.0)]
    s.line(tail, 0.13, (250, 214, 90))
    s.poly([(0, -1), (0.78, -0.25), (0, 0.62), (-0.78, -0.25)], c)
    light = blend(c, (255, 255, 255), 0.6)
    s.poly([(0, -1), (0.78, -0.25), (0, -0.25)], light)
    s.poly([(0, 0.62), (-0.78, -0.25), (0, -0.25)], light)


def _cake(s: Stamp, c: Colour) -> None:
    s.oval(0, 0.78, 1.0, 0.2, (230, 232, 240))
    s.box(-0.8, -0.05, 0.8, 0.8, 0.14, (226, 168, 104))
    s.box(-0.8, 0.34, 0.8, 0.5, 0.0, CREAM)
    s.box(-0.84, -0.22, 0.84, 0.14, 0.14, c)
    for x in (-0.56, 0.0, 0.56):
        s.oval(x, 0.14, 0.2, 0.17, c)
    s.box(-0.1, -0.66, 0.1, -0.2, 0.04, (110, 180, 236))
    s.oval(0, -0.82, 0.14, 0.2, (255, 208, 70))


def _ball(s: Stamp, c: Colour) -> None:
    s.oval(0, 0.1, 0.86, 0.86, CREAM)
    for start in (-120, 0, 120):
        s.pen.pie(s.cx, s.cy + 0.1 * s.half, 0.86 * s.half, start, start + 60, c)
    s.oval(0, 0.1, 0.2, 0.2, (255, 206, 84))
    s.oval(-0.34, -0.3, 0.16, 0.12, (255, 255, 255))


def _star(s: Stamp, c: Colour) -> None:
    for k, y in enumerate((0.05, 0.4, 0.72)):
        s.poly([(0.0, -0.35 + 0.25 * k), (1.0, y - 0.1), (1.0, y + 0.12)], blend(c, CREAM, 0.4))
    outer = ring(-0.2, -0.12, 0.82, 0.82, 5)
    inner = ring(-0.2, -0.12, 0.38, 0.38, 5, math.pi / 5)
    s.poly([p for pair in zip(outer, inner, strict=True) for p in pair], c)
    s.oval(-0.28, -0.22, 0.2, 0.18, blend(c, (255, 255, 255), 0.7))


def _butterfly(s: Stamp, c: Colour) -> None:
    light = blend(c, (255, 255, 255), 0.5)
    for side in (-1, 1):
        s.line([(0, -0.4), (side * 0.3, -0.9)], 0.1, DARK)
        s.oval(side * 0.52, -0.32, 0.46, 0.5, c)
        s.oval(side * 0.42, 0.44, 0.36, 0.4, c)
        s.oval(side * 0.56, -0.34, 0.22, 0.26, light)
        s.oval(side * 0.44, 0.46, 0.16, 0.18, light)
    s.oval(0, 0.02, 0.14, 0.62, DARK)


def _flower(s: Stamp, c: Colour) -> None:
    s.line([(0, 0.0), (0.04, 1.0)], 0.16, (70, 140, 70))
    s.poly([(0.02, 0.85), (0.5, 0.4), (0.62, 0.72)], (90, 170, 80))
    s.poly([(0.02, 0.95), (-0.5, 0.5), (-0.6, 0.82)], (90, 170, 80))
    for x, y in ring(0, -0.32, 0.42, 0.42, 5):
        s.oval(x, y, 0.33, 0.33, c)
    s.oval(0, -0.32, 0.27, 0.27, (255, 216, 90))


def _lantern(s: Stamp, c: Colour) -> None:
    frame = (96, 66, 62)
    s.line(bow(-0.4, 0.4, -0.55, -0.42), 0.13, frame)
    s.box(-0.52, -0.45, 0.52, 0.8, 0.12, frame)
    s.box(-0.36, -0.28, 0.36, 0.62, 0.06, blend((255, 214, 96), c, 0.2))
    s.oval(0, 0.24, 0.2, 0.32, (255, 250, 210))
    s.poly([(-0.66, -0.36), (0, -0.8), (0.66, -0.36)], frame)
    s.box(-0.66, 0.72, 0.66, 0.98, 0.08, frame)


def _bat(s: Stamp, c: Colour) -> None:
    wing = [(0.0, -0.2), (0.28, -0.5), (0.62, -0.78), (1.0, -0.46), (0.98, 0.42), (0.74, 0.14),
            (0.52, 0.56), (0.3, 0.26), (0.1, 0.66)]  # fmt: skip
    s.poly(wing, c)
    s.poly([(-x, y) for x, y in wing], c)
    body = blend(c, DARK, 0.5)
    s.oval(0, 0.18, 0.26, 0.52, body)
    s.oval(0, -0.26, 0.34, 0.32, body)
    for side in (-1, 1):
        s.poly([(side * 0.04, -0.44), (side * 0.3, -0.92), (side * 0.34, -0.3)], body)
        s.oval(side * 0.15, -0.27, 0.11, 0.11, (255, 232, 110))


def _spider(s: Stamp, c: Colour) -> None:
    s.line([(0, -1.3), (0, -0.2)], 0.1, (240, 240, 244))
    for side in (-1, 1):
        for y, knee, foot in ((0.0, -0.6, -0.16), (0.16, -0.1, 0.3), (0.36, 0.4, 0.94)):
            s.line([(0, y), (side * 0.62, knee), (side * 0.94, foot)], 0.15, c)
    s.oval(0, 0.3, 0.52, 0.56, c)
    s.oval(0, 0.36, 0.3, 0.34, (236, 78, 60))
    s.oval(0, -0.28, 0.32, 0.28, c)
    for side in (-1, 1):
        s.oval(side * 0.13, -0.3, 0.1, 0.1, (255, 255, 255))


def _skull(s: Stamp, c: Colour) -> None:
    bone = blend((244, 238, 220), c, 0.06)
    s.box(-0.42, 0.2, 0.42, 0.94, 0.14, bone)
    s.oval(0, -0.14, 0.82, 0.74, bone)
    for side in (-1, 1):
        s.oval(side * 0.36, -0.06, 0.24, 0.27, DARK)
    s.poly([(0, 0.18), (-0.14, 0.42), (0.14, 0.42)], DARK)
    for x in (-0.2, 0.0, 0.2):
        s.line([(x, 0.64), (x, 0.92)], 0.09, DARK)


def _bin(s: Stamp, c: Colour) -> None:
    s.poly([(-0.62, -0.3), (0.62, -0.3), (0.46, 1.0), (-0.46, 1.0)], c)
    for x in (-0.28, 0.0, 0.28):
        s.line([(x * 1.15, -0.1), (x * 0.9, 0.85)], 0.1, blend(c, DARK, 0.4))
    s.oval(-0.3, -0.44, 0.3, 0.26, (126, 158, 70))
    s.poly([(0.0, -0.3), (0.16, -0.9), (0.34, -0.84), (0.42, -0.3)], CREAM)
    s.box(-0.74, -0.38, 0.74, -0.16, 0.08, blend(c, (255, 255, 255), 0.3))
    s.oval(-0.66, -0.84, 0.12, 0.12, DARK)
    s.oval(0.74, -0.66, 0.12, 0.12, DARK)


ObjectPainter = Callable[[Stamp, Colour], None]
OBJECT_PAINTERS: dict[str, tuple[ObjectPainter, tuple[Colour, Colour, Colour]]] = {
    "balloon": (_balloon, ((232, 62, 74), (62, 140, 226), (244, 158, 46))),
    "kite": (_kite, ((226, 72, 120), (64, 168, 190), (124, 92, 204))),
    "cake": (_cake, ((250, 150, 178), (140, 86, 62), (168, 214, 236))),
    "ball": (_ball, ((226, 64, 66), (54, 120, 204), (66, 164, 100))),
    "star": (_star, ((255, 218, 76), (255, 202, 90), (255, 232, 120))),
    "butterfly": (_butterfly, ((250, 142, 48), (86, 132, 226), (214, 92, 190))),
    "flower": (_flower, ((240, 92, 130), (250, 248, 250), (160, 108, 214))),
    "lantern": (_lantern, ((255, 190, 80), (255, 160, 90), (255, 220, 120))),
    "bat": (_bat, ((138, 96, 182), (118, 104, 176), (160, 92, 160))),
    "spider": (_spider, ((70, 54, 66), (86, 58, 50), (60, 62, 76))),
    "skull": (_skull, ((244, 238, 220), (214, 220, 200), (236, 214, 180))),
    "rubbish bin": (_bin, ((122, 138, 150), (104, 130, 112), (146, 128, 120))),
}


def draw_object(pen: Pen, name: str, colour: int, cx: float, cy: float) -> None:
    """Draw one object in its square around (cx, cy)."""
    paint, colours = OBJECT_PAINTERS[name]
    paint(Stamp(pen, cx, cy, HALF * 0.96), colours[colour])
