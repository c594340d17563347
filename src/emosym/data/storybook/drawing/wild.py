"""The wild scenes: swamp, cave, graveyard."""

from __future__ import annotations

import numpy as np

from emosym.data.storybook.drawing.pen import Colour, Pen, bow
from emosym.data.storybook.drawing.scenes import (
    NewPen,
    ScenePainter,
    ground,
    paint_beach,
    paint_city,
    paint_fairground,
    paint_lake,
    paint_meadow,
    paint_village,
)


def bare_tree(pen: Pen, x: float, base: float, height: float, side: int, fill: Colour) -> None:
    """Draw a leafless tree that reaches to one side (-1 or 1)."""
    top = base - height
    pen.poly(
        [(x - 0.05, base), (x - 0.022, base - height * 0.5), (x - 0.008, top),
         (x + 0.012, top), (x + 0.03, base - height * 0.5), (x + 0.06, base)], fill,
    )  # fmt: skip
    for share, reach, rise in ((0.5, 0.2, 0.16), (0.68, -0.13, 0.13), (0.82, 0.15, 0.14)):
        y = base - height * share
        knee = (x + side * reach * 0.6, y - rise * 0.3)
        tip = (x + side * reach, y - rise)
        pen.line([(x, y), knee, tip], 0.024, fill)
        pen.line([knee, (knee[0] + side * reach * 0.5, knee[1] - rise * 0.1)], 0.015, fill)


def paint_swamp(new: NewPen, rng: np.random.Generator) -> None:
    """Dark wood, green water with lily pads, crooked trees, reeds."""
    lean = float(rng.uniform(-0.04, 0.04))
    far = new(0, "plain")
    for i, top in enumerate((0.34, 0.42, 0.3, 0.4, 0.36, 0.44, 0.33)):
        far.oval(0.02 + 0.16 * i + lean, top + 0.12, 0.12, 0.15, (82, 112, 86))
    far.box(-0.1, 0.5, 1.1, 0.8, (74, 102, 80))
    water = new(1, "water")
    water.box(-0.1, 0.64, 1.1, 1.1, (112, 140, 44))
    for y, x0, x1 in ((0.685, 0.08, 0.42), (0.74, 0.5, 0.9), (0.79, 0.2, 0.5)):
        water.round_box(x0 + lean, y, x1 + lean, y + 0.018, 0.009, (164, 190, 70))
    mid = new(1, "plain")
    bare_tree(mid, 0.9 + lean, 0.8, 0.5, -1, (66, 56, 50))
    bare_tree(mid, 0.1 + lean, 0.76, 0.36, 1, (78, 68, 58))
    near = new(2, "plain")
    ground(near, 0.82, 0.03, (76, 88, 50))
    for i, x in enumerate((0.02, 0.07, 0.12, 0.9, 0.95, 1.0)):
        near.line([(x, 0.9), (x + 0.01, 0.68 + 0.04 * (i % 2))], 0.012, (94, 116, 56))
        near.oval(x + 0.01, 0.68 + 0.04 * (i % 2), 0.015, 0.04, (112, 74, 46))


def paint_cave(new: NewPen, rng: np.random.Generator) -> None:
    """A vault of rock with stone teeth around an opening, the light outside, a crystal."""
    lean = float(rng.uniform(-0.04, 0.04))
    far = new(0, "plain")
    far.poly([(-0.1, 0.7), (0.28, 0.52), (0.5, 0.64), (0.74, 0.5), (1.1, 0.7), (1.1, 1.1),
              (-0.1, 1.1)], (104, 128, 150))  # fmt: skip
    rocks: tuple[tuple[int, float, Colour], ...] = (
        (1, 0.0, (150, 116, 104)), (2, 0.1, (104, 76, 84)),
    )  # fmt: skip
    for depth, inset, fill in rocks:
        pen = new(depth, "plain")
        left, right = 0.19 - inset + lean, 0.81 + inset + lean
        pen.poly([(-0.1, -0.1), *bow(left - 0.1, left - 0.04, 0.95, -0.0, 2), (left + 0.03, 0.7),
                  (left, 0.5), (left + 0.03, 0.32), (left + 0.14, 0.16 - inset), (0.5, -0.1)],
                 fill)  # fmt: skip
        pen.poly([(1.1, -0.1), (right + 0.1, 0.95), (right + 0.02, 0.95), (right - 0.03, 0.7),
                  (right, 0.5), (right - 0.03, 0.32), (right - 0.14, 0.16 - inset), (0.5, -0.1)],
                 fill)  # fmt: skip
        pen.box(-0.1, -0.1, 1.1, 0.1 - inset, fill)
        pen.box(-0.1, -0.1, left - 0.03, 1.1, fill)
        pen.box(right + 0.03, -0.1, 1.1, 1.1, fill)
        for i, length in enumerate((0.16, 0.1, 0.2, 0.12)):
            x = 0.27 + 0.155 * i + lean - inset * 0.5
            pen.poly([(x - 0.075, 0.08 - inset), (x, 0.1 - inset + length),
                      (x + 0.075, 0.08 - inset)], fill)  # fmt: skip
        pen.poly([*bow(-0.1, 1.1, 0.7 + inset, 0.04), (1.1, 1.1), (-0.1, 1.1)], fill)
    near = new(2, "plain")
    near.poly([*bow(-0.1, 1.1, 0.84, 0.0), (1.1, 1.1), (-0.1, 1.1)], (130, 98, 98))
    for x, height in ((0.05, 0.2), (0.95, 0.24)):
        near.poly([(x - 0.07, 0.84), (x, 0.84 - height), (x + 0.07, 0.84)], (122, 90, 96))


def paint_graveyard(new: NewPen, rng: np.random.Generator) -> None:
    """Stones and crosses on a hill, a bare tree, an iron fence."""
    lean = float(rng.uniform(-0.04, 0.04))
    far = new(0, "plain")
    far.oval(0.5 + lean, 1.0, 0.85, 0.46, (112, 130, 116))
    for i in range(11):
        x = 0.0 + 0.1 * i + lean
        far.line([(x, 0.68), (x, 0.5)], 0.012, (66, 70, 84))
    far.line([(-0.1, 0.55), (1.1, 0.55)], 0.012, (66, 70, 84))
    mid = new(1, "plain")
    bare_tree(mid, 0.93 + lean, 0.82, 0.56, -1, (70, 60, 66))
    for x, top, half in ((0.1, 0.56, 0.075), (0.6, 0.6, 0.07)):
        x += lean
        mid.round_box(x - half, top, x + half, 0.95, half, (152, 158, 170))
        mid.round_box(x - half + 0.02, top + 0.02, x + half, 0.95, half, (176, 182, 190))
        mid.box(x - half * 0.4, top + 0.08, x + half * 0.5, top + 0.1, (120, 126, 140))
    x = 0.36 + lean
    mid.box(x - 0.025, 0.5, x + 0.025, 0.9, (164, 168, 178))
    mid.box(x - 0.085, 0.57, x + 0.085, 0.615, (164, 168, 178))
    near = new(2, "plain")
    ground(near, 0.79, -0.03, (102, 120, 88))
    ground(near, 0.88, -0.02, (86, 104, 78))


SCENE_PAINTERS: dict[str, ScenePainter] = {
    "mountain lake": paint_lake,
    "sea beach": paint_beach,
    "flower meadow": paint_meadow,
    "fairground": paint_fairground,
    "city street": paint_city,
    "village": paint_village,
    "swamp": paint_swamp,
    "cave": paint_cave,
    "graveyard": paint_graveyard,
}
