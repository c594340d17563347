"""Sheets to look at: paintings in rows, each with what the model reads in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emosym.service.rows import OUTSIDE

if TYPE_CHECKING:
    from PIL import Image

    from emosym.service.rows import Row

CELL = 192
GAP = 14
LINE = 20
MOST = 64
LEAST_SHOWN = 0.005
INK, FAINT, PAPER = (40, 40, 46), (122, 120, 116), (250, 248, 244)


@dataclass(frozen=True, slots=True)
class Strip:
    """One row of a sheet: its heading, and paintings with their readings' rows (None: not read).

    `notes` say what is special to each painting, such as its seed.
    """

    heading: str
    paintings: Sequence[tuple[Image.Image, Row | None]]
    notes: Sequence[str] = ()


def contact_sheet(paintings: Sequence[tuple[Image.Image, Row | None]], title: str) -> Image.Image:
    """Return the first 64 paintings on one sheet, under each its reading."""
    shown = paintings[:MOST]
    columns = max(1, min(len(shown), 4 if len(shown) <= 16 else 8))
    starts = range(0, len(shown), columns)
    return comparison_sheet([Strip("", shown[i : i + columns]) for i in starts], title)


def comparison_sheet(strips: Sequence[Strip], title: str) -> Image.Image:
    """Return strips below one another, each under its heading; a strip goes on after 8 pictures."""
    from PIL import Image, ImageDraw, ImageFont

    rows = _broken(strips)
    columns = max(len(strip.paintings) for strip in rows)
    heights = [(LINE + GAP // 2 if strip.heading else 0) + CELL + 2 * LINE + GAP for strip in rows]
    width = max(columns, 3) * (CELL + GAP) + GAP
    sheet = Image.new("RGB", (width, 2 * LINE + GAP + sum(heights)), PAPER)
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(17), ImageFont.load_default(14)
    draw.text((GAP, GAP), _fitting(draw, title, width - 2 * GAP, large), INK, large)
    top = 2 * LINE + GAP
    for strip, height in zip(rows, heights, strict=True):
        y = top
        if strip.heading:
            draw.text((GAP, y), _fitting(draw, strip.heading, width - 2 * GAP, large), INK, large)
            y += LINE + GAP // 2
        for column, (image, reading) in enumerate(strip.paintings):
            x = GAP + column * (CELL + GAP)
            sheet.paste(_cell(image), (x, y))
            above, below = caption(reading)
            if strip.notes:
                below = "; ".join(part for part in (strip.notes[column], below) if part)
            draw.text((x, y + CELL + 3), _fitting(draw, above, CELL, large), INK, large)
            draw.text((x, y + CELL + 3 + LINE), _fitting(draw, below, CELL, small), FAINT, small)
        top += height
    return sheet


def _broken(strips: Sequence[Strip]) -> list[Strip]:
    """Return strips of at most 8 pictures, as many as 64 pictures need."""
    rows: list[Strip] = []
    left = MOST
    for strip in strips:
        shown = strip.paintings[:left]
        left -= len(shown)
        for part in range(math.ceil(len(shown) / 8)):
            heading = strip.heading if part == 0 else ""
            place = slice(8 * part, 8 * part + 8)
            rows.append(Strip(heading, shown[place], strip.notes[: len(shown)][place]))
    return rows


def caption(reading: Row | None) -> tuple[str, str]:
    """Return two lines; outside its world the model's emotion is not claimed."""
    if reading is None:
        return "not read", ""
    top = sorted(reading["probabilities"].items(), key=lambda item: -item[1])
    first, *rest = [
        f"{name} {100 * share:.0f} %" for name, share in top[:2] if share >= LEAST_SHOWN
    ]
    if reading["reason"] == OUTSIDE:
        return "outside its world", f"nearest: {first}"
    return first, "".join(rest)


def _cell(image: Image.Image) -> Image.Image:
    """Return a picture fitted into a square cell; small ones grow by whole steps, unblurred."""
    from PIL import Image, ImageOps

    if max(image.size) < CELL:
        resampling = (
            Image.Resampling.NEAREST if CELL % image.width == 0 else Image.Resampling.BICUBIC
        )
        return ImageOps.pad(image, (CELL, CELL), resampling, PAPER)
    return ImageOps.pad(image, (CELL, CELL), Image.Resampling.LANCZOS, PAPER)


def _fitting(draw: Any, text: str, width: int, font: object) -> str:
    """Return as much of a line as fits; line breaks become spaces."""
    text = " ".join(text.split())[:400]
    while text and draw.textlength(text, font) > width:
        text = text[:-2].rstrip() + "…" if len(text) > 2 else ""
    return text
