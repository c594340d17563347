"""The AMT set, EmoVerse's tasks in one folder: what `emosym data amt build` writes, read back.

docs/data-amt.md tells the files. Conversations stand once; a row is one task's truth of one turn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emosym.data.action_units import UNITS
from emosym.data.dataset import NO_LABEL, Dataset, code_of
from emosym.data.notes import Notes, complain
from emosym.emotions import LabelSpace, label_space, translated
from emosym.errors import UsageError, unknown_name
from emosym.files import MAX_JSON_BYTES, decoded, inside, read_file, read_json
from emosym.types import ECPE, ERI, FER, MER, MSA, TEXT_EMOTION, CausePair, Target, Turn

AMT_SCHEMA = "emosym.amt/1"
ABOUT, CONVERSATIONS = "amt.json", "conversations.jsonl"
TASKS = (MSA, MER, FER, ERI, ECPE, TEXT_EMOTION)
MOST_TURNS = 10_000
Row = dict[str, Any]


def target_row(value: Target) -> Any:
    """Return a truth as JSON: pairs as [turn, emotion, cause], turns counted from 0."""
    if isinstance(value, tuple):
        return [list(part) if isinstance(part, tuple) else part for part in value]
    return value


def target_of(task: str, value: Any, where: str) -> Target:
    """Return the truth that JSON tells; a UsageError where it is none of that task."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if task == MSA and number and -3 <= value <= 3:
        return float(value)
    if task in (MSA, MER, ERI, TEXT_EMOTION) and isinstance(value, str):
        return value
    if isinstance(value, list) and task in (FER, TEXT_EMOTION):
        if all(isinstance(part, str) and (task != FER or part in UNITS) for part in value):
            return tuple(value)
    elif isinstance(value, list) and task == ECPE and all(map(_is_pair, value)):
        return tuple(CausePair(*pair) for pair in value)
    raise UsageError(f"{where}: {value!r:.80} is no truth of {task}.")


def _is_pair(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 3:
        return False
    turn, emotion, cause = value
    return type(turn) is type(cause) is int and (emotion is None or isinstance(emotion, str))


def turn_row(turn: Turn, frames: Sequence[str], clip: str | None) -> Row:
    """Return a turn as JSON, what is None left out; paths are those that are given."""
    told: Row = {"speaker": turn.speaker, "text": turn.text, "frames": list(frames) or None}
    told |= {"clip": clip, "start": turn.start, "end": turn.end, "emotion": turn.emotion}
    return {key: value for key, value in told.items() if value is not None}


def splits_of_amt(base: Path) -> list[str]:
    """Return the splits of an AMT folder.

    Raises:
        UsageError: when it is none.
    """
    about = read_json(base / ABOUT, "AMT set")
    counts = about.get("counts") if isinstance(about, dict) else None
    if not isinstance(counts, dict) or about.get("schema") != AMT_SCHEMA:
        raise UsageError(
            f"{str(base)!r} is no AMT set of this version ({AMT_SCHEMA}); build one with "
            "`emosym data amt build`."
        )
    return list(counts)


def load_amt(
    root: str | Path,
    split: str = "train",
    space: str | LabelSpace = "meld7",
    notes: Notes | None = None,
) -> Dataset:
    """Open a split of an AMT folder; a sample is a turn with the truths of all its tasks.

    Raises:
        UsageError: when it is no AMT folder, has no such split, or (where nobody takes notes) for a
            row that cannot be read.
    """
    base, chosen = Path(root), label_space(space)
    splits = splits_of_amt(base)
    if split not in splits:
        raise unknown_name("split", split, splits)
    conversations = dict(_conversations(base, notes))
    numbers = {name: number for number, name in enumerate(conversations)}
    samples: dict[tuple[str, int], tuple[str, dict[str, Target], Row]] = {}
    for where, row in _rows(base / f"{split}.jsonl", notes):
        try:
            name, focus, task, target = _checked(row, conversations, where)
            if task == MER:
                target = _label(str(target), chosen, where)
            elif task == TEXT_EMOTION and isinstance(target, tuple):
                target = tuple(dict.fromkeys(_label(str(word), chosen, where) for word in target))
            elif task == TEXT_EMOTION:
                target = _label(str(target), chosen, where)
        except UsageError as error:
            complain(notes, "bad_row", where, error)
            continue
        key = str(row["conversation"]), focus
        samples.setdefault(key, (name, {}, {"source": row.get("source")}))[1][task] = target
    if not samples:
        raise UsageError(f"{str(base)!r} holds no row that can be read in its split {split!r}.")
    return _dataset(base, split, chosen, conversations, numbers, samples)


def _label(word: str, space: LabelSpace, where: str) -> str:
    """Return an emotion, which sources write in forms of their own, as the space has it."""
    code = translated(word, space)
    return space.labels[code_of(word, space, where) if code is None else code]


def _dataset(
    base: Path,
    split: str,
    space: LabelSpace,
    conversations: Mapping[str, tuple[Turn, ...]],
    numbers: Mapping[str, int],
    samples: Mapping[tuple[str, int], tuple[str, dict[str, Target], Row]],
) -> Dataset:
    told = [targets.get(MER) for _, targets, _ in samples.values()]
    codes = [NO_LABEL if label is None else space.index(str(label)) for label in told]
    kept = [{k: v for k, v in truth.items() if k != MER} for _, truth, _ in samples.values()]
    return Dataset(
        root=base,
        split=split,
        space=space,
        codes=np.array(codes, dtype=np.int16),
        names=tuple(name for name, _, _ in samples.values()),
        images=(),
        annotations=(None,) * len(samples),
        about=tuple(about for _, _, about in samples.values()),
        targets=tuple(kept),
        task=MER,
        conversations=tuple(conversations.values()),
        places=np.array([(numbers[name], focus) for name, focus in samples], dtype=np.int64),
    )


def _rows(path: Path, notes: Notes | None) -> Iterator[tuple[str, Row]]:
    text = decoded(read_file(path, "AMT rows", MAX_JSON_BYTES), f"The file {path}")
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{path.name}, line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise UsageError(f"{where} is no JSON object.")
        except UsageError as error:
            complain(notes, "bad_row", where, error)
        except (ValueError, RecursionError) as error:
            complain(notes, "bad_row", where, UsageError(f"{where} is not valid JSON: {error}."))
        else:
            yield where, row


def _conversations(base: Path, notes: Notes | None) -> Iterator[tuple[str, tuple[Turn, ...]]]:
    for where, row in _rows(base / CONVERSATIONS, notes):
        turns = row.get("turns")
        if not isinstance(turns, list) or not 0 < len(turns) <= MOST_TURNS:
            error = UsageError(f"{where}: 'turns' must be a list of 1 to {MOST_TURNS} turns.")
            complain(notes, "bad_row", where, error)
            continue
        try:
            yield str(row.get("id")), tuple(_turn(turn, base, where) for turn in turns)
        except UsageError as error:
            complain(notes, "bad_row", where, error)


def _turn(row: Any, base: Path, where: str) -> Turn:
    """Return a turn whose paths stay inside `base`; they are kept relative, as data sets have."""
    found = row if isinstance(row, dict) else {}
    frames, clip = found.get("frames") or [], found.get("clip")
    words = [found.get(name) for name in ("speaker", "text", "emotion", "clip")]
    times = [found.get(name) for name in ("start", "end")]
    if (
        not isinstance(row, dict)
        or not all(word is None or isinstance(word, str) for word in words)
        or not all(time is None or isinstance(time, (int, float)) for time in times)
        or not isinstance(frames, list)
        or not all(isinstance(frame, str) for frame in frames)
    ):
        raise UsageError(f"{where}: {row!r:.80} is no turn.")
    for path in (*frames, *([] if clip is None else [clip])):
        inside(base, path, "frame or clip")
    return Turn(
        found.get("speaker"),
        found.get("text"),
        tuple(Path(frame) for frame in frames),
        None if clip is None else Path(clip),
        found.get("start"),
        found.get("end"),
        found.get("emotion"),
    )


def _checked(
    row: Row, conversations: Mapping[str, tuple[Turn, ...]], where: str
) -> tuple[str, int, str, Target]:
    """Return (id, focus, task, truth) of a row, the focus -1 where it is of the whole."""
    turns = conversations.get(str(row.get("conversation")))
    if turns is None:
        raise UsageError(f"{where}: there is no conversation {row.get('conversation')!r:.60}.")
    focus = row.get("focus")
    if focus is not None and (not isinstance(focus, int) or not 0 <= focus < len(turns)):
        raise UsageError(f"{where}: the conversation has {len(turns)} turns, no turn {focus!r}.")
    task = row.get("task")
    if task not in TASKS:
        raise unknown_name(f"task ({where})", str(task), TASKS)
    target = target_of(task, row.get("target"), where)
    if isinstance(target, tuple):
        for pair in target:
            if isinstance(pair, CausePair) and not (
                0 <= pair.turn < len(turns) and 0 <= pair.cause < len(turns)
            ):
                raise UsageError(f"{where}: a pair points outside the conversation: {pair}.")
    return str(row.get("id")), -1 if focus is None else focus, str(task), target
