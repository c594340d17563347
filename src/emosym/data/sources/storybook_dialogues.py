"""Storybook conversations as `emosym data storybook-dialogues` writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emosym.data.action_units import checked_units
from emosym.data.dataset import Dataset
from emosym.data.notes import Note, Notes
from emosym.data.sources.dialogues import Line, dataset_of
from emosym.data.sources.known_files import file_of_split, folder_of
from emosym.data.storybook.dialogues.rules import CONTRADICTIONS
from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError
from emosym.files import read_json
from emosym.types import ECPE, ERI, FER, MSA, CausePair, Target, Turn

SOURCE = "storybook-dialogues"
ABOUT = ("face", "claim", "mode", "intensity")


def load_storybook_dialogues(
    root: str | Path,
    split: str = "train",
    space: str | LabelSpace = "meld7",
    notes: Notes | None = None,
) -> Dataset:
    """Open a split of storybook conversations; a sample is a turn.

    Targets: `mer`, `msa` (-3..3), `fer` (codes of action units), `ecpe` (the turn's cause, an empty
    tuple where it has none) and `eri` (why, where somebody is moved). Attributes tell what was
    planted: the face, what the words claim, `contradiction` (words or face: which is true, where
    they differ), and the events of the conversation.

    Raises:
        UsageError: for no such split, a file that holds no conversations, or an unknown emotion.
    """
    name, path = file_of_split(root, SOURCE, split)
    found = read_json(path, "split file")
    rows = found.get("dialogues") if isinstance(found, dict) else None
    if not isinstance(rows, list):
        raise UsageError(f"{path} must hold a list of conversations under 'dialogues'.")
    dialogues: dict[str, list[Line]] = {}
    bad: list[Note] = []
    for position, row in enumerate(rows):
        where = f"{path.name}, conversation {position}"
        try:
            key, lines = _lines(row, where)
            if key in dialogues:
                raise UsageError(f"{where}: {key} stands there twice.")
            dialogues[key] = lines
        except UsageError as error:
            bad.append(Note("bad_row", where, str(error)))
    return dataset_of(dialogues, folder_of(root), name, label_space(space), notes, bad)


def _lines(row: Any, where: str) -> tuple[str, list[Line]]:
    given = row.get("turns") if isinstance(row, Mapping) else None
    events = row.get("events") if isinstance(row, Mapping) else None
    if not isinstance(given, list) or not isinstance(events, list):
        raise UsageError(f"{where} must have lists under 'turns' and 'events'.")
    name = str(row.get("id") or where)
    lines = []
    for place, turn in enumerate(given):
        at = f"{where}, turn {place}"
        if not isinstance(turn, Mapping) or not isinstance(turn.get("picture"), str):
            raise UsageError(f"{at} must be an object with a path under 'picture'.")
        said = Turn(_text(turn, "speaker"), _text(turn, "text"), (Path(turn["picture"]),))
        emotion = _text(turn, "emotion")
        known = _targets(turn, place, len(given), at, emotion)
        about = {key: turn[key] for key in ABOUT if turn.get(key) is not None}
        about["events"] = tuple(dict(event) for event in events if isinstance(event, Mapping))
        about["about"] = turn.get("about")
        true = CONTRADICTIONS.get(str(about.get("mode")))
        if true is not None:
            about["contradiction"] = true
        lines.append(Line(f"{name}_{place}", at, said, emotion, place, None, known, about))
    return name, lines


def _targets(
    turn: Mapping[str, Any], place: int, length: int, where: str, emotion: str | None
) -> dict[str, Target]:
    sentiment, cause, units = turn.get("sentiment"), turn.get("cause"), turn.get("action_units")
    if not isinstance(sentiment, (int, float)) or not -3 <= sentiment <= 3:
        raise UsageError(
            f"{where}: 'sentiment' must be a number of -3 to 3, got {sentiment!r:.40}."
        )
    if cause is not None and not (isinstance(cause, int) and 0 <= cause < length):
        raise UsageError(
            f"{where}: 'cause' must be a turn of 0 to {length - 1}, got {cause!r:.40}."
        )
    if not isinstance(units, list):
        raise UsageError(f"{where}: 'action_units' must be a list, got {units!r:.40}.")
    known: dict[str, Target] = {
        MSA: float(sentiment),
        FER: checked_units(map(str, units)),
        ECPE: () if cause is None else (CausePair(place, emotion, cause),),
    }
    reason = _text(turn, "reason")
    return known | ({ERI: reason} if reason else {})


def _text(turn: Mapping[str, Any], key: str) -> str | None:
    value = turn.get(key)
    return value if isinstance(value, str) and value else None
