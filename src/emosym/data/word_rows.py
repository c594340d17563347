"""Rows of emotion words as MER-UniBench, OV-MERD and others write them: CSV, JSON, a line each.

A row has a name, true words, an answer, and what was said, in columns of many names (COLUMNS). A
list of words is a list, or a text: "[happy, excited]", "happy; excited". A JSON object of objects
or lists maps names to rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emosym.data.notes import Notes, complain
from emosym.data.tables import read_table, simple
from emosym.errors import UsageError
from emosym.files import MAX_JSON_BYTES, decoded, read_file

# Simplified names (letters and digits) of columns, the first that a row has counts.
COLUMNS: dict[str, tuple[str, ...]] = {
    "name": (
        "name",
        "id",
        "sampleid",
        "videoname",
        "videoid",
        "video",
        "filename",
        "imageid",
        "key",
        "qid",
    ),
    "truth": (
        "openset",
        "ovlabels",
        "ovlabel",
        "ovemotion",
        "ovemotions",
        "groundtruth",
        "gt",
        "labels",
        "label",
        "solution",
        "truth",
        "emotions",
        "emotion",
        "discrete",
    ),
    "answer": ("response", "answer", "prediction", "predicted", "pred", "output"),
    "text": ("subtitle", "english", "text", "sentence", "transcript", "utterance"),
    "image": ("image", "imagepath", "picture", "imagename"),
}
TABLES = (".csv", ".tsv", ".txt")
LONGEST_PHRASE = 3  # words of one emotion: "let down", "don't care"
_PIECES = re.compile(r"[,;/|\n\u3001\uff0c\uff1b]|\band\b|\bor\b")
_AROUND = " \t\r\n.!?:*`\"'()[]{}\u201c\u201d\u2018\u2019\u3002"


def listed_words(text: str) -> tuple[str, ...]:
    """Return the emotion words of a text, lower case, each once, in order.

    They stand between commas, semicolons, slashes, line ends, "and" or "or", with any brackets or
    quotes around them. A piece without a letter, or of more than three words, is none.
    """
    words = [" ".join(piece.strip(_AROUND).split()) for piece in _PIECES.split(text.lower())]
    return tuple(
        dict.fromkeys(
            word
            for word in words
            if len(word.split()) <= LONGEST_PHRASE and any(sign.isalpha() for sign in word)
        )
    )


@dataclass(frozen=True, slots=True)
class WordRow:
    """One row: `truth` and `answer` are texts as an answer says words, None where there is none."""

    name: str
    where: str
    truth: str | None
    answer: str | None
    text: str | None
    image: str | None


def read_word_rows(path: Path, notes: Notes | None = None) -> list[WordRow]:
    """Return the rows of a CSV, a JSON list or object, or one JSON object a line.

    What is no row is noted, or stops where nobody takes notes; so does a name that stands twice.

    Raises:
        UsageError: for such a row without notes, a file that cannot be read, or without rows.
    """
    found: dict[str, WordRow] = {}
    for number, row in enumerate(_rows(path), start=1):
        where = f"{path.name}, row {number}"
        if not isinstance(row, dict):
            complain(notes, "bad_row", where, UsageError(f"{where} is no row: {row!r:.80}."))
            continue
        one = _word_row(row, number, where)
        if one.name in found:
            told = UsageError(f"{where}: {one.name!r} stands there twice.")
            complain(notes, "bad_row", where, told)
        else:
            found[one.name] = one
    if not found:
        raise UsageError(f"{path} holds no row of emotion words.")
    return list(found.values())


def _word_row(row: Mapping[str, Any], number: int, where: str) -> WordRow:
    plain = {simple(str(name)): value for name, value in row.items()}

    def told(kind: str) -> str | None:
        for name in COLUMNS[kind]:
            if plain.get(name) is not None:
                return _text(plain[name])
        return None

    return WordRow(
        told("name") or str(number),
        where,
        told("truth"),
        told("answer"),
        told("text"),
        told("image"),
    )


def _text(value: object) -> str:
    """Return a cell as text: a list as its words with commas."""
    if isinstance(value, (list, tuple)):
        return ", ".join(str(part) for part in value)
    return str(value)


def _rows(path: Path) -> Sequence[Any]:
    if path.suffix.lower() in TABLES:
        table = read_table(path)
        return [dict(zip(table.header, row, strict=False)) for row in table.rows]
    text = decoded(read_file(path, "file of emotion words", MAX_JSON_BYTES), f"The file {path}")
    lines = [line for line in text.split("\n") if line.strip()]
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        if len(lines) < 2:
            raise UsageError(f"{path} is not valid JSON: {error}.") from error
        return [_line(line) for line in lines]
    if isinstance(found, list):
        return found
    if not isinstance(found, dict):
        raise UsageError(f"{path} must hold rows, or names with their words.")
    if len(lines) == 1 and {simple(str(key)) for key in found} & set(COLUMNS["truth"]):
        return [found]  # a file of one line
    return [
        {"name": name, **row} if isinstance(row, dict) else {"name": name, "openset": row}
        for name, row in found.items()
    ]


def _line(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line
