"""What readers of conversations share: turns as files have them in, a `Dataset` out."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from emosym.data.dataset import NO_LABEL, Dataset
from emosym.data.notes import Note, Notes, complain, remark
from emosym.data.tables import Table
from emosym.emotions import LabelSpace, normal, translated
from emosym.errors import UsageError, unknown_name
from emosym.types import ECPE, MER, CausePair, Target, Turn

WHOLE = re.compile(r"[0-9]{1,9}")  # Python refuses to read a number of thousands of digits
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Line:
    """One turn of a file. `label` is its emotion as written there, None where it has none.

    `where` names its row in messages, `number` is how the file counts it, `times` are the seconds
    of a recording in which it is said. `targets` and `about` are those of its sample.
    """

    name: str
    where: str
    turn: Turn
    label: str | None = None
    number: int | None = None
    times: tuple[float, float] | None = None
    targets: Mapping[str, Target] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


def dataset_of(
    dialogues: Mapping[str, Sequence[Line]],
    root: Path,
    split: str,
    space: LabelSpace,
    notes: Notes | None,
    bad: Sequence[Note] = (),
    task: str = MER,
    first: int = 0,
) -> Dataset:
    """Return a data set with a sample of every turn; `dialogues` maps names to turns in order.

    A label is taken in the form that the space has it (`emotions.translated`). `bad` is what the
    reader left out. Like what is odd (spellings, gaps in numbers that begin at `first`, times), it
    is noted and stops nothing; where nobody takes notes, a warning counts it.

    Raises:
        UsageError: for a label that the space has in no form (where nobody takes notes), or for no
            turn at all.
    """
    spelled: dict[int, dict[str, int]] = {}
    codes: list[int] = []
    conversations: list[tuple[Turn, ...]] = []
    lines: list[Line] = []
    targets: list[Mapping[str, Target]] = []
    places: list[tuple[int, int]] = []
    left_out, seen = list(bad), set[str]()
    for name, given in dialogues.items():
        found = _once(given, seen, left_out)
        if not found:
            remark(notes, "empty_conversations", name, f"{name} has no turn.")
            continue
        turns = []
        for place, line in enumerate(found):
            code = _code(line, space, notes, spelled)
            label = None if code == NO_LABEL else space.labels[code]
            # a number or several labels are more than the one that a turn has
            told = None if task in line.targets else label
            turns.append(line.turn if told is None else replace(line.turn, emotion=told))
            targets.append(_in_space(line.targets, label))
            codes.append(code)
            places.append((len(conversations), place))
        lines += found
        conversations.append(tuple(turns))
        _remark_order(name, found, first, notes)
    if not lines:
        raise UsageError(f"{str(root)!r} holds no turn that can be read in its split {split!r}.")
    _remark_spellings(split, space, spelled, notes)
    if notes is not None:
        notes += left_out
    elif left_out:
        first_sentence = left_out[0].sentence
        logger.warning("Left out in %s: %d, the first: %s", root, len(left_out), first_sentence)
    return Dataset(
        root=root,
        split=split,
        space=space,
        codes=np.array(codes, dtype=np.int16),
        names=tuple(line.name for line in lines),
        images=(),
        annotations=(None,) * len(lines),
        about=tuple(line.about for line in lines),
        targets=tuple(targets),
        task=task,
        conversations=tuple(conversations),
        places=np.array(places, dtype=np.int64),
    )


def _in_space(targets: Mapping[str, Target], label: str | None) -> Mapping[str, Target]:
    """Return targets whose causes name the turn's emotion as the label space does."""
    pairs = targets.get(ECPE)
    if not isinstance(pairs, tuple) or not pairs:
        return targets
    renamed = (pair._replace(emotion=label) for pair in pairs if isinstance(pair, CausePair))
    return {**targets, ECPE: tuple(renamed)}


def _once(given: Sequence[Line], seen: set[str], bad: Notes) -> list[Line]:
    """Return the turns whose names were not `seen`; of the others it is told."""
    found = []
    for line in given:
        if line.name in seen:
            sentence = f"{line.where}: {line.name} stands there twice."
            bad.append(Note("bad_row", line.where, sentence))
        else:
            seen.add(line.name)
            found.append(line)
    return found


def _code(
    line: Line, space: LabelSpace, notes: Notes | None, spelled: dict[int, dict[str, int]]
) -> int:
    label = line.label
    if label is None or not label.strip():
        return NO_LABEL
    code = next((code for code, forms in spelled.items() if label in forms), None)
    if code is None:
        code = translated(label, space)
    if code is None:
        error = unknown_name(f"emotion ({line.where})", label, space.labels)
        complain(notes, "unknown_label", line.where, error, normal(label))
        return NO_LABEL
    forms = spelled.setdefault(code, {})
    forms[label] = forms.get(label, 0) + 1
    return code


def _remark_spellings(
    split: str, space: LabelSpace, spelled: Mapping[int, Mapping[str, int]], notes: Notes | None
) -> None:
    for code, forms in spelled.items():
        if len(forms) > 1:
            told = ", ".join(f"{form!r} ({count})" for form, count in forms.items())
            label = space.labels[code]
            sentence = f"{split}: {label} is spelled {told}."
            remark(notes, "spellings", f"{split}, {label}", sentence, label)


def _remark_order(name: str, lines: Sequence[Line], first: int, notes: Notes | None) -> None:
    """Note gaps in how a dialogue's turns are counted, and times that overlap or go back."""
    if notes is None:
        return
    numbers = {line.number for line in lines if line.number is not None}
    missing = sorted(set(range(first, max(numbers, default=0))) - numbers)
    if missing:
        told = ", ".join(map(str, missing[:5])) + (" and more" if len(missing) > 5 else "")
        remark(notes, "id_gaps", name, f"{name} has no turn {told}.")
    before: tuple[float, float] | None = None
    for line in lines:
        if line.times is None:
            continue
        start, end = line.times
        if end < start:
            sentence = f"{line.where} ends at {end:g} s, before it begins at {start:g} s."
            remark(notes, "backward_times", line.where, sentence)
        if before is not None and start < before[0]:
            sentence = f"{line.where} begins at {start:g} s, before the turn above ({before[0]:g})."
            remark(notes, "backward_times", line.where, sentence)
        if before is not None and start < before[1]:
            sentence = f"{line.where} begins at {start:g} s, the turn above ends at {before[1]:g}."
            remark(notes, "overlapping_times", line.where, sentence)
        before = (start, end)


def cell(table: Table, row: Sequence[str], *names: str) -> str:
    """Return what a row has in the first of some columns that the table has, or nothing."""
    for name in names:
        place = table.columns.get(name)
        if place is not None:
            return row[place] if place < len(row) else ""
    return ""


def whole_number(text: object, what: str, where: str) -> int:
    """Return a number of turns or dialogues, also as spreadsheets write them (3.0).

    Raises:
        UsageError: when it is none.
    """
    found = re.fullmatch(r"\s*(\d{1,9})(?:\.0*)?\s*", str(text))
    if found is None:
        raise UsageError(f"{where}: {what} must be a whole number, got {str(text)!r:.60}.")
    return int(found[1])


def by_name(lines: Iterable[tuple[str, Line]]) -> dict[str, list[Line]]:
    """Return turns by the name of their dialogue, in the order in which the file counts them."""
    found: dict[str, list[Line]] = {}
    for name, line in lines:
        found.setdefault(name, []).append(line)
    for several in found.values():
        several.sort(key=lambda line: -1 if line.number is None else line.number)
    return found
