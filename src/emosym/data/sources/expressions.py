"""Pictures of faces with action units and emotions, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from emosym.data.action_units import unit_code
from emosym.data.dataset import Dataset
from emosym.data.notes import Note, Notes
from emosym.data.sources.dialogues import Line, dataset_of
from emosym.data.sources.known_files import file_of_split, folder_of
from emosym.data.stored_splits import ALL
from emosym.emotions import LabelSpace, label_space, translated
from emosym.errors import UsageError
from emosym.files import inside, read_text, write_text
from emosym.types import EXPRESSION, FER, Turn

STRONGEST = 5.0


def load_expressions(
    root: str | Path,
    split: str = ALL,
    space: str | LabelSpace = "ekman7",
    notes: Notes | None = None,
) -> Dataset:
    """Open lines of {"image", "action_units", "emotion"}: a sample a picture.

    Units are a list of codes or numbers, or {code: strength of 0..5}; emotions a label or a list of
    them, a compound. Targets are `expression` (units, with strengths, and emotions) and `fer`. A
    line without a picture's name, with an unknown unit or emotion, or a strength outside 0..5
    (NaN included) is left out and noted.

    Raises:
        UsageError: for no such file or split, or no line that can be read.
    """
    name, path = file_of_split(root, "expressions", split)
    base, bad, known = folder_of(root), list[Note](), label_space(space)
    found: dict[str, list[Line]] = {}
    for number, text in enumerate(read_text(path, "file of faces").split("\n"), start=1):
        where = f"{path.name}, line {number}"
        if not text.strip():
            continue
        try:
            line = _line(text, where, path.parent, base, known)
        except UsageError as error:
            bad.append(Note("bad_row", where, str(error)))
            continue
        found.setdefault(line.name, []).append(line)
    return dataset_of(found, base, name, known, notes, bad, EXPRESSION)


def _line(text: str, where: str, folder: Path, base: Path, space: LabelSpace) -> Line:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not valid JSON: {error}.") from error
    if not isinstance(row, dict) or not isinstance(row.get("image"), str):
        raise UsageError(f"{where} names no image.")
    frame = inside(folder, row["image"], "image").relative_to(base)
    units = _units(row.get("action_units"), where)
    emotions = tuple(_emotion(word, where, space) for word in _listed(row.get("emotion")))
    if not units and not emotions:
        raise UsageError(f"{where} tells no action unit and no emotion.")
    told = [code if value is None else f"{code}={value:g}" for code, value in units.items()]
    targets = {EXPRESSION: (*told, *emotions), FER: tuple(units)}
    return Line(row["image"], where, Turn(frames=(frame,)), targets=targets)


def _units(given: Any, where: str) -> dict[str, float | None]:
    pairs: Iterable[tuple[Any, Any]]
    pairs = given.items() if isinstance(given, Mapping) else ((u, None) for u in _listed(given))
    found: dict[str, float | None] = {}
    for name, strength in pairs:
        code = unit_code(str(name))
        if code is None:
            raise UsageError(f"{where}: {str(name)!r:.40} is no action unit.")
        number = isinstance(strength, (int, float)) and not isinstance(strength, bool)
        if strength is not None and not (number and 0.0 <= strength <= STRONGEST):
            raise UsageError(f"{where}: the strength of {code} must be 0..5, got {strength!r:.40}.")
        found[code] = None if strength is None else float(strength)
    return dict(sorted(found.items()))


def _emotion(word: object, where: str, space: LabelSpace) -> str:
    code = translated(str(word), space)
    if code is None:
        raise UsageError(f"{where}: {str(word)!r:.40} is no emotion of {space.name}.")
    return space.labels[code]


def _listed(given: Any) -> list[Any]:
    return list(given) if isinstance(given, (list, tuple)) else [] if given is None else [given]


def write_expressions(path: Path, dataset: Iterable[Any], folder: Path) -> int:
    """Write samples with an `expression` as such lines, atomically; return how many."""
    lines = []
    for sample in dataset:
        target = sample.targets.get(EXPRESSION)
        if not isinstance(target, tuple) or not sample.images:
            continue
        pairs = [str(part).partition("=")[::2] for part in target]
        units = {code: float(value) if value else None for code, value in pairs if unit_code(code)}
        row = {
            "image": Path(str(sample.images[0])).relative_to(folder).as_posix(),
            "action_units": units,
            "emotion": [code for code, _ in pairs if not unit_code(code)],
        }
        lines.append(json.dumps(row, ensure_ascii=False))
    write_text(path, "".join(f"{line}\n" for line in lines))
    return len(lines)
