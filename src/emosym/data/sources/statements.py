"""Statements about pictures with a judgement each, in the form of MVEI's records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emosym.data.dataset import Dataset
from emosym.data.notes import Note, Notes
from emosym.data.sources.dialogues import Line, dataset_of
from emosym.data.sources.known_files import file_of_split, folder_of
from emosym.data.statement_labels import MARKS, statement_class
from emosym.data.stored_splits import ALL
from emosym.data.tables import PictureNames
from emosym.data.text import plain
from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError, unknown_name
from emosym.files import inside, read_text
from emosym.types import OPEN, STATEMENT, Target, Turn


def load_statements(
    root: str | Path,
    split: str = ALL,
    space: str | LabelSpace = "mikels8",
    notes: Notes | None = None,
) -> Dataset:
    """Open records of statements, a JSON list or one a line: a sample a statement.

    A record is {"image_id", "ov_emotion": [...], "statement_list": [{"statement", "label":
    "correct" or "incorrect", "class", "subclass"}]}; its picture is found by name anywhere below.
    The turn has picture and statement; the target `statement` is (mark, class), `open` the emotion
    words. A statement without a picture, text, mark or known class is left out and noted.

    Raises:
        UsageError: for no such file or split, or no statement that can be read.
    """
    name, path = file_of_split(root, "statements", split)
    base, bad = folder_of(root), list[Note]()
    pictures = PictureNames(base)
    found: dict[str, list[Line]] = {}
    for number, record in enumerate(_records(path), start=1):
        where = f"{path.name}, record {number}"
        try:
            lines = list(_lines(record, where, base, pictures, bad))
        except UsageError as error:
            bad.append(Note("bad_row", where, str(error)))
            continue
        found |= {line.name: [line] for line in lines}
    return dataset_of(found, base, name, label_space(space), notes, bad, STATEMENT)


def _records(path: Path) -> list[Any]:
    text = read_text(path, "file of statements")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return [_record(line) for line in text.split("\n") if line.strip()]
    return found if isinstance(found, list) else [found]


def _record(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line


def _lines(
    record: Any, where: str, base: Path, pictures: PictureNames, bad: Notes
) -> Iterator[Line]:
    """Yield the statements of one record; those that cannot be read are noted in `bad`."""
    if not isinstance(record, dict) or not isinstance(record.get("statement_list"), list):
        raise UsageError(f"{where} is no record with a statement_list: {record!r:.60}.")
    name = str(record.get("image_id") or "")
    file = pictures.find(name) if name else ""
    if not file or not inside(base, file, "picture").is_file():
        raise UsageError(f"{where}: there is no picture {name!r} for its statements.")
    words = record.get("ov_emotion")
    listed = words if isinstance(words, list) else [words] if isinstance(words, str) else []
    emotions = tuple(plain(word).lower() for word in listed if plain(word))
    for number, one in enumerate(record["statement_list"], start=1):
        place = f"{where}, statement {number}"
        try:
            text, mark, kind = _statement(one, place)
        except UsageError as error:
            bad.append(Note("bad_row", place, str(error)))
            continue
        targets: dict[str, Target] = {STATEMENT: (mark, kind)}
        if emotions:
            targets[OPEN] = emotions
        about = {"image_id": name, "class": kind, "subclass": plain(one.get("subclass"))}
        turn = Turn(text=text, frames=(Path(file),))
        yield Line(f"{name}-{number}", place, turn, targets=targets, about=about)


def _statement(one: Any, place: str) -> tuple[str, str, str]:
    if not isinstance(one, Mapping):
        raise UsageError(f"{place} is no statement: {one!r:.60}.")
    text, mark = plain(one.get("statement")), plain(one.get("label")).lower()
    if not text:
        raise UsageError(f"{place} has no words.")
    if mark not in MARKS:
        raise unknown_name(f"statement label ({place})", mark, MARKS)
    return text, mark, statement_class(plain(one.get("class")))
