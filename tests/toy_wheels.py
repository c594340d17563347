"""Small tables in the form of the published emotion wheels, written by the tests themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import openpyxl

HEADER = ("level1", "level2", "level3")
# Every wheel: a cell that is empty is the one above it. "Cast down" stands twice.
WHEEL: tuple[tuple[str | None, ...], ...] = (
    (" Glad ", "Playful", "Cheeky"),
    (None, None, "Witty"),
    (None, "Bold", "Brave"),
    ("Sad", "Lonely", "Cast Down"),
    (None, "Hurt", "Jealous"),
    ("Mad", "Bitter", "Cast down"),
)
SMALL = (("Good", "Glad", "Witty"), ("Bad", "Sad", "Mad"))  # the second wheel
SYNONYMS = {
    "Brave": "fearless, valiant",
    "Sad": "unhappy, gloomy",
    "Scared": "afraid",
    "glad": "cheerful, joyful",
    "Cheeky": "",
}
FORMS = {
    "fear": "fears,feared",
    "fearless": "fear,fearlessly",
    "afraid": "fear",
    "unhappy": "unhappily",
    "cheerful": "cheerfully,Cheer",
    "mad": "madly",
    "cast down": "",
    "cheeky": "cheekier",
    "glad": "gladly",
    "sad": "sadly",
    "jealous": "jealously",
    "witty": "wittier",
    "lonely": "loneliness",
    "oddly": "odd",
}


def write_sheet(path: Path, rows: Sequence[Sequence[str | None]]) -> Path:
    """Write a workbook of one sheet."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(list(row))
    book.save(path)
    return path


def write_wheels(folder: Path) -> Path:
    """Write five wheels, synonyms in two runs and word forms; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, 6):
        write_sheet(folder / f"wheel{number}.xlsx", [HEADER, *(SMALL if number == 2 else WHEEL)])
    rows = [("word_run1", "synonym_run1", "word_run2", "synonym_run2")]
    rows += [(word, told, word.lower(), told.upper()) for word, told in SYNONYMS.items()]
    write_sheet(folder / "synonym.xlsx", rows)
    lines = [f'{word},"{told}"' for word, told in FORMS.items()]
    (folder / "format.csv").write_text("\n".join(["name,format", *lines]) + "\n")
    return folder
