"""ECF 2.0 (SemEval-2024 task 3): dialogues with the turns that cause each turn's emotion."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from emosym.data.clip_files import ClipFiles
from emosym.data.dataset import Dataset
from emosym.data.notes import Note, Notes, remark
from emosym.data.sources.dialogues import Line, dataset_of, whole_number
from emosym.data.sources.known_files import file_of_split, folder_of
from emosym.data.text import plain
from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError
from emosym.files import read_json
from emosym.types import ECPE, CausePair, Turn

PAIRS = "emotion-cause_pairs"
END = re.compile(r"\s*(\d{1,9})\s*(?:_(.*))?", re.DOTALL)


def load_ecf(
    root: str | Path,
    split: str = "train",
    space: str | LabelSpace = "meld7",
    notes: Notes | None = None,
) -> Dataset:
    """Open a split of ECF 2.0: `Subtask_1_train.json` (causes as spans) or `Subtask_2_train.json`.

    A sample is a turn; `mer` is its emotion, `ecpe` its causes, each turn once (an empty tuple
    where it has none, nothing where the file tells no pairs). Spans stay as the attribute
    `cause_spans`: the turn, counted from 0, and its words. Where both subtasks lie in a folder,
    the second's split is called `subtask_2_train`.

    Raises:
        UsageError: for no such file or split, a file that is no list of conversations, or an
            unknown emotion.
    """
    name, path = file_of_split(root, "ecf", split)
    rows, bad = read_json(path, "list of conversations"), list[Note]()
    if not isinstance(rows, list):
        raise UsageError(f"{path} must hold a JSON list of conversations.")
    clips = ClipFiles(folder_of(root), name)
    found: dict[str, list[Line]] = {}
    for position, row in enumerate(rows):
        where = f"{path.name}, conversation {position}"
        try:
            number = whole_number(_of(row, "conversation_ID"), "conversation_ID", where)
            key = f"conversation {number}"
            if key in found:
                raise UsageError(f"{where}: {key} stands there twice.")
            found[key] = _lines(row, number, f"{path.name}, {key}", clips, notes, bad)
        except UsageError as error:
            bad.append(Note("bad_row", where, str(error)))
    return dataset_of(found, folder_of(root), name, label_space(space), notes, bad, first=1)


def _of(row: Any, key: str) -> Any:
    return row.get(key) if isinstance(row, Mapping) else None


def _lines(
    row: Mapping[str, Any],
    number: int,
    where: str,
    clips: ClipFiles,
    notes: Notes | None,
    bad: Notes,
) -> list[Line]:
    given = row.get("conversation")
    if not isinstance(given, list):
        raise UsageError(f"{where} must have a list of its turns under 'conversation'.")
    turns: dict[int, Mapping[str, Any]] = {}
    for turn in given:
        try:
            count = whole_number(_of(turn, "utterance_ID"), "utterance_ID", where)
            if count in turns:
                raise UsageError(f"{where}: turn {count} stands there twice.")
            turns[count] = turn
        except UsageError as error:
            bad.append(Note("bad_row", where, str(error)))
    order = {count: place for place, count in enumerate(sorted(turns))}
    pairs, spans = _causes(row.get(PAIRS), order, where, notes, bad)
    lines = []
    for count, place in order.items():
        turn = turns[count]
        at = f"{where}, turn {count}"
        emotion = str(turn["emotion"]) if turn.get("emotion") else None
        causes = None if pairs is None else pairs.get(place, [])
        file = turn.get("video_name")
        clip = clips.find(PurePosixPath(str(file)).stem, at, notes) if file else None
        said = Turn(plain(turn.get("speaker")) or None, plain(turn.get("text")) or None, clip=clip)
        known = {} if causes is None else {ECPE: tuple(_named(causes, place, emotion))}
        about = {"cause_spans": tuple(spans[place])} if place in spans else {}
        lines.append(Line(f"{number}_{count}", at, said, emotion, count, None, known, about))
    return lines


def _named(causes: Sequence[int], place: int, emotion: str | None) -> list[CausePair]:
    return [CausePair(place, emotion, cause) for cause in causes]


def _causes(
    pairs: Any, order: Mapping[int, int], where: str, notes: Notes | None, bad: Notes
) -> tuple[dict[int, list[int]] | None, dict[int, list[tuple[int, str]]]]:
    """Return the causes of each turn and their spans, all counted from 0; None: not told."""
    if not isinstance(pairs, list):
        return None, {}
    found: dict[int, list[int]] = {}
    spans: dict[int, list[tuple[int, str]]] = {}
    for pair in pairs:
        ends = [END.fullmatch(str(end)) for end in pair] if isinstance(pair, list) else []
        if len(ends) != 2 or ends[0] is None or ends[1] is None:
            sentence = f"{where}: the pair {pair!s:.80} is not two turns."
            bad.append(Note("bad_row", where, sentence))
            continue
        turn, cause = order.get(int(ends[0][1])), order.get(int(ends[1][1]))
        if turn is None or cause is None:
            sentence = f"{where}: the pair {pair!s:.80} points outside its {len(order)} turns."
            bad.append(Note("pairs_outside", where, sentence))
            continue
        if ends[1][2]:
            spans.setdefault(turn, []).append((cause, plain(ends[1][2])))
        if cause not in found.setdefault(turn, []):
            found[turn].append(cause)
        elif not ends[1][2]:
            remark(notes, "duplicate_pairs", where, f"{where} has the pair {pair!s:.80} twice.")
    return found, spans
