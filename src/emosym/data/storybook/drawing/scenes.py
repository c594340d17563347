"""The wide and the built scenes, each as layers from far to near, in plain daylight colours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emosym.data.storybook.drawing.pen import Colour, Pen, bow, ring

# A scene asks for a pen per layer: new(depth, kind) with depth 0 far, 1 middle, 2 near, and kind
# "plain", "water" (mirrors the sky) or "lamp" (shines by itself in the dark).
NewPen = Callable[[int, str], Pen]
ScenePainter = Callable[[NewPen, np.random.Generator], None]


def ground(pen: Pen, y: float, sag: float, fill: Colour) -> None:
    """Fill everything below a bowed line."""
    pen.poly([*bow(-0.05, 1.05, y, sag), (1.05, 1.05), (-0.05, 1.05)], fill)


def paint_lake(new: NewPen, rng: np.random.Generator) -> None:
    """Snow mountains, a lake, a shore with firs."""
    lean = float(rng.uniform(-0.06, 0.06))
    far = new(0, "plain")
    for x, top, half in ((0.16, 0.3, 0.3), (0.86, 0.27, 0.32), (0.5, 0.17, 0.36)):
        x += lean
        far.poly([(x - half, 0.64), (x, top), (x + half, 0.64)], (104, 124, 162))
        far.poly([(x, top), (x + half, 0.64), (x + 0.1 * half, 0.64)], (80, 98, 140))
        tip = (0.62 - top) * 0.36
        far.poly(
            [(x, top), (x - half * 0.36, top + tip), (x - 0.1 * half, top + tip * 0.8),
             (x, top + tip * 1.15), (x + 0.12 * half, top + tip * 0.8),
             (x + half * 0.36, top + tip)], (244, 248, 255),
        )  # fmt: skip
    mid = new(1, "water")
    mid.box(-0.1, 0.6, 1.1, 1.1, (84, 164, 206))
    for y, x0, x1 in ((0.645, 0.1, 0.5), (0.69, 0.45, 0.95), (0.735, 0.05, 0.4)):
        mid.round_box(x0 + lean, y, x1 + lean, y + 0.016, 0.008, (150, 210, 234))
    near = new(2, "plain")
    for x, y, s in ((0.03, 0.8, 1.0), (0.97, 0.8, 1.0)):
        _fir(near, x, y, 0.3 * s)
    ground(near, 0.8, -0.03, (96, 154, 84))


def _fir(pen: Pen, x: float, base: float, height: float) -> None:
    pen.box(x - 0.012, base - 0.05, x + 0.012, base + 0.05, (92, 62, 46))
    for k in range(3):
        top = base - height + k * height * 0.24
        half = 0.05 + 0.022 * k
        pen.poly(
            [(x - half, top + height * 0.42), (x, top), (x + half, top + height * 0.42)],
            (44, 112, 82) if k % 2 else (54, 128, 90),
        )


def paint_beach(new: NewPen, rng: np.random.Generator) -> None:
    """The sea with waves, sand, a palm tree at one side."""
    lean = float(rng.uniform(-0.05, 0.05))
    far = new(0, "water")
    far.box(-0.1, 0.52, 1.1, 1.1, (34, 126, 190))
    mid = new(1, "water")
    mid.box(-0.1, 0.6, 1.1, 1.1, (44, 160, 204))
    for y, fill in ((0.66, (92, 200, 222)), (0.725, (150, 226, 232))):
        points = [(-0.1, y)]
        for i in range(6):
            points += bow(-0.1 + 0.22 * i + lean, 0.12 + 0.22 * i + lean, y, -0.03, 6)
        mid.poly([*points, (1.2, 1.1), (-0.1, 1.1)], fill)
    near = new(2, "plain")
    ground(near, 0.77, -0.03, (252, 246, 226))
    ground(near, 0.79, -0.03, (240, 210, 148))
    x = 0.06
    trunk = [(x - 0.02, 0.86), (x, 0.7), (x + 0.03, 0.54), (x + 0.08, 0.42)]
    near.line(trunk, 0.045, (150, 104, 66))
    for dx, dy in ((0.2, 0.1), (0.22, -0.03), (0.1, -0.13), (-0.08, -0.1), (-0.14, 0.04)):
        tx, ty = x + 0.08, 0.42
        near.poly(
            [(tx, ty), (tx + dx * 0.5, ty + dy * 0.5 - 0.06), (tx + dx, ty + dy + 0.02),
             (tx + dx * 0.5, ty + dy * 0.5 + 0.015)],
            (58, 148, 84),
        )  # fmt: skip


def paint_meadow(new: NewPen, rng: np.random.Generator) -> None:
    """Rolling hills, a round tree, flowers."""
    lean = float(rng.uniform(-0.06, 0.06))
    far = new(0, "plain")
    far.oval(0.2 + lean, 0.86, 0.55, 0.38, (118, 180, 128))
    far.oval(0.92 + lean, 0.88, 0.5, 0.36, (132, 192, 126))
    mid = new(1, "plain")
    mid.oval(0.82 + lean, 1.02, 0.75, 0.42, (128, 196, 92))
    x, y = 0.9 + lean * 0.5, 0.5
    mid.box(x - 0.02, y, x + 0.02, y + 0.17, (122, 84, 56))
    for dx, dy, r in ((-0.07, 0.0, 0.09), (0.07, 0.0, 0.09), (0.0, -0.07, 0.11)):
        mid.oval(x + dx, y + dy, r, r, (70, 146, 74))
    mid.oval(x - 0.03, y - 0.09, 0.06, 0.05, (104, 178, 92))
    near = new(2, "plain")
    ground(near, 0.79, -0.05, (100, 178, 78))
    for i in range(9):
        fx = 0.06 + 0.11 * i
        fy = 0.84 + 0.05 * (i % 3)
        petal = ((250, 120, 150), (252, 220, 90), (250, 250, 250))[i % 3]
        for px, py in ring(fx, fy, 0.014, 0.014, 4):
            near.oval(px, py, 0.011, 0.011, petal)
        near.oval(fx, fy, 0.009, 0.009, (240, 170, 60))


def paint_fairground(new: NewPen, rng: np.random.Generator) -> None:
    """A big wheel, striped tents, a string of flags."""
    lean = float(rng.uniform(-0.04, 0.04))
    far, lamps = new(0, "plain"), new(0, "lamp")
    x, y, r = 0.7 + lean, 0.4, 0.27
    far.line([(x, y), (x - 0.15, 0.8)], 0.03, (120, 90, 150))
    far.line([(x, y), (x + 0.15, 0.8)], 0.03, (120, 90, 150))
    rim = ring(x, y, r, r, 24)
    far.line([*rim, rim[0]], 0.026, (150, 100, 170))
    cabins = ((236, 92, 92), (250, 196, 80), (92, 180, 220), (120, 200, 120))
    for i, (px, py) in enumerate(ring(x, y, r, r, 8, 0.2)):
        far.line([(x, y), (px, py)], 0.012, (170, 126, 186))
        lamps.oval(px, py, 0.042, 0.042, cabins[i % 4])
    lamps.oval(x, y, 0.04, 0.04, (250, 214, 110))
    mid = new(1, "plain")
    _tent(mid, 0.2 + lean, 0.44, 0.24, ((226, 70, 80), (255, 240, 220)))
    _tent(mid, 0.98 + lean, 0.52, 0.16, ((70, 130, 200), (255, 240, 220)))
    near = new(2, "plain")
    ground(near, 0.79, -0.03, (222, 184, 124))
    ground(near, 0.86, -0.02, (206, 164, 106))


def _tent(pen: Pen, x: float, top: float, half: float, colours: tuple[Colour, Colour]) -> None:
    count = 6
    for i in range(count):
        x0, x1 = x - half + 2 * half * i / count, x - half + 2 * half * (i + 1) / count
        pen.poly([(x, top), (x0, top + half * 0.75), (x1, top + half * 0.75)], colours[i % 2])
        inner0, inner1 = x + (x0 - x) * 0.88, x + (x1 - x) * 0.88
        pen.poly(
            [(inner0, top + half * 0.75), (inner1, top + half * 0.75), (inner1, 0.84),
             (inner0, 0.84)], colours[(i + 1) % 2],
        )  # fmt: skip
        pen.pie((x0 + x1) / 2, top + half * 0.75, half / count, 0, 180, colours[i % 2])
    pen.poly([(x, top), (x, top - 0.09), (x + 0.09, top - 0.055), (x, top - 0.03)],
             (252, 206, 84))  # fmt: skip


def paint_city(new: NewPen, rng: np.random.Generator) -> None:
    """Tall blocks with rows of windows and a street."""
    lean = float(rng.uniform(-0.03, 0.03))
    far = new(0, "plain")
    for i, top in enumerate((0.36, 0.22, 0.3, 0.18, 0.34, 0.24)):
        x0 = -0.04 + 0.18 * i + lean
        far.box(x0, top, x0 + 0.15, 0.84, (136, 146, 172))
    mid, lamps = new(1, "plain"), new(1, "lamp")
    walls = ((112, 104, 134), (150, 98, 92), (92, 112, 142))
    for k, (x0, x1, top) in enumerate(
        ((-0.08, 0.2, 0.28), (0.23, 0.44, 0.46), (0.8, 1.08, 0.3), (0.58, 0.77, 0.44))
    ):
        x0, x1 = x0 + lean, x1 + lean
        mid.box(x0, top, x1, 0.86, walls[k % 3])
        mid.box(x0 - 0.01, top, x1 + 0.01, top + 0.025, (70, 66, 90))
        columns = 3 if x1 - x0 > 0.22 else 2
        step = (x1 - x0) / columns
        for i in range(columns):
            for j in range(round((0.74 - top) / 0.12)):
                wx, wy = x0 + step * (i + 0.5), top + 0.06 + 0.12 * j
                lamps.box(wx - 0.027, wy, wx + 0.027, wy + 0.065, (255, 226, 140))
    near = new(2, "plain")
    near.box(-0.1, 0.78, 1.1, 0.84, (186, 184, 192))
    near.box(-0.1, 0.83, 1.1, 1.1, (96, 98, 116))
    for i in range(4):
        near.box(0.04 + 0.28 * i, 0.93, 0.18 + 0.28 * i, 0.955, (236, 226, 190))


def paint_village(new: NewPen, rng: np.random.Generator) -> None:
    """Small houses with red gables, a church tower, a path."""
    lean = float(rng.uniform(-0.03, 0.03))
    far = new(0, "plain")
    far.oval(0.5 + lean, 0.9, 0.8, 0.34, (126, 176, 120))
    far.box(0.55 + lean, 0.34, 0.65 + lean, 0.7, (226, 214, 196))
    far.poly([(0.53 + lean, 0.35), (0.6 + lean, 0.14), (0.67 + lean, 0.35)], (118, 84, 110))
    far.oval(0.6 + lean, 0.42, 0.025, 0.03, (90, 76, 96))
    mid, lamps = new(1, "plain"), new(1, "lamp")
    homes = ((0.12, 0.6, 0.15, (246, 226, 190)), (0.38, 0.64, 0.12, (236, 204, 180)),
             (0.86, 0.58, 0.16, (250, 236, 210)))  # fmt: skip
    for x, eave, half, wall in homes:
        x += lean
        mid.box(x - half * 0.85, eave, x + half * 0.85, 0.86, wall)
        mid.box(x + half * 0.3, eave - half * 0.95, x + half * 0.52, eave, (150, 86, 76))
        mid.poly([(x - half * 1.15, eave), (x, eave - half * 1.1), (x + half * 1.15, eave)],
                 (202, 78, 62))  # fmt: skip
        mid.poly([(x, eave - half * 1.1), (x + half * 1.15, eave), (x + half * 0.5, eave)],
                 (176, 60, 54))  # fmt: skip
        for side in (-1, 1):
            wx = x + side * half * 0.42
            lamps.box(wx - 0.028, eave + 0.04, wx + 0.028, eave + 0.105, (255, 214, 120))
    near = new(2, "plain")
    ground(near, 0.79, -0.03, (124, 178, 92))
    near.poly([(0.44, 0.77), (0.56, 0.77), (0.82, 1.05), (0.18, 1.05)], (224, 200, 154))
