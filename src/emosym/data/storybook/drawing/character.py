"""The child: nine poses, its faces, and looks that have nothing to do with the emotion."""

from __future__ import annotations

from dataclasses import dataclass

from emosym.data.storybook.drawing.pen import Colour, Pen, Point, blend, bow, ring
from emosym.data.storybook.faces import PARTS, Face

HEAD = 0.168  # radius of the head in units of the picture: 21 pixels across at 64
SKINS: tuple[Colour, ...] = ((255, 224, 194), (246, 200, 156), (214, 156, 112), (176, 118, 82))
HAIRS: tuple[Colour, ...] = ((66, 44, 44), (140, 82, 42), (226, 170, 76), (176, 70, 44))
CLOTHES: tuple[Colour, ...] = (
    (220, 70, 74), (60, 126, 200), (244, 184, 62), (84, 160, 104), (140, 98, 184), (52, 172, 176),
)  # fmt: skip
INK: Colour = (46, 28, 44)
MOUTH: Colour = (112, 20, 38)
TONGUE: Colour = (240, 116, 116)


@dataclass(frozen=True)
class Wardrobe:
    """What a character may look like; a cat's `hairs` are the fur of its ears."""

    skins: tuple[Colour, ...]
    hairs: tuple[Colour, ...]
    clothes: tuple[Colour, ...]
    trousers: Colour
    shoes: Colour
    is_cat: bool = False


CHILD = Wardrobe(SKINS, HAIRS, CLOTHES, (88, 100, 156), (92, 62, 62))
CAT = Wardrobe(
    ((206, 210, 218), (240, 214, 170), (190, 176, 204), (224, 232, 222)),
    ((150, 156, 168), (206, 150, 84), (128, 108, 152), (160, 178, 160)),
    ((250, 250, 250), (236, 214, 120), (168, 216, 210), (226, 170, 190), (180, 190, 230),
     (204, 204, 204)),
    (236, 236, 240), (120, 120, 132), is_cat=True,
)  # fmt: skip


@dataclass(frozen=True)
class Pose:
    """Joints relative to the character's column, for one facing to the right.

    `lift` is how far the feet are above the ground (the shadow shrinks with it).
    """

    head: Point
    torso: tuple[Point, Point]
    arms: tuple[tuple[Point, ...], tuple[Point, ...]]
    legs: tuple[tuple[Point, ...], tuple[Point, ...]]
    lift: float = 0.0
    arms_in_front: bool = False


_STAND = (((-0.04, 0.8), (-0.05, 0.93)), ((0.04, 0.8), (0.05, 0.93)))
_TRUNK = ((0.0, 0.68), (0.0, 0.79))
POSES: dict[str, Pose] = {
    "jumping": Pose(
        (0.0, 0.44), ((0.0, 0.61), (0.0, 0.71)),
        (((-0.06, 0.63), (-0.19, 0.54), (-0.23, 0.34)), ((0.06, 0.63), (0.19, 0.54), (0.23, 0.34))),
        (((-0.04, 0.73), (-0.15, 0.76), (-0.1, 0.86)), ((0.04, 0.73), (0.15, 0.76), (0.1, 0.86))),
        0.08,
    ),
    "running": Pose(
        (0.05, 0.48), ((0.03, 0.66), (-0.03, 0.76)),
        (((-0.02, 0.67), (-0.13, 0.74), (-0.22, 0.67)), ((0.06, 0.68), (0.16, 0.76), (0.23, 0.68))),
        (((-0.03, 0.78), (-0.1, 0.88), (-0.23, 0.87)), ((-0.01, 0.78), (0.12, 0.81), (0.16, 0.93))),
        0.02,
    ),
    "dancing": Pose(
        (-0.02, 0.48), ((-0.01, 0.66), (0.0, 0.77)),
        (((-0.07, 0.68), (-0.17, 0.75), (-0.23, 0.83)), ((0.06, 0.67), (0.19, 0.57), (0.21, 0.36))),
        (((-0.03, 0.79), (-0.04, 0.93)), ((0.03, 0.79), (0.13, 0.83), (0.23, 0.79))),
    ),
    "sitting": Pose(
        (-0.03, 0.56), ((-0.03, 0.75), (-0.04, 0.86)),
        (((-0.09, 0.76), (-0.17, 0.83), (-0.19, 0.92)), ((0.03, 0.77), (0.1, 0.83), (0.13, 0.83))),
        (((-0.03, 0.89), (0.1, 0.9), (0.23, 0.9)), ((-0.03, 0.9), (0.09, 0.92), (0.22, 0.92))),
    ),
    "lying": Pose(
        (-0.09, 0.765), ((0.06, 0.89), (0.12, 0.89)),
        (((0.05, 0.84), (0.12, 0.8), (0.08, 0.76)), ((0.06, 0.9), (0.11, 0.92), (0.16, 0.93))),
        (((0.16, 0.87), (0.2, 0.8), (0.24, 0.9)), ((0.14, 0.91), (0.25, 0.92))),
        arms_in_front=True,
    ),
    "crouching": Pose(
        (0.0, 0.645), ((0.0, 0.83), (0.0, 0.88)),
        (((-0.08, 0.83), (-0.16, 0.87), (-0.04, 0.9)), ((0.08, 0.83), (0.16, 0.87), (0.04, 0.9))),
        (((-0.03, 0.91), (-0.11, 0.85), (-0.12, 0.93)), ((0.03, 0.91), (0.11, 0.85), (0.12, 0.93))),
        arms_in_front=True,
    ),
    "arms crossed": Pose(
        (0.0, 0.49), _TRUNK,
        (((-0.08, 0.69), (-0.115, 0.755), (0.07, 0.725)),
         ((0.08, 0.69), (0.115, 0.755), (-0.07, 0.735))),
        _STAND, arms_in_front=True,
    ),
    "hands on hips": Pose(
        (0.0, 0.49), _TRUNK,
        (((-0.07, 0.68), (-0.2, 0.735), (-0.08, 0.8)), ((0.07, 0.68), (0.2, 0.735), (0.08, 0.8))),
        _STAND,
    ),
    "arms spread": Pose(
        (0.0, 0.49), _TRUNK,
        (((-0.06, 0.69), (-0.15, 0.7), (-0.245, 0.66)), ((0.06, 0.69), (0.15, 0.7), (0.245, 0.66))),
        _STAND,
    ),
}  # fmt: skip


def draw_character(
    pen: Pen,
    action: str,
    face: str,
    looks: tuple[int, int, int, int],
    facing: int,
    cx: float,
    wardrobe: Wardrobe = CHILD,
) -> None:
    """Draw the character with its column at cx; `facing` is -1 or 1."""
    pose = POSES[action]
    skin, hair = wardrobe.skins[looks[0]], wardrobe.hairs[looks[2]]
    clothes = wardrobe.clothes[looks[3]]

    def placed(points: tuple[Point, ...]) -> list[Point]:
        return [(cx + facing * x, y) for x, y in points]

    (hx, hy), *_ = placed((pose.head,))
    if not wardrobe.is_cat:
        _draw_back_hair(pen, looks[1], hair, hx, hy)
    for leg in pose.legs:
        points = placed(leg)
        pen.line(points, 0.062, wardrobe.trousers)
        fx, fy = points[-1]
        pen.oval(fx + 0.012 * facing, fy, 0.044, 0.028, wardrobe.shoes)
    if not pose.arms_in_front:
        _draw_arms(pen, [placed(arm) for arm in pose.arms], skin, clothes)
    trunk = placed(pose.torso)
    pen.line(trunk, 0.165, clothes)
    if pose.arms_in_front:
        _draw_arms(pen, [placed(arm) for arm in pose.arms], skin, clothes)
    if wardrobe.is_cat:
        _draw_cat_head(pen, face, skin, hair, hx, hy)
    else:
        _draw_head(pen, face, looks[1], skin, hair, hx, hy)


def _draw_cat_head(pen: Pen, face: str, skin: Colour, hair: Colour, x: float, y: float) -> None:
    r = HEAD
    for side in (-1, 1):
        ear = [(0.9, -0.1), (0.86, -1.25), (0.24, -0.8)]
        pen.poly([(x + side * dx * r, y + dy * r) for dx, dy in ear], hair)
        inner = [(0.8, -0.3), (0.78, -0.98), (0.42, -0.72)]
        pen.poly([(x + side * dx * r, y + dy * r) for dx, dy in inner], (240, 190, 190))
    pen.oval(x, y + 0.08 * r, 1.06 * r, 0.9 * r, skin)
    for side in (-1, 1):
        for tilt in (-0.08, 0.1):
            start, end = (0.7, 0.42), (1.25, 0.42 + tilt)
            pen.line([(x + side * dx * r, y + dy * r) for dx, dy in (start, end)], 0.05 * r, INK)
    pen.oval(x, y + 0.3 * r, 0.1 * r, 0.07 * r, (220, 120, 130))
    _draw_face(pen, PARTS[face], x, y)


def _draw_arms(pen: Pen, arms: list[list[Point]], skin: Colour, clothes: Colour) -> None:
    for arm in arms:
        pen.line(arm, 0.074, blend(clothes, INK, 0.5))
        pen.line(arm, 0.052, skin)
        (x0, y0), (x1, y1) = arm[0], arm[1]
        pen.line([(x0, y0), ((x0 + x1) / 2, (y0 + y1) / 2)], 0.066, clothes)
        pen.oval(*arm[-1], 0.034, 0.034, skin)


def _draw_back_hair(pen: Pen, style: int, hair: Colour, x: float, y: float) -> None:
    r = HEAD
    dark = blend(hair, INK, 0.25)
    if style == 1:
        pen.round_box(x - 1.02 * r, y - 0.4 * r, x + 1.02 * r, y + 1.0 * r, 0.5 * r, dark)
    elif style == 2:
        pen.oval(x, y - 1.02 * r, 0.4 * r, 0.36 * r, dark)
    elif style == 3:
        for side in (-1, 1):
            pen.oval(x + side * 1.06 * r, y + 0.2 * r, 0.3 * r, 0.42 * r, dark)


def _draw_head(
    pen: Pen, face: str, style: int, skin: Colour, hair: Colour, x: float, y: float
) -> None:
    r = HEAD
    for side in (-1, 1):
        pen.oval(x + side * 0.96 * r, y + 0.12 * r, 0.16 * r, 0.2 * r, blend(skin, INK, 0.12))
    pen.oval(x, y, 0.97 * r, 0.97 * r, hair)
    pen.oval(x, y + 0.1 * r, 0.92 * r, 0.87 * r, skin)
    top = [(x + 0.97 * r * dx, y + 0.97 * r * dy) for dx, dy in _FRINGE]
    pen.poly(top, hair)
    if style == 0:
        for px, py in (
            ring(x, y - 0.1 * r, 0.85 * r, 0.85 * r, 12)[-3:]
            + ring(x, y - 0.1 * r, 0.85 * r, 0.85 * r, 12)[:4]
        ):
            pen.oval(px, py, 0.22 * r, 0.2 * r, hair)
    shine = blend(hair, (255, 255, 255), 0.28)
    pen.line(bow(x - 0.45 * r, x + 0.2 * r, y - 0.7 * r, -0.12 * r), 0.09 * r, shine)
    for side in (-1, 1):
        pen.oval(x + side * 0.62 * r, y + 0.42 * r, 0.17 * r, 0.12 * r,
                 blend(skin, (240, 90, 90), 0.32))  # fmt: skip
    _draw_face(pen, PARTS[face], x, y)


# The hair above the forehead: an arc over the crown, back along the hair line.
_FRINGE = (
    (-1.0, 0.05), (-0.97, -0.3), (-0.8, -0.62), (-0.5, -0.87), (0.0, -1.0), (0.5, -0.87),
    (0.8, -0.62), (0.97, -0.3), (1.0, 0.05), (0.84, -0.2), (0.68, -0.48), (0.3, -0.56),
    (0.0, -0.52), (-0.3, -0.6), (-0.68, -0.46), (-0.84, -0.2),
)  # fmt: skip
# Heights of the outer and the inner end of a brow, in head radii.
_BROWS = {
    "level": (-0.25, -0.25), "raised": (-0.38, -0.42), "slanted": (-0.12, -0.44),
    "lowered": (-0.38, -0.06),
}  # fmt: skip


def _draw_face(pen: Pen, face: Face, x: float, y: float) -> None:
    r = HEAD
    outer, inner = _BROWS[face.brows]
    for side in (-1, 1):
        _draw_eye(pen, face, x + side * 0.38 * r, y + 0.1 * r)
        pen.line(
            [(x + side * 0.62 * r, y + outer * r), (x + side * 0.18 * r, y + inner * r)],
            0.13 * r, INK,
        )  # fmt: skip
        if face.nose == "wrinkled":
            for height in (0.16, 0.28):
                pen.line([(x + side * 0.17 * r, y + (height + 0.07) * r),
                          (x + side * 0.04 * r, y + height * r)], 0.07 * r, INK)  # fmt: skip
    _draw_mouth(pen, face.mouth, x, y + 0.56 * r)


def _draw_eye(pen: Pen, face: Face, x: float, y: float) -> None:
    r = HEAD
    if face.eyes == "smiling":  # the cheek pushes the lid up to an arc
        pen.line(bow(x - 0.19 * r, x + 0.19 * r, y + 0.1 * r, -0.24 * r), 0.13 * r, INK)
        return
    if face.eyes == "narrowed":
        pen.oval(x, y + 0.03 * r, 0.17 * r, 0.1 * r, INK)
        return
    tall = 0.25 if face.eyes == "wide" else 0.17 if face.brows == "lowered" else 0.19
    pen.oval(x, y, 0.15 * r, tall * r, INK)
    pen.oval(x + 0.05 * r, y - 0.07 * r, 0.055 * r, 0.065 * r, (255, 255, 255))


def _draw_mouth(pen: Pen, mouth: str, x: float, y: float) -> None:
    r = HEAD
    if mouth == "turned up":
        pen.line(bow(x - 0.4 * r, x + 0.4 * r, y - 0.1 * r, 0.24 * r), 0.14 * r, MOUTH)
    elif mouth == "turned up and open":
        pen.pie(x, y - 0.16 * r, 0.46 * r, 0, 180, MOUTH)
        pen.box(x - 0.36 * r, y - 0.16 * r, x + 0.36 * r, y - 0.03 * r, (255, 255, 255))
        pen.oval(x, y + 0.18 * r, 0.2 * r, 0.08 * r, TONGUE)
    elif mouth == "round":
        pen.oval(x, y + 0.02 * r, 0.19 * r, 0.23 * r, MOUTH)
    elif mouth == "wide open":
        pen.round_box(x - 0.46 * r, y - 0.2 * r, x + 0.46 * r, y + 0.3 * r, 0.22 * r, MOUTH)
        pen.oval(x, y + 0.18 * r, 0.26 * r, 0.1 * r, TONGUE)
    elif mouth == "turned down":
        pen.line(bow(x - 0.4 * r, x + 0.4 * r, y + 0.14 * r, -0.24 * r), 0.14 * r, MOUTH)
    elif mouth == "wavy":
        wave = [(-0.42, 0.02), (-0.26, -0.1), (-0.06, 0.08), (0.14, -0.1), (0.34, 0.06),
                (0.42, 0.0)]  # fmt: skip
        pen.line([(x + dx * r, y + dy * r) for dx, dy in wave], 0.14 * r, MOUTH)
    else:
        _draw_other_mouth(pen, mouth, x, y)


def _draw_other_mouth(pen: Pen, mouth: str, x: float, y: float) -> None:
    """Draw a mouth that single pictures never show."""
    r = HEAD
    if mouth == "straight":
        pen.line([(x - 0.3 * r, y), (x + 0.3 * r, y)], 0.12 * r, MOUTH)
    elif mouth == "parted":
        pen.oval(x, y + 0.02 * r, 0.21 * r, 0.11 * r, MOUTH)
    elif mouth == "pressed":
        pen.line([(x - 0.36 * r, y + 0.04 * r), (x + 0.36 * r, y + 0.04 * r)], 0.2 * r, MOUTH)
        pen.line([(x - 0.2 * r, y + 0.3 * r), (x + 0.2 * r, y + 0.3 * r)], 0.06 * r, MOUTH)
    elif mouth == "showing teeth":
        pen.round_box(x - 0.48 * r, y - 0.22 * r, x + 0.48 * r, y + 0.26 * r, 0.12 * r, MOUTH)
        pen.box(x - 0.38 * r, y - 0.12 * r, x + 0.38 * r, y + 0.16 * r, (255, 255, 255))
        pen.line([(x - 0.38 * r, y + 0.02 * r), (x + 0.38 * r, y + 0.02 * r)], 0.05 * r, MOUTH)
        for share in (-0.19, 0.0, 0.19):
            pen.line([(x + share * r, y - 0.12 * r), (x + share * r, y + 0.16 * r)],
                     0.04 * r, MOUTH)  # fmt: skip
    else:  # curled: the upper lip is drawn up, the tongue is out
        lip = [(-0.44, 0.16), (-0.24, -0.06), (0.0, -0.14), (0.24, -0.06), (0.44, 0.16)]
        pen.poly([(x + dx * r, y + dy * r) for dx, dy in lip], MOUTH)
        pen.line([(x + dx * r, y + dy * r) for dx, dy in lip], 0.11 * r, MOUTH)
        pen.oval(x + 0.06 * r, y + 0.24 * r, 0.19 * r, 0.2 * r, TONGUE)
