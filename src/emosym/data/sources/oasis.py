"""OASIS (Kurdi, Lozano and Banaji 2017): photographs with mean valence and arousal, no emotion."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from emosym.data.dataset import NO_LABEL, Dataset
from emosym.data.notes import Notes, complain
from emosym.data.stored_splits import ALL, drawn_split
from emosym.data.tables import PictureNames, Table, column_of, read_table
from emosym.data.walk import data_folder
from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError, unknown_name
from emosym.files import FILE, look

TABLES = ("OASIS.csv", "oasis.csv", "ratings.csv")
RATING_MIN, RATING_MAX = 1.0, 7.0
NAME_COLUMNS = ("file", "filename", "image", "imagename", "theme")
RATINGS = {
    "valence": ("valencemean", "valencemean1to7", "valence"),
    "arousal": ("arousalmean", "arousalmean1to7", "arousal"),
}
# Kept as attributes, under these names, where the table has them.
MORE_TEXT = ("theme", "category", "source")
MORE_NUMBERS = {
    "valence_sd": "valencesd",
    "valence_n": "valencen",
    "arousal_sd": "arousalsd",
    "arousal_n": "arousaln",
}
STRATA = 5


def load_oasis(
    root: str | Path,
    split: str = ALL,
    space: str | LabelSpace = "mikels8",
    notes: Notes | None = None,
) -> Dataset:
    """Open OASIS: its folder with OASIS.csv (or a ratings.csv of the same columns) and pictures.

    Samples have `valence` and `arousal`, means of raters on 1..7, and no label. A row's picture is
    the file that it names or the theme's (`Acorns 1` is `images/Acorns 1.jpg` or `acorns_1.jpg`).
    `split` is "all", or train, val or test: drawn once, with valence alike in each, and written to
    splits.json.

    Raises:
        UsageError: for a missing table or column, a rating that is not a number of 1..7 (with
            `notes` such rows are left out and told of), or as `drawn_split`.
    """
    base = Path(root)
    table = read_table(oasis_table(base))
    places = {key: column_of(table, names) for key, names in RATINGS.items()}
    for key, place in places.items():
        if place is None:
            raise unknown_name(
                f"columns in {table.path}: none is", RATINGS[key][0], table.header, "(rename one)"
            )
    named = column_of(table, NAME_COLUMNS)
    if named is None:
        raise UsageError(
            f"{table.path} needs a column of picture names, called file or Theme; it has "
            f"{', '.join(table.header)}."
        )
    pictures = PictureNames(base)
    images: list[str] = []
    affect: list[list[float]] = []
    about: list[dict[str, Any]] = []
    for number, row in enumerate(table.rows):
        where = f"{table.path.name}, row {number}"
        try:
            ratings = [_rating(row, place, key, where) for key, place in places.items()]
            name = _cell(row, named)
            if not name:
                raise UsageError(f"{where} names no picture.")
        except UsageError as error:
            complain(notes, "bad_row", where, error)
            continue
        images.append(pictures.find(name))
        affect.append(ratings)
        about.append(_about(table, row))
    if not images:
        raise UsageError(f"{table.path} has no row that can be read.")
    values = np.array(affect, dtype=np.float64)  # (N, 2)
    whole = Dataset(
        root=base,
        split=ALL,
        space=label_space(space),
        codes=np.full(len(images), NO_LABEL, np.int16),
        names=tuple(images),
        images=tuple(images),
        annotations=(None,) * len(images),
        affect=values,
        about=tuple(about),
    )
    edges = np.quantile(values[:, 0], np.linspace(0, 1, STRATA + 1)[1:-1])
    return drawn_split(whole, split, np.searchsorted(edges, values[:, 0]))


def oasis_table(root: Path) -> Path:
    """Return the table of ratings in a folder.

    Raises:
        UsageError: when there is none.
    """
    base = data_folder(root)
    found = next((base / name for name in TABLES if look(base / name) == FILE), None)
    if found is None:
        raise UsageError(
            f"{str(root)!r} holds neither OASIS.csv nor ratings.csv, the table of ratings."
        )
    return found


def _cell(row: tuple[str, ...], place: int | None) -> str:
    return row[place] if place is not None and place < len(row) else ""


def _rating(row: tuple[str, ...], place: int | None, key: str, where: str) -> float:
    text = _cell(row, place)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not RATING_MIN <= value <= RATING_MAX:
        raise UsageError(f"{where}: {key} must be a number of 1..7, got {text!r}.")
    return value


def _about(table: Table, row: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in MORE_TEXT:
        text = _cell(row, table.columns.get(name))
        if text:
            found[name] = text
    for name, column in MORE_NUMBERS.items():
        try:
            found[name] = float(_cell(row, table.columns.get(column)))
        except ValueError:
            continue
    return found
