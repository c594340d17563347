"""A contact sheet: paintings in rows, each with what the model reads in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

    from emosym.types import GenerationOutput, UnderstandingOutput

CELL = 192
GAP = 14
LINE = 20
MOST = 64
INK, FAINT, PAPER = (40, 40, 46), (122, 120, 116), (250, 248, 244)


def contact_sheet(outputs: Sequence[GenerationOutput], title: str) -> Image.Image:
    """Return the first 64 paintings on one sheet, under each its reading."""
    from PIL import Image, ImageDraw, ImageFont

    shown = outputs[:MOST]
    columns = min(len(shown), 4 if len(shown) <= 16 else 8)
    rows = math.ceil(len(shown) / columns)
    width = max(columns, 3) * (CELL + GAP) + GAP
    height = 2 * LINE + GAP + rows * (CELL + 2 * LINE + GAP)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(17), ImageFont.load_default(14)
    draw.text((GAP, GAP), _fitting(draw, title, width - 2 * GAP, large), INK, large)
    for index, output in enumerate(shown):
        x = GAP + index % columns * (CELL + GAP)
        y = 2 * LINE + GAP + index // columns * (CELL + 2 * LINE + GAP)
        sheet.paste(_cell(output.image), (x, y))
        above, below = _caption(output.reading)
        draw.text((x, y + CELL + 3), above, INK, large)
        draw.text((x, y + CELL + 3 + LINE), below, FAINT, small)
    return sheet


def _caption(reading: UnderstandingOutput | None) -> tuple[str, str]:
    """Return two lines; outside its world the model's emotion is not claimed."""
    if reading is None:
        return "not read", ""
    top = sorted(reading.probabilities.items(), key=lambda item: -item[1])
    first, second = (f"{name} {share:.2f}" for name, share in top[:2])
    return ("outside its world", f"nearest: {first}") if reading.outside else (first, second)


def _cell(image: Image.Image) -> Image.Image:
    """Return a picture fitted into a square cell; small ones grow by whole steps, unblurred."""
    from PIL import Image, ImageOps

    if max(image.size) < CELL:
        resampling = (
            Image.Resampling.NEAREST if CELL % image.width == 0 else Image.Resampling.BICUBIC
        )
        return ImageOps.pad(image, (CELL, CELL), resampling, PAPER)
    return ImageOps.pad(image, (CELL, CELL), Image.Resampling.LANCZOS, PAPER)


def _fitting(draw: object, text: str, width: int, font: object) -> str:
    """Return as much of a line as fits."""
    while text and draw.textlength(text, font) > width:  # type: ignore[attr-defined]
        text = text[:-2].rstrip() + "…" if len(text) > 2 else ""
    return text
