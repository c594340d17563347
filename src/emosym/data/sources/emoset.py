"""The EmoSet layout: `{split}.json` rows that point at pictures and annotations inside one root."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from emosym.data.dataset import NO_LABEL, Dataset, code_of
from emosym.data.notes import Notes, complain
from emosym.data.walk import data_folder, entries
from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError
from emosym.files import FILE, NOTHING, inside, look, read_json

INFO = "info.json"
MAX_INFO_BYTES = 16 * 1024 * 1024
SPLIT_NAMES = ("train", "val", "test", "validation", "valid", "dev")
HEAD_BYTES = 64 * 1024


def load_emoset(
    root: str | Path, split: str, space: str | LabelSpace = "mikels8", notes: Notes | None = None
) -> Dataset:
    """Open one split of a data set in EmoSet's layout; only `{split}.json` is read.

    Rows are [emotion, image, annotation] or [emotion, id, image, annotation]. The emotion may be
    null (no label), and so may the annotation. Without an id column the id is the picture's file
    name without suffix, or its whole path where two pictures share a name. With a list of `notes`
    malformed rows are left out and unknown emotions are no label; the list tells of each.

    Raises:
        UsageError: for a missing folder or split (lists the splits there are), a malformed row,
            or an unknown emotion (names file, row and nearest label).
    """
    base = data_folder(root)
    index = inside(base, f"{split}.json", "split")
    if look(index) == NOTHING:
        found = ", ".join(splits_of(base)) or "none"
        raise UsageError(f"{str(root)!r} has no split {split!r}; splits there: {found}.")
    rows = read_json(index, "split file")
    return from_rows(rows, base, split, label_space(space), index, notes)


def splits_of(root: Path) -> list[str]:
    """Return the names of the splits in a data set's folder, sorted: its JSON files of rows."""
    return sorted(path.stem for path in _json_files(root) if _holds_a_list(path))


def broken_splits(root: Path) -> list[str]:
    """Return a sentence on each file that is named like a split and holds no list of rows."""
    return [
        f"Split file {path} must hold a JSON list of rows, and does not begin like one."
        for path in _json_files(root)
        if path.stem.lower() in SPLIT_NAMES and not _holds_a_list(path)
    ]


def _json_files(root: Path) -> list[Path]:
    return [path for path in entries(root) if path.suffix == ".json" and look(path) == FILE]


def _holds_a_list(path: Path) -> bool:
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    text = head.decode(json.detect_encoding(head), errors="replace")
    return text.lstrip("\ufeff \t\r\n").startswith("[")


def from_rows(
    rows: Any,
    root: Path,
    split: str,
    space: LabelSpace,
    source: Path,
    notes: Notes | None = None,
) -> Dataset:
    """Build a data set from parsed rows; `source` names their file in errors.

    Raises:
        UsageError: as `load_emoset`.
    """
    if not isinstance(rows, list) or not rows:
        raise UsageError(f"Split file {source} must hold a JSON list of at least one row.")
    codes: dict[Any, int] = {label: code for code, label in enumerate(space.labels)}
    codes[None] = NO_LABEL
    columns = []
    for number, row in enumerate(rows):
        try:
            cells = _cells(row, number, source)
        except UsageError as error:
            complain(notes, "bad_row", f"{source.name}, row {number}", error)
            continue
        columns.append(cells)
        if cells[0] not in codes:
            codes[cells[0]] = _code(str(cells[0]), number, space, source, notes)
        elif notes is not None and cells[0] is not None and codes[cells[0]] == NO_LABEL:
            _code(str(cells[0]), number, space, source, notes)
    if not columns:
        raise UsageError(f"Split file {source} has no row that can be read.")
    emotions, names, images, annotations = zip(*columns, strict=True)
    if None in names:
        names = tuple(PurePosixPath(image).stem for image in images)
        if len(set(names)) < len(names):
            names = tuple(_without_suffix(image) for image in images)
    values = np.fromiter((codes[emotion] for emotion in emotions), np.int16, len(emotions))
    values.flags.writeable = False
    return Dataset(root, split, space, values, names, images, annotations)


def _without_suffix(image: str) -> str:
    path = PurePosixPath(image)
    return str(path.with_suffix("")) if path.name else image


def _cells(row: Any, number: int, source: Path) -> tuple[str | None, str | None, str, str | None]:
    """Return (emotion, id or None, image, annotation) of one row of three or four elements."""
    if isinstance(row, list) and len(row) in (3, 4):
        emotion, name, image, annotation = (row[0], None, *row[1:]) if len(row) == 3 else row
        name = str(name) if isinstance(name, int) else name
        if (
            (emotion is None or isinstance(emotion, str))
            and (isinstance(name, str) or len(row) == 3)
            and (isinstance(image, str) and image)
            and (annotation is None or isinstance(annotation, str))
        ):
            return emotion, name, image, annotation
    raise UsageError(
        f"{source}, row {number}: expected [emotion, image, annotation] or "
        f"[emotion, id, image, annotation], got {str(row)[:120]}."
    )


def _code(emotion: str, number: int, space: LabelSpace, source: Path, notes: Notes | None) -> int:
    try:
        return code_of(emotion, space, f"{source}, row {number}")
    except UsageError as error:
        complain(notes, "unknown_label", f"{source.name}, row {number}", error, emotion)
        return NO_LABEL


def attribute_values(root: str | Path) -> dict[str, tuple[Any, ...]]:
    """Return the possible values of every field in `info.json`, in index order.

    Raises:
        UsageError: when the file is missing or does not map values to indices 0..n-1.
    """
    path = Path(root) / INFO
    info = read_json(path, "data set description", MAX_INFO_BYTES)
    values: dict[str, tuple[Any, ...]] = {}
    for field, maps in info.items() if isinstance(info, dict) else ():
        names = maps.get("idx2label") if isinstance(maps, dict) else None
        if not isinstance(names, dict):
            continue
        if set(names) != {str(index) for index in range(len(names))}:
            raise UsageError(f"{path}: the indices of {field!r} must be 0..{len(names) - 1}.")
        values[field] = tuple(names[str(index)] for index in range(len(names)))
    if not values:
        raise UsageError(f"{path} describes no field with an 'idx2label' map.")
    return values
