"""RECCON (Poria and others 2021): dialogues with the turns that are evidence for an emotion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emosym.data.dataset import Dataset
from emosym.data.notes import Note, Notes, remark
from emosym.data.sources.dialogues import WHOLE, Line, dataset_of, whole_number
from emosym.data.sources.known_files import file_of_split, folder_of
from emosym.data.text import plain
from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError
from emosym.files import read_json
from emosym.types import ECPE, CausePair, Turn

EVIDENCE = "expanded emotion cause evidence"
SPANS = ("expanded emotion cause span", "expanded emotion cause spans")
LATENT = "b"  # the cause is in no turn


def load_reccon(
    root: str | Path,
    split: str = "train",
    space: str | LabelSpace = "meld7",
    notes: Notes | None = None,
) -> Dataset:
    """Open a split of RECCON's original annotation: `dailydialog_train.json`, `iemocap_test.json`.

    A sample is a turn; `mer` is its emotion (its "happines", "excited" and "sad" in the form that
    the space has them), `ecpe` the turns that are evidence. Evidence "b" is no turn: the attribute
    `latent_cause` tells of it.

    Raises:
        UsageError: for no such file or split, a file of another form, or an unknown emotion.
    """
    name, path = file_of_split(root, "reccon", split)
    given, bad = read_json(path, "dialogues of RECCON"), list[Note]()
    if not isinstance(given, dict):
        raise UsageError(f"{path} must hold a JSON object of dialogues.")
    found: dict[str, list[Line]] = {}
    for key, dialogue in given.items():
        where = f"{path.name}, {key}"
        # a list of one list; some copies have the turns at once
        inner = dialogue[0] if isinstance(dialogue, list) and dialogue else dialogue
        turns = inner if isinstance(inner, list) else dialogue
        if not isinstance(turns, list):
            bad.append(Note("bad_row", where, f"{where} is no list of turns."))
            continue
        found[str(key)] = _lines(str(key), turns, where, notes, bad)
    return dataset_of(found, folder_of(root), name, label_space(space), notes, bad, first=1)


def _lines(name: str, turns: list[Any], where: str, notes: Notes | None, bad: Notes) -> list[Line]:
    numbered: dict[int, Mapping[str, Any]] = {}
    for turn in turns:
        try:
            if not isinstance(turn, Mapping):
                raise UsageError(f"{where}: {str(turn)!r:.60} is no turn.")
            number = whole_number(turn.get("turn"), "turn", where)
            if number in numbered:
                raise UsageError(f"{where}: turn {number} stands there twice.")
            numbered[number] = turn
        except UsageError as error:
            bad.append(Note("bad_row", where, str(error)))
    order = {number: place for place, number in enumerate(sorted(numbered))}
    lines = []
    for number, place in order.items():
        turn, at = numbered[number], f"{where}, turn {number}"
        emotion = str(turn["emotion"]) if turn.get("emotion") else None
        causes, latent = _evidence(turn.get(EVIDENCE), order, at, notes, bad)
        pairs = tuple(CausePair(place, emotion, cause) for cause in causes)
        lists = (turn[key] for key in SPANS if isinstance(turn.get(key), list))
        spans: list[Any] = next(lists, [])
        about: dict[str, Any] = {"latent_cause": True} if latent else {}
        if spans:
            about["cause_spans"] = tuple(plain(span) for span in spans)
        said = Turn(plain(turn.get("speaker")) or None, plain(turn.get("utterance")) or None)
        lines.append(
            Line(f"{name}_{number}", at, said, emotion, number, None, {ECPE: pairs}, about)
        )
    return lines


def _evidence(
    given: Any, order: Mapping[int, int], where: str, notes: Notes | None, bad: Notes
) -> tuple[list[int], bool]:
    """Return the turns that are evidence, counted from 0, and whether a cause is in no turn."""
    causes: list[int] = []
    latent = False
    for piece in given if isinstance(given, list) else []:
        if str(piece).strip().lower() == LATENT:
            latent = True
            continue
        text = str(piece).strip()
        cause = order.get(int(text)) if WHOLE.fullmatch(text) else None
        if cause is None:
            sentence = f"{where}: the evidence {text!r:.60} points outside its {len(order)} turns."
            bad.append(Note("pairs_outside", where, sentence))
        elif cause in causes:
            remark(notes, "duplicate_pairs", where, f"{where} has the evidence {text} twice.")
        else:
            causes.append(cause)
    return causes, latent
