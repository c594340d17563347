"""Light and weather: the sky of each light, what falls from it, and how it tints everything."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import ImageFilter

from emosym.data.storybook.drawing.pen import Colour, Painter, Pen, blend, new_pen, reduced, ring

WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Light:
    """How one light looks.

    `sky` holds colours from the top down to the horizon; `ambient` multiplies every colour;
    `haze` is what distance fades to, `fade` its share in the far, middle and near layer; `rim` is
    the colour of upper edges and `rim_share` its strength; `figure` is how much of the ambient
    reaches objects and the character, which stay readable; `cover` is how white snow makes things.
    """

    sky: tuple[Colour, Colour, Colour]
    ambient: tuple[float, float, float]
    haze: Colour
    fade: tuple[float, float, float]
    rim: Colour
    rim_share: float
    figure: float
    in_sky: Painter
    falling: Painter | None = None
    cover: float = 0.0


def _cloud(pen: Pen, x: float, y: float, r: float, fill: Colour, under: Colour) -> None:
    """Draw a cloud with a shaded underside."""
    for colour, lift in ((under, 0.0), (fill, -0.16 * r)):
        for dx, dy, share in ((-1.0, 0.1, 0.55), (-0.35, -0.3, 0.75), (0.4, -0.15, 0.7),
                              (1.05, 0.15, 0.5)):  # fmt: skip
            pen.oval(x + dx * r, y + dy * r + lift, share * r, share * r * 0.8, colour)


def _sun(pen: Pen, x: float, y: float, r: float, core: Colour, glow: Colour, sky: Colour) -> None:
    for step in (3, 2, 1):
        pen.oval(x, y, r * (1 + 0.5 * step), r * (1 + 0.5 * step), blend(glow, sky, step * 0.28))
    pen.oval(x, y, r, r, core)


def _golden(pen: Pen, rng: np.random.Generator) -> None:
    x = float(rng.choice([0.3, 0.7]))
    for i in range(14):
        a = 2 * math.pi * i / 14
        spread = 0.09
        pen.poly(
            [
                (x, 0.28),
                (x + 1.3 * math.cos(a - spread), 0.28 + 1.3 * math.sin(a - spread)),
                (x + 1.3 * math.cos(a + spread), 0.28 + 1.3 * math.sin(a + spread)),
            ],
            (255, 213, 128),
        )
    _sun(pen, x, 0.28, 0.1, (255, 250, 214), (255, 226, 130), (255, 205, 115))


def _clear(pen: Pen, rng: np.random.Generator) -> None:
    shift = float(rng.uniform(-0.06, 0.06))
    _cloud(pen, 0.24 + shift, 0.34, 0.12, WHITE, (214, 232, 246))
    _cloud(pen, 0.78 + shift, 0.26, 0.14, WHITE, (214, 232, 246))


def _rainbow(pen: Pen, rng: np.random.Generator) -> None:
    x = float(rng.choice([0.4, 0.6]))
    bands = ((240, 96, 100), (250, 168, 84), (252, 226, 110), (124, 204, 128), (96, 160, 232),
             (160, 124, 214))  # fmt: skip
    for i, colour in enumerate(bands):
        r = 0.62 - 0.042 * i
        pen.oval(x, 0.7, r, r, blend(colour, WHITE, 0.12))
    pen.oval(x, 0.7, 0.368, 0.368, (214, 238, 246))


def _storm(pen: Pen, rng: np.random.Generator) -> None:
    shift = float(rng.uniform(-0.05, 0.05))
    for x, y, r in ((0.1, 0.05, 0.2), (0.5, 0.02, 0.24), (0.9, 0.06, 0.2)):
        _cloud(pen, x + shift, y, r, (78, 76, 110), (48, 46, 76))
    x = float(rng.choice([0.28, 0.72])) + shift
    bolt = [(0.02, 0.1), (-0.07, 0.3), (0.0, 0.3), (-0.05, 0.5), (0.09, 0.25), (0.02, 0.25),
            (0.08, 0.1)]  # fmt: skip
    pen.poly([(x + 1.25 * dx, dy - 0.01) for dx, dy in bolt], (214, 196, 255))
    pen.poly([(x + dx, dy) for dx, dy in bolt], (255, 250, 196))


def _sunset(pen: Pen, rng: np.random.Generator) -> None:
    x = float(rng.choice([0.32, 0.68]))
    _sun(pen, x, 0.42, 0.14, (255, 226, 128), (255, 132, 70), (222, 70, 72))
    for y, x0, width in ((0.14, 0.05, 0.5), (0.22, 0.5, 0.46), (0.32, 0.12, 0.36)):
        pen.round_box(x0, y, x0 + width, y + 0.035, 0.018, (150, 42, 88))


def _night(pen: Pen, rng: np.random.Generator) -> None:
    for i in range(5):
        for j in range(3):
            x = 0.1 + 0.2 * i + 0.06 * ((j * 2 + i) % 3 - 1)
            y = 0.06 + 0.15 * j + 0.05 * ((i * 2 + j) % 3 - 1)
            r = 0.02 if (i + j) % 3 == 0 else 0.012
            pen.poly(
                [p for a, b in zip(ring(x, y, r * 1.5, r * 1.5, 4),
                                   ring(x, y, r * 0.5, r * 0.5, 4, math.pi / 4), strict=True)
                 for p in (a, b)],
                (255, 246, 200),
            )  # fmt: skip
    side = float(rng.choice([0.34, 0.66]))
    pen.oval(side, 0.2, 0.075, 0.075, (250, 240, 200))
    pen.oval(side + 0.025, 0.185, 0.02, 0.018, (230, 216, 176))
    pen.oval(side - 0.02, 0.225, 0.014, 0.012, (230, 216, 176))


def _overcast(pen: Pen, rng: np.random.Generator) -> None:
    shift = float(rng.uniform(-0.05, 0.05))
    for x, y, r in ((0.12, 0.08, 0.19), (0.5, 0.05, 0.22), (0.88, 0.09, 0.19)):
        _cloud(pen, x + shift, y, r, (146, 158, 174), (116, 128, 146))


def _rain(pen: Pen, rng: np.random.Generator) -> None:
    shift = float(rng.uniform(0, 0.1))
    for i in range(6):
        for j in range(5):
            x = 0.02 + 0.19 * i + 0.095 * (j % 2) + shift
            y = 0.14 + 0.19 * j
            pen.line([(x, y), (x - 0.035, y + 0.1)], 0.016, (214, 230, 244))


def _bands(pen: Pen, rng: np.random.Generator) -> None:
    shift = float(rng.uniform(-0.08, 0.08))
    for y, x0, x1, thick in ((0.44, -0.2, 0.72, 0.07), (0.56, 0.3, 1.2, 0.08),
                             (0.7, -0.2, 0.6, 0.08)):  # fmt: skip
        pen.round_box(x0 + shift, y, x1 + shift, y + thick, thick / 2, (240, 243, 244))


def _pale_sun(pen: Pen, rng: np.random.Generator) -> None:
    x = float(rng.choice([0.35, 0.65]))
    pen.oval(x, 0.2, 0.13, 0.13, (236, 240, 240))
    pen.oval(x, 0.2, 0.085, 0.085, (250, 251, 248))


def _flakes(pen: Pen, rng: np.random.Generator) -> None:
    shift = float(rng.uniform(0, 0.08))
    for i in range(6):
        for j in range(6):
            x = 0.03 + 0.18 * i + 0.09 * (j % 2) + shift
            y = 0.05 + 0.17 * j + 0.03 * ((i * 2 + j) % 3)
            r = 0.022 if (i + j) % 2 else 0.015
            pen.oval(x, y, r, r, WHITE)


def _winter(pen: Pen, rng: np.random.Generator) -> None:
    shift = float(rng.uniform(-0.05, 0.05))
    for x, y, r in ((0.2, 0.06, 0.2), (0.75, 0.05, 0.22)):
        _cloud(pen, x + shift, y, r, (206, 214, 230), (180, 190, 212))


LIGHT_LOOKS: dict[str, Light] = {
    "golden sunlight": Light(
        ((250, 164, 84), (255, 200, 112), (255, 238, 184)), (1.06, 0.96, 0.74),
        (255, 226, 150), (0.36, 0.14, 0.0), (255, 244, 176), 0.75, 0.35, _golden,
    ),
    "clear daylight": Light(
        ((72, 156, 232), (126, 194, 246), (208, 236, 252)), (1.0, 1.0, 1.0),
        (196, 226, 248), (0.34, 0.12, 0.0), (255, 255, 236), 0.45, 0.3, _clear,
    ),
    "a rainbow sky": Light(
        ((150, 204, 240), (190, 226, 246), (226, 244, 246)), (0.98, 1.02, 1.0),
        (222, 240, 244), (0.3, 0.1, 0.0), (255, 250, 240), 0.5, 0.3, _rainbow,
    ),
    "a lightning storm": Light(
        ((40, 38, 68), (74, 70, 112), (126, 118, 156)), (0.62, 0.62, 0.82),
        (96, 92, 136), (0.42, 0.18, 0.0), (200, 190, 255), 0.5, 0.26, _storm,
    ),
    "a red sunset": Light(
        ((122, 30, 84), (206, 62, 72), (252, 140, 80)), (0.98, 0.6, 0.6),
        (226, 92, 74), (0.42, 0.16, 0.0), (255, 176, 96), 0.75, 0.28, _sunset,
    ),
    "a starry night": Light(
        ((14, 18, 56), (28, 40, 96), (60, 84, 150)), (0.5, 0.6, 0.94),
        (46, 66, 132), (0.42, 0.16, 0.0), (150, 190, 255), 0.55, 0.26, _night,
    ),
    "grey rain": Light(
        ((110, 122, 140), (134, 146, 162), (166, 176, 188)), (0.68, 0.74, 0.82),
        (146, 158, 172), (0.46, 0.22, 0.04), (200, 212, 224), 0.35, 0.34, _overcast, _rain,
    ),
    "white mist": Light(
        ((206, 216, 220), (218, 226, 228), (230, 235, 235)), (0.88, 0.94, 0.95),
        (226, 233, 233), (0.72, 0.46, 0.14), (246, 250, 250), 0.3, 0.4, _pale_sun, _bands,
    ),
    "falling snow": Light(
        ((150, 164, 196), (176, 188, 214), (210, 218, 234)), (0.84, 0.9, 1.06),
        (206, 216, 236), (0.46, 0.2, 0.02), WHITE, 1.0, 0.4, _winter, _flakes, 0.3,
    ),
}  # fmt: skip


def _painted(paint: Painter, size: int, rng: np.random.Generator, soften: float) -> np.ndarray:
    pen = new_pen(size)
    paint(pen, rng)
    image = pen.image
    if soften:
        image = image.convert("RGBa").filter(ImageFilter.GaussianBlur(soften * pen.scale))
        image = image.convert("RGBA")
    return reduced(image)


def sky_of(light: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return the sky, (size, size, 3) float32 in 0..1."""
    look = LIGHT_LOOKS[light]
    height = (np.arange(size, dtype=np.float32) + 0.5) / size / 0.62  # the horizon is at 0.62
    stops = np.asarray(look.sky, np.float32) / 255.0  # (3, 3)
    column = np.stack(
        [np.interp(height, (0.0, 0.5, 1.0), stops[:, c]) for c in range(3)], axis=1
    )  # (size, 3)
    sky = np.repeat(column[:, None, :], size, axis=1).astype(np.float32)
    things = _painted(look.in_sky, size, rng, 0.006)
    share = things[..., 3:]
    if light in ("golden sunlight", "a rainbow sky"):
        share = share * 0.72  # rays and bow let the sky through
    return np.asarray(sky * (1 - share) + things[..., :3] * share)


def falling_of(light: str, size: int, rng: np.random.Generator) -> np.ndarray | None:
    """Return rain, snow or bands of mist, (size, size, 4) float32 in 0..1, or None."""
    look = LIGHT_LOOKS[light]
    if look.falling is None:
        return None
    soften = 0.02 if light == "white mist" else 0.002
    drops = _painted(look.falling, size, rng, soften)
    drops[..., 3] *= 0.8 if light == "falling snow" else 0.65
    return drops
