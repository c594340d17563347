"""Readings of photographs as the page shows them: valence and arousal with their intervals."""

from __future__ import annotations

from html import escape
from itertools import zip_longest
from typing import TYPE_CHECKING

from emosym.apps.cli.understand_photos import OUTSIDE_NOTE, in_words
from emosym.apps.ui.drawing import plane
from emosym.service.affect_rows import to_nine

if TYPE_CHECKING:
    from emosym.service.rows import Row


RATINGS = ("valence", "arousal")


def is_affect(row: Row) -> bool:
    """Return whether a row is one of `affect_rows`, which claim no emotion."""
    return "emotion" not in row


def affect_said(row: Row) -> str:
    """Return what was read in a photograph, in words; a picture that cannot be read has none."""
    lines = [line.strip() for line in in_words(row)[1:]]
    drawn = [interval(row, name) for name in RATINGS]
    told = "".join(
        f"<p>{escape(line[:1].upper() + line[1:])}.</p>{bar}"
        for line, bar in zip_longest(lines, drawn, fillvalue="")
        if line != OUTSIDE_NOTE
    )
    notice = f'<p class="notice">{escape(OUTSIDE_NOTE)}</p>' if row["outside"] else ""
    return f"<h2>A photograph</h2>{notice}{told}"


def interval(row: Row, name: str) -> str:
    """Return a rating as a point on its scale of 1 to 7, with its interval; the words say it."""
    at, low, high = (100 * (row[f"{name}{end}"] - 1) / 6 for end in ("", "_low", "_high"))
    span = f'<i style="left:{low:.1f}%;width:{high - low:.1f}%"></i>'
    return f'<div class="interval" aria-hidden="true">{span}<b style="left:{at:.1f}%"></b></div>'


def affect_where(row: Row) -> str:
    """Return the plane with the place of a photograph and its intervals."""
    valence = to_nine(row["valence_low"]), to_nine(row["valence_high"])
    arousal = to_nine(row["arousal_low"]), to_nine(row["arousal_high"])
    place = (row["valence_9"], row["arousal_9"])
    return plane(None, place, interval=(valence, arousal))


def affect_cells(row: Row) -> tuple[str, str]:
    """Return what a table says of a photograph: its place, and how wide its interval is."""
    half = (row["valence_high"] - row["valence_low"]) / 2
    outside = ' <span class="notice">outside</span>' if row["outside"] else ""
    said = f"valence {row['valence']:.1f}, arousal {row['arousal']:.1f} of 1 to 7{outside}"
    return said, f"± {half:.1f}"
