"""Flickr-LDL and Twitter-LDL (Yang, Sun and Sun 2017): how many viewers voted for each emotion."""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath

import numpy as np

from emosym.data.dataset import MAX_VOTE, NO_LABEL, Dataset
from emosym.data.notes import Notes, complain
from emosym.data.stored_splits import ALL, DEFAULT_FRACTIONS, drawn_split
from emosym.data.tables import PictureNames, Table, read_table, simple, table_head
from emosym.data.walk import data_folder, entries
from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError, unknown_name
from emosym.files import FILE, look

SUFFIXES = (".txt", ".csv", ".tsv")
NAME_COLUMNS = ("imagesname", "imagename", "imgname", "image", "filename", "file", "name")


def load_ldl(
    root: str | Path,
    split: str = ALL,
    space: str | LabelSpace = "mikels8",
    notes: Notes | None = None,
) -> Dataset:
    """Open a folder with tables of votes and the pictures they name, usually in `images/`.

    A table is a .txt, .csv or .tsv whose header names every emotion of the space, in any order and
    case, and the picture (`ground_truth.txt` of both data sets is one). Tables named after a split
    (`train_ground_truth.txt`, `test.csv`) are that split; of a single table, "train", "val" and
    "test" are drawn once and written to splits.json. The label is the emotion with most votes, the
    first in label order where several have as many; a row without votes has no label.

    Raises:
        UsageError: for no such table, an unknown split, a count that is not a number of 0 or more
            (with `notes` such rows are left out and told of), or as `drawn_split`.
    """
    base, labels = Path(root), label_space(space)
    tables = vote_tables(base, labels)
    if not tables:
        raise UsageError(_no_table(base, labels))
    divided = {name: path for path in tables if (name := split_named(path)) is not None}
    if split in divided:
        return _from_table(base, read_table(divided[split]), split, labels, notes)
    if divided and (split != ALL or len(divided) == len(tables)):
        raise unknown_name(f"split of {str(root)!r}, which has tables of splits,", split, divided)
    rest = [path for path in tables if split_named(path) is None]
    if len(rest) > 1:
        raise UsageError(
            f"{str(root)!r} holds several tables of votes ({', '.join(p.name for p in rest)}); "
            "keep one, or name them after splits: train_..., val_..., test_...."
        )
    whole = _from_table(base, read_table(rest[0]), ALL, labels, notes)
    return drawn_split(whole, split, whole.labels())


def vote_tables(root: Path, space: LabelSpace) -> list[Path]:
    """Return the tables in a folder whose header names every emotion of the space, by name.

    Raises:
        UsageError: when there is no such folder.
    """
    found = [path for path in entries(data_folder(root)) if path.suffix.lower() in SUFFIXES]
    return [path for path in found if look(path) == FILE and _votes_in_header(path, space)]


def split_named(path: Path) -> str | None:
    """Return the split that a table's name begins or ends with, if any."""
    words = path.stem.lower().replace("-", "_").split("_")
    return next((name for name in DEFAULT_FRACTIONS if name in (words[0], words[-1])), None)


def _votes_in_header(path: Path, space: LabelSpace) -> bool:
    words = simple(table_head(path))
    return all(simple(label) in words for label in space.labels)


def _no_table(root: Path, space: LabelSpace) -> str:
    wanted = f"a table (.txt, .csv or .tsv) with the header: image {' '.join(space.labels)}"
    if any(root.glob("*.mat")):
        return (
            f"{str(root)!r} holds votes in a .mat file only, which does not say which column is "
            f"which emotion; use the ground_truth.txt that comes with it, or write {wanted}."
        )
    return f"{str(root)!r} holds no table of votes; it needs {wanted}."


def _from_table(
    root: Path, table: Table, split: str, space: LabelSpace, notes: Notes | None
) -> Dataset:
    places = _vote_columns(table, space)
    named = next((table.columns[n] for n in NAME_COLUMNS if n in table.columns), None)
    if named is None:
        named = next(i for i in range(len(table.header) + 1) if i not in places)
    pictures = PictureNames(root)
    images: list[str] = []
    counts: list[list[float]] = []
    for number, row in enumerate(table.rows):
        where = f"{table.path.name}, row {number}"
        try:
            if named >= len(row) or not row[named]:
                raise UsageError(f"{where} names no picture.")
            counts.append([_count(row, place, where) for place in places])
        except UsageError as error:
            complain(notes, "bad_row", where, error)
            continue
        images.append(pictures.find(row[named]))
    if not images:
        raise UsageError(f"{table.path} has no row that can be read.")
    votes = np.array(counts, dtype=np.float32)  # (N, C)
    codes = np.where(votes.any(1), votes.argmax(1), NO_LABEL).astype(np.int16)
    names = tuple(PurePosixPath(image).stem for image in images)
    if len(set(names)) < len(names):
        names = tuple(images)
    return Dataset(
        root, split, space, codes, names, tuple(images), (None,) * len(images), votes=votes
    )


def _vote_columns(table: Table, space: LabelSpace) -> list[int]:
    """Return the position of every emotion; names such as '[prob. anger]' count, too."""
    places = []
    for label in space.labels:
        exact = table.columns.get(simple(label))
        ends = [place for name, place in table.columns.items() if name.endswith(simple(label))]
        if exact is None and len(ends) != 1:
            raise unknown_name(f"columns in {table.path}: none is", label, table.header)
        places.append(ends[0] if exact is None else exact)
    return places


def _count(row: tuple[str, ...], place: int, where: str) -> float:
    text = row[place] if place < len(row) else ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= MAX_VOTE:
        raise UsageError(f"{where}: votes must be numbers of 0 or more, got {text!r:.80}.")
    return value
