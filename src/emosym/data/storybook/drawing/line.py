"""The second style, `line`: ink on tinted paper, and a cat where the other style has a child.

It shows the same stories with the same cues, and nothing is ever trained on it: what was learnt on
the painted style is tested on it out of domain.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from emosym.data.storybook.drawing.character import CAT, draw_character
from emosym.data.storybook.drawing.light import LIGHT_LOOKS
from emosym.data.storybook.drawing.objects import HALF, draw_object
from emosym.data.storybook.drawing.pen import Colour, Painter, Pen, lay, new_pen, reduced
from emosym.data.storybook.drawing.wild import SCENE_PAINTERS
from emosym.data.storybook.world import SIDE_X, Story
from emosym.seeds import numpy_rng

MARGIN = 1.3
FIGURE_HALF = 0.34
FIGURE_TOP = 0.14
CACHED = 128  # above this size a background is not kept
EDGE = 26  # brightness step, of 255, between two fills that ink separates


@dataclass(frozen=True)
class Sheet:
    """The paper of a light, the wash that fills shapes on it, and the ink that draws them."""

    paper: Colour
    wash: Colour
    ink: Colour


SHEETS: dict[str, Sheet] = {
    "golden sunlight": Sheet((255, 240, 190), (246, 190, 96), (120, 66, 16)),
    "clear daylight": Sheet((236, 248, 255), (150, 206, 240), (24, 60, 120)),
    "a rainbow sky": Sheet((250, 244, 255), (206, 188, 240), (84, 44, 130)),
    "a lightning storm": Sheet((66, 60, 92), (104, 96, 140), (236, 228, 255)),
    "a red sunset": Sheet((250, 180, 150), (222, 96, 84), (92, 12, 34)),
    "a starry night": Sheet((22, 28, 74), (48, 62, 124), (224, 232, 255)),
    "grey rain": Sheet((196, 202, 208), (148, 158, 168), (44, 52, 64)),
    "white mist": Sheet((244, 247, 247), (222, 230, 231), (134, 148, 154)),
    "falling snow": Sheet((216, 225, 244), (246, 249, 255), (82, 94, 138)),
}
Sprite = tuple[np.ndarray, np.ndarray]  # colour (h, w, 3) and alpha (h, w, 1), in 0..1


def paint_line_array(story: Story, size: int) -> np.ndarray:
    """Draw a story in ink, (size, size, 3) uint8."""
    ground = _ground if size <= CACHED else _ground.__wrapped__
    picture = ground(story.scene, story.light, story.variant, size).copy()
    cx = SIDE_X[story.side]
    for item, colour, (x, y) in zip(story.objects, story.colours, story.places, strict=True):
        half = HALF * MARGIN
        corner = (round((x - half) * size), round((y - half) * size))
        lay(picture, *_object(item, colour, story.light, size), *corner)
    left, top = round((cx - FIGURE_HALF) * size), round(FIGURE_TOP * size)
    pen = new_pen(size, left / size, top / size, 2 * FIGURE_HALF, 1.0 - top / size)
    draw_character(pen, story.action, story.face, story.looks, story.facing, cx, CAT)
    lay(picture, *_figure(pen, story.light), left, top)
    return np.asarray(np.clip(picture * 255.0 + 0.5, 0, 255), np.uint8)


@functools.lru_cache(maxsize=1024)
def _ground(scene: str, light: str, variant: int, size: int) -> np.ndarray:
    """Return the empty scene (size, size, 3) in 0..1: sky, then layers from far to near."""
    sheet, look = SHEETS[light], LIGHT_LOOKS[light]
    rng = numpy_rng(variant, f"storybook-line-{light}")
    picture = np.broadcast_to(_unit(sheet.paper), (size, size, 3)).copy()
    lay(picture, *_inked(_drawn(look.in_sky, size, rng), sheet, 0.55), 0, 0)
    pens: list[tuple[int, Pen]] = []

    def new(depth: int, kind: str) -> Pen:
        pens.append((depth, new_pen(size)))
        return pens[-1][1]

    SCENE_PAINTERS[scene](new, numpy_rng(variant // 2, f"storybook-scene-{scene}"))
    for depth, pen in sorted(pens, key=lambda item: item[0]):
        faded = 0.35 + 0.2 * depth  # what is far is drawn with a lighter hand
        colour, alpha = _inked(pen, sheet, faded)
        if variant % 2:
            colour, alpha = colour[:, ::-1], alpha[:, ::-1]
        lay(picture, colour, alpha, 0, 0)
    if look.falling is not None:
        drops = np.asarray(reduced(_drawn(look.falling, size, rng).image))  # (size, size, 4)
        falls = _unit(sheet.wash if light == "white mist" else sheet.ink)
        lay(picture, np.broadcast_to(falls, (size, size, 3)), 0.8 * drops[..., 3:], 0, 0)
    return picture


def _drawn(paint: Painter, size: int, rng: np.random.Generator) -> Pen:
    pen = new_pen(size)
    paint(pen, rng)
    return pen


@functools.lru_cache(maxsize=1024)
def _object(name: str, colour: int, light: str, size: int) -> Sprite:
    half = HALF * MARGIN
    pen = new_pen(size, -half, -half, 2 * half, 2 * half)
    draw_object(pen, name, colour, 0.0, 0.0)
    return _figure(pen, light)


def _figure(pen: Pen, light: str) -> Sprite:
    """Return an object or the character: its own flat colours, half paper, outlined in ink."""
    sheet = SHEETS[light]
    dark = sum(sheet.paper) < sum(sheet.ink)
    halo = 0.0 if dark else 0.35
    own = np.asarray(reduced(pen.image))[..., :3]
    fill = own + (_unit((250, 248, 240)) - own) * halo
    return _outlined(pen, fill, _unit((30, 24, 40)), 1.0)


def _inked(pen: Pen, sheet: Sheet, strength: float) -> Sprite:
    """Return shapes between paper and wash by their own brightness, outlined in ink."""
    rgba = np.asarray(reduced(pen.image))
    bright = rgba[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)  # (h, w)
    steps = np.round(np.clip(bright, 0, 1) * 3)[..., None] / 3
    fill = _unit(sheet.wash) + (_unit(sheet.paper) - _unit(sheet.wash)) * steps
    return _outlined(pen, fill, _unit(sheet.ink), strength)


def _outlined(pen: Pen, fill: np.ndarray, ink: np.ndarray, strength: float) -> Sprite:
    """Lay ink over a fill (h, w, 3): round every shape, and where two colours of it meet."""
    solid = pen.image.getchannel("A")
    wide = 2 * max(1, round(pen.scale / 96)) + 1  # of the oversampled picture: thin at any size
    rim = np.asarray(_grown(solid, wide).reduce(3), np.float32) / 255.0
    alpha = np.asarray(solid.reduce(3), np.float32) / 255.0
    flat = pen.image.convert("L").filter(ImageFilter.FIND_EDGES)
    inner = flat.point(lambda step: 255 if step > EDGE else 0)
    ImageDraw.Draw(inner).rectangle((0, 0, inner.width - 1, inner.height - 1), outline=0)
    inside = np.asarray(_thin(inner, wide).reduce(3), np.float32) / 255.0 * alpha
    edge = np.clip(np.maximum(rim - alpha * alpha, 0.6 * inside), 0, 1)[..., None] * strength
    share = np.maximum(rim[..., None] * strength, alpha[..., None])
    return fill + (ink - fill) * edge, share


def _thin(edges: Image.Image, wide: int) -> Image.Image:
    return edges if wide <= 3 else _grown(edges, 3)


def _grown(image: Image.Image, wide: int) -> Image.Image:
    """Return the largest value of each `wide` x `wide` neighbourhood: Pillow's MaxFilter, faster.

    The maximum over a square is that over rows of the one over columns, in a few whole-array steps.
    """
    half, (height, width) = wide // 2, (image.height, image.width)
    padded = np.pad(np.asarray(image), half, mode="edge")
    rows = functools.reduce(np.maximum, [padded[i : i + height] for i in range(wide)])
    grown = functools.reduce(np.maximum, [rows[:, i : i + width] for i in range(wide)])
    return Image.fromarray(grown)


def _unit(colour: Colour) -> np.ndarray:
    return np.asarray(colour, np.float32) / 255.0
