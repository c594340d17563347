"""Tables of emotion wheels: five wheels of words, their synonyms, and the forms of a word.

The files are those of OV-MERD and MER-UniBench (Apache-2.0): `wheel1.xlsx` .. `wheel5.xlsx`
(columns level1, level2, level3, from the inner ring outwards, an empty cell being that above it),
`synonym.xlsx` (columns word_run1, synonym_run1, ...) and `format.csv` (name, format).
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emosym import extras
from emosym.data.tables import read_table
from emosym.errors import UsageError
from emosym.files import read_file

WHEELS = 5
MAX_BYTES, MAX_UNPACKED = 8 * 1024 * 1024, 64 * 1024 * 1024
MAX_ROWS, MAX_COLUMNS = 100_000, 256
Labels = Mapping[str, str]
Rows = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Wheels:
    """What maps a word onto emotion wheels; all words are `wheel_word`s.

    `forms` maps a form of a word to its base forms, `synonyms` a base form to the words of the
    wheels that it is a synonym of. `rings` holds for each wheel what its words are called by on the
    inner ring (level 1) and on the second (level 2).
    """

    forms: Mapping[str, tuple[str, ...]]
    synonyms: Mapping[str, tuple[str, ...]]
    rings: tuple[tuple[Labels, Labels], ...]


def wheel_word(word: object) -> str:
    """Return a word as the tables compare it: lower case, no blanks around it."""
    return str(word).strip().lower()


def read_wheels(folder: str | Path) -> Wheels:
    """Read the tables in a folder.

    Raises:
        UsageError: for a missing, damaged or too large file, or one without its columns.
        EmoSymError: where the library that reads workbooks is not installed.
    """
    root = Path(folder)
    synonyms = _synonym_pairs(_workbook_rows(root / "synonym.xlsx"), root / "synonym.xlsx")
    rings = []
    for number in range(1, WHEELS + 1):
        path = root / f"wheel{number}.xlsx"
        rings.append(wheel_rings(_workbook_rows(path), str(path)))
    words = {word for level1, _ in rings for word in level1}
    pairs = {*synonyms, *((word, word) for word in words)}
    return Wheels(_read_forms(root / "format.csv"), _grouped(pairs), tuple(rings))


def wheel_rings(rows: Rows, name: str) -> tuple[Labels, Labels]:
    """Return {word: level-1 label} and {word: level-2 label} of one wheel's rows, header first.

    A word that stands on a wheel twice belongs where it stands last. On level 2 a level-1 word is
    called by the alphabetically first of its level-2 words.

    Raises:
        UsageError: for other columns, or a row without a word above it.
    """
    if not rows or [wheel_word(cell) for cell in rows[0][:3]] != ["level1", "level2", "level3"]:
        raise UsageError(f"The wheel {name} must have the columns level1, level2, level3.")
    inner, second = "", ""
    level1: dict[str, str] = {}
    level2: dict[str, str] = {}
    under: dict[str, set[str]] = {}
    for number, row in enumerate(rows[1:], start=2):
        cells = [wheel_word(cell) for cell in (*row, "", "", "")[:3]]
        if not any(cells):
            continue
        inner, second = cells[0] or inner, cells[1] or ("" if cells[0] else second)
        if not inner or not second:
            raise UsageError(f"The wheel {name}, row {number}: no word of the inner rings.")
        level1 |= {word: inner for word in (inner, second, cells[2]) if word}
        level2 |= {word: second for word in (second, cells[2]) if word}
        under.setdefault(inner, set()).add(second)
    level2 |= {word: min(words) for word, words in under.items() if word not in level2}
    return level1, level2


def _synonym_pairs(rows: Rows, path: Path) -> set[tuple[str, str]]:
    """Return (synonym, word of a wheel) of all runs; each such word is its own synonym."""
    header = [wheel_word(cell) for cell in rows[0]] if rows else []
    places = {name: place for place, name in enumerate(header)}
    runs = [
        (place, places[f"synonym_{name.removeprefix('word_')}"])
        for name, place in places.items()
        if name.startswith("word_") and f"synonym_{name.removeprefix('word_')}" in places
    ]
    if not runs:
        raise UsageError(f"The table {path} must have columns word_run1, synonym_run1 and so on.")
    pairs: set[tuple[str, str]] = set()
    for row in rows[1:]:
        for place, beside in runs:
            word = wheel_word(row[place]) if place < len(row) else ""
            if word:
                told = row[beside].split(",") if beside < len(row) else []
                pairs |= {(like, word) for like in (word, *map(wheel_word, told)) if like}
    return pairs


def _read_forms(path: Path) -> dict[str, tuple[str, ...]]:
    table = read_table(path)
    name, form = table.columns.get("name"), table.columns.get("format")
    if name is None or form is None:
        raise UsageError(f"The table {path} must have the columns name and format.")
    pairs: set[tuple[str, str]] = set()
    for row in table.rows:
        base = wheel_word(row[name]) if name < len(row) else ""
        told = next(csv.reader(io.StringIO(row[form])), []) if form < len(row) else []
        if base:
            pairs |= {(like, base) for like in (base, *map(wheel_word, told)) if like}
    return _grouped(pairs)


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for key, value in sorted(pairs):
        found.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in found.items()}


def _workbook_rows(path: Path) -> list[list[str]]:
    """Return the cells of a workbook's first sheet as texts, "" where empty."""
    data = read_file(path, "workbook of emotion words", MAX_BYTES)
    damaged = UsageError(f"The workbook {path} is damaged, or no .xlsx file; copy it again.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
    except (zipfile.BadZipFile, ValueError) as error:
        raise damaged from error
    if size > MAX_UNPACKED:
        raise UsageError(
            f"The workbook {path} unpacks to {size:,} bytes, {MAX_UNPACKED:,} at most."
        )
    openpyxl: Any = extras.require("openpyxl", "wheel")
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        cells = sheet.iter_rows(max_row=MAX_ROWS, max_col=MAX_COLUMNS, values_only=True)
        return [["" if cell is None else str(cell) for cell in row] for row in cells]
    except (KeyError, IndexError, ValueError, TypeError, AttributeError, SyntaxError) as error:
        raise damaged from error
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError) as error:
        raise damaged from error
