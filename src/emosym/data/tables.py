"""Small tables as others ship them: commas, tabs or spaces, and line ends of any age."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from emosym.data.file_kinds import SUFFIXES
from emosym.data.walk import find_images, only_paths
from emosym.errors import UsageError
from emosym.files import decoded, read_file

MAX_BYTES = 64 * 1024 * 1024
HEAD_BYTES = 64 * 1024
# Of the csv module, for the whole process: a turn of 30,000 words is longer than its own limit.
csv.field_size_limit(MAX_BYTES)
IMAGE_FOLDERS = ("images", "Images", "image", "img")


@dataclass(frozen=True, slots=True)
class Table:
    """A header and its rows; `columns` maps simplified names (letters and digits) to positions."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    columns: dict[str, int]


def simple(name: str) -> str:
    """Return the lower-case letters and digits of a name: 'Images-name' gives 'imagesname'."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def read_table(path: Path) -> Table:
    """Read a table with a header, separated by commas, tabs, semicolons or spaces.

    The text is what `files.decoded` reads, or else Windows' Latin-1; blank lines are passed over.
    Where fields are separated by spaces, a first field with spaces in it (a file's name) is put
    together again.

    Raises:
        UsageError: for a missing, too large or empty file.
    """
    text = table_text(read_file(path, "table", MAX_BYTES), path)
    first = text.split("\n", 1)[0]
    mark = next((mark for mark in "\t,;" if mark in first), None)
    lines = io.StringIO(text)
    if mark is None:
        found = [_by_spaces(line, len(first.split())) for line in lines]
    else:
        try:
            found = list(csv.reader(lines, delimiter=mark, skipinitialspace=True))
        except csv.Error as error:
            raise UsageError(f"The table {path} cannot be read: {error}.") from error
    rows = [tuple(cell.strip() for cell in row) for row in found if any(map(str.strip, row))]
    if len(rows) < 2:
        raise UsageError(f"The table {path} holds no row below its header.")
    columns = {simple(name): place for place, name in reversed(list(enumerate(rows[0])))}
    return Table(path, rows[0], tuple(rows[1:]), columns)


def table_text(data: bytes, path: Path) -> str:
    """Return the text of a table's bytes from its first line that is not blank."""
    try:
        text = decoded(data, f"The table {path}")
    except UsageError:
        text = decoded(data.decode("latin-1").encode(), f"The table {path}")
    return re.sub(r"\A(?:[ \t,;]*\n)+", "", text)


def table_head(path: Path) -> str:
    """Return the first line of a table that is not blank, at most HEAD_BYTES of it."""
    text = head_text(path)
    return next((line for line in text.split("\n") if line.strip(" \t,;\ufeff")), "")


def head_text(path: Path) -> str:
    """Return the text that a file begins with, at most HEAD_BYTES of it."""
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    text = head.decode(json.detect_encoding(head), errors="replace")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _by_spaces(line: str, width: int) -> list[str]:
    cells = line.split()
    surplus = len(cells) - width
    return cells if surplus <= 0 else [" ".join(cells[: surplus + 1]), *cells[surplus + 1 :]]


def column_of(table: Table, names: Sequence[str]) -> int | None:
    """Return the position of the first of `names` (simplified) that the table has."""
    return next((table.columns[name] for name in names if name in table.columns), None)


class PictureNames:
    """Finds the file of a name in a table: exactly, without a suffix, or by letters and digits."""

    def __init__(self, root: Path) -> None:
        """List the pictures of a folder once; those in `images/` go before others."""
        self.root = root
        found = [path.relative_to(root).as_posix() for path in _pictures(root)]
        found.sort(key=lambda name: (name.split("/", 1)[0] not in IMAGE_FOLDERS, name))
        self.files: dict[str, str] = {}
        for name in reversed(found):
            path = PurePosixPath(name)
            for key in (simple(path.stem), path.stem, path.name, name):
                self.files[key] = name

    def find(self, name: str) -> str:
        """Return a path relative to the root; where there is no such file, the likely one."""
        for key in (name, PurePosixPath(name).name, simple(_stem(name))):
            if key in self.files:
                return self.files[key]
        folder = next((f for f in IMAGE_FOLDERS if (self.root / f).is_dir()), None)
        file = name if PurePosixPath(name).suffix.lower() in SUFFIXES else f"{name}.jpg"
        return f"{folder}/{file}" if folder else file


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def _pictures(root: Path) -> list[Path]:
    try:
        return list(only_paths(find_images([root])))
    except UsageError:  # a table may come without its pictures; readers and checks name them
        return []
