"""From a story to a picture: layers under one light, then objects and the child on top."""

from __future__ import annotations

import functools

import numpy as np
from PIL import Image, ImageFilter

from emosym.data.storybook.drawing.character import POSES, draw_character
from emosym.data.storybook.drawing.light import LIGHT_LOOKS, Light, falling_of, sky_of
from emosym.data.storybook.drawing.objects import HALF, draw_object
from emosym.data.storybook.drawing.pen import Pen, lay, new_pen, reduced
from emosym.data.storybook.drawing.wild import SCENE_PAINTERS
from emosym.data.storybook.shot import Shot
from emosym.data.storybook.world import SIDE_X, SKY_OBJECTS, Story
from emosym.errors import UsageError
from emosym.seeds import numpy_rng

Layer = tuple[int, str, np.ndarray, np.ndarray]
MIN_SIZE = 32
MAX_SIZE = 1024
OUTLINE = (44, 26, 50)
GLOW = (255, 250, 236)
MARGIN = 1.3  # an object's window is this much wider than its square, for outline and glow
FIGURE_HALF = 0.34  # half the width of the character's window
FIGURE_TOP = 0.14
# Above these sizes what is painted once is not kept: it would fill the memory of every worker.
CACHED_LAYERS = 128
CACHED_BACKGROUNDS = 256


def check_size(size: int) -> None:
    """Refuse a picture size outside 32..1024.

    Raises:
        UsageError: names the range.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise UsageError(f"The picture size must lie in {MIN_SIZE}..{MAX_SIZE}, got {size}.")


def _upper_edge(alpha: np.ndarray, reach: int) -> np.ndarray:
    """Return how much of each pixel is an edge that faces up, (H, W)."""
    above = np.zeros_like(alpha)
    above[reach:] = alpha[:-reach]
    return np.asarray(np.clip(alpha - above, 0.0, 1.0))


@functools.lru_cache(maxsize=128)
def _layers(scene: str, variant: int, size: int) -> tuple[Layer, ...]:
    """Return a scene's layers far to near as (depth, kind, rgba (H, W, 4), upper edge (H, W))."""
    pens: list[tuple[int, str, Pen]] = []

    def new(depth: int, kind: str) -> Pen:
        pen = new_pen(size)
        pens.append((depth, kind, pen))
        return pen

    SCENE_PAINTERS[scene](new, numpy_rng(variant // 2, f"storybook-scene-{scene}"))
    done = []
    for depth, kind, pen in sorted(pens, key=lambda item: item[0]):
        image = pen.image
        if depth == 0:  # the far layer is soft, as the eye sees it
            image = image.convert("RGBa").filter(ImageFilter.GaussianBlur(0.003 * pen.scale))
            image = image.convert("RGBA")
        rgba = reduced(image)
        if variant % 2:
            rgba = rgba[:, ::-1].copy()
        done.append((depth, kind, rgba, _upper_edge(rgba[..., 3], max(1, size // 64))))
    return tuple(done)


def _vignette(size: int) -> np.ndarray:
    """Return a factor (H, W, 1) that darkens the corners a little."""
    line = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
    away = np.clip(line[:, None] ** 2 + line[None, :] ** 2 - 0.7, 0, None)
    return np.asarray(1 - 0.13 * away)[..., None]


@functools.lru_cache(maxsize=1024)
def _background(scene: str, light: str, variant: int, size: int) -> np.ndarray:
    """Return the empty scene under a light, (H, W, 3) uint8, not to be written to."""
    look = LIGHT_LOOKS[light]
    rng = numpy_rng(variant, f"storybook-sky-{light}")
    picture = sky_of(light, size, rng)
    ambient = np.asarray(look.ambient, np.float32)
    haze = np.asarray(look.haze, np.float32) / 255.0
    rim = np.asarray(look.rim, np.float32) / 255.0
    rows = ((np.arange(size, dtype=np.float32) + 0.5) / size)[:, None, None]  # (H, 1, 1)
    layers = _layers if size <= CACHED_LAYERS else _layers.__wrapped__
    mirrored = np.asarray(look.sky[1], np.float32) / 255.0
    for depth, kind, rgba, edge in layers(scene, variant, size):
        if kind == "lamp":  # shines by itself, the more the darker it is
            lit = rgba[..., :3] * (0.25 * ambient + 0.75)
        else:
            lit = rgba[..., :3] * ambient * (1.1 - 0.24 * rows)
        if kind == "water":
            lit = lit + (mirrored - lit) * 0.38
        lit = lit + (1.0 - lit) * look.cover * (0.4 + 0.3 * depth)
        lit = lit + (rim - lit) * (edge * look.rim_share * 0.6)[..., None]
        lit = lit + (haze - lit) * look.fade[depth]
        share = rgba[..., 3:]
        picture = picture * (1 - share) + np.clip(lit, 0, 1) * share
    falling = falling_of(light, size, rng)
    if falling is not None:
        share = falling[..., 3:]
        picture = picture * (1 - share) + falling[..., :3] * share
    picture = _bytes_of(picture * _vignette(size))
    picture.setflags(write=False)
    return picture


def _bytes_of(picture: np.ndarray) -> np.ndarray:
    """Return a picture in 0..1 as uint8."""
    return np.asarray(np.clip(picture * 255.0 + 0.5, 0, 255), np.uint8)


def _finished(pen: Pen, size: int, look: Light) -> tuple[np.ndarray, np.ndarray]:
    """Give a drawn figure its light, outline and glow: colour (h, w, 3) and alpha (h, w, 1)."""
    unit = pen.scale / 64.0  # oversampled pixels in one pixel of a 64-pixel picture
    solid = pen.image.getchannel("A")
    outline = solid.filter(ImageFilter.GaussianBlur(0.55 * unit)).point(_steep)
    glow = outline.filter(ImageFilter.GaussianBlur(0.9 * unit))
    rgba = reduced(pen.image)
    alpha = rgba[..., 3:]
    edge = _upper_edge(rgba[..., 3], max(1, size // 64))
    ring_share = np.asarray(outline.reduce(3), np.float32)[..., None] / 255.0
    glow_share = np.asarray(glow.reduce(3), np.float32)[..., None] / 255.0 * 0.45
    ambient = 1 + (np.asarray(look.ambient, np.float32) - 1) * look.figure
    rim = np.asarray(look.rim, np.float32) / 255.0
    inside = np.clip(rgba[..., :3] * ambient * _roundness(solid, unit), 0, 1)
    inside = inside + (rim - inside) * (edge * look.rim_share * 0.5)[..., None]
    line = np.asarray(OUTLINE, np.float32) / 255.0
    halo = np.asarray(GLOW, np.float32) / 255.0
    ink_share = alpha + ring_share * (1 - alpha)
    total = ink_share + glow_share * (1 - ink_share)
    colour = (
        inside * alpha + line * (ring_share * (1 - alpha)) + halo * (glow_share * (1 - ink_share))
    )
    return colour / np.maximum(total, 1e-6), total


def _roundness(solid: Image.Image, unit: float) -> np.ndarray:
    """Return a soft shading (h, w, 1) that makes a flat figure look round, lit from above left."""
    soft = solid.reduce(3).filter(ImageFilter.GaussianBlur(unit))
    mass = np.asarray(soft, np.float32) / 255.0
    step = max(1, round(unit * 0.6))
    below = np.zeros_like(mass)
    below[:-step, :-step] = mass[step:, step:]
    return np.asarray(1.04 - 0.42 * np.clip(mass - below, 0, 1))[..., None]


def _steep(value: int) -> int:
    return min(255, value * 5)


@functools.lru_cache(maxsize=1024)
def _object_sprite(name: str, colour: int, light: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    half = HALF * MARGIN
    pen = new_pen(size, -half, -half, 2 * half, 2 * half)
    draw_object(pen, name, colour, 0.0, 0.0)
    return _finished(pen, size, LIGHT_LOOKS[light])


def _shade(picture: np.ndarray, cx: float, cy: float, rx: float, ry: float, share: float) -> None:
    """Darken a soft ellipse: the shadow of what stands there."""
    size = picture.shape[0]
    y0, y1 = max(0, int((cy - ry) * size)), min(size, int((cy + ry) * size) + 2)
    x0, x1 = max(0, int((cx - rx) * size)), min(size, int((cx + rx) * size) + 2)
    ys = ((np.arange(y0, y1) + 0.5) / size - cy) / ry
    xs = ((np.arange(x0, x1) + 0.5) / size - cx) / rx
    fall = np.clip(1 - ys[:, None] ** 2 - xs[None, :] ** 2, 0, 1).astype(np.float32)
    picture[y0:y1, x0:x1] *= 1 - share * fall[..., None]


def _gleam(picture: np.ndarray, cx: float, cy: float, reach: float, look: Light) -> None:
    """Add the warm light of a lantern, the more the darker the day."""
    size = picture.shape[0]
    line = (np.arange(size, dtype=np.float32) + 0.5) / size
    away = ((line[:, None] - cy) ** 2 + (line[None, :] - cx) ** 2) / reach**2
    strength = 0.12 + 0.8 * max(0.0, 1.0 - sum(look.ambient) / 3.0)
    warm = np.array((1.0, 0.72, 0.3), np.float32)
    picture += (strength * np.exp(-2.5 * away))[..., None] * warm * (1.0 - picture)


def paint_array(story: Story | Shot, size: int) -> np.ndarray:
    """Paint a story, or a turn of a conversation, (size, size, 3) uint8.

    Raises:
        UsageError: for a size outside 32..1024.
    """
    check_size(size)
    look = LIGHT_LOOKS[story.light]
    background = _background if size <= CACHED_BACKGROUNDS else _background.__wrapped__
    picture = background(story.scene, story.light, story.variant, size).astype(np.float32) / 255.0
    cx = SIDE_X[story.side]
    lift = POSES[story.action].lift
    _shade(picture, cx, 0.945, 0.2 - lift, 0.05, 0.45)
    for item, (x, y) in zip(story.objects, story.places, strict=True):
        if item not in SKY_OBJECTS:
            _shade(picture, x, y + 0.11, 0.14, 0.045, 0.45)
    for item, colour, (x, y) in zip(story.objects, story.colours, story.places, strict=True):
        paint, alpha = _object_sprite(item, colour, story.light, size)
        half = HALF * MARGIN
        lay(picture, paint, alpha, round((x - half) * size), round((y - half) * size))
        if item == "lantern":
            _gleam(picture, x, y, 0.2, look)
    left = round((cx - FIGURE_HALF) * size)
    top = round(FIGURE_TOP * size)
    pen = new_pen(size, left / size, top / size, 2 * FIGURE_HALF, 1.0 - top / size)
    draw_character(pen, story.action, story.face, story.looks, story.facing, cx)
    paint, alpha = _finished(pen, size, look)
    lay(picture, paint, alpha, left, top)
    return _bytes_of(picture)
