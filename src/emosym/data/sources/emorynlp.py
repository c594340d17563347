"""EmoryNLP (Zahiri and Choi 2018): scenes of a series with seven emotions of the feeling wheel."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emosym.data.clip_files import ClipFiles
from emosym.data.dataset import Dataset
from emosym.data.notes import Note, Notes
from emosym.data.sources.dialogues import Line, by_name, cell, dataset_of, whole_number
from emosym.data.sources.known_files import file_of_split, folder_of
from emosym.data.tables import Table, read_table
from emosym.data.text import plain
from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError
from emosym.files import read_json
from emosym.types import Turn

LAST_NUMBER = re.compile(r"(\d{1,9})\D*$")


def load_emorynlp(
    root: str | Path,
    split: str = "train",
    space: str | LabelSpace = "emory7",
    notes: Notes | None = None,
) -> Dataset:
    """Open a split of EmoryNLP: its JSON of episodes, or the CSV of MELD's authors.

    A sample is a turn of a scene; `mer` is its emotion. Several speakers of one turn are joined
    by commas. `emorynlp_train_final.csv` goes with clips (`sea1_ep2_sc3_utt4.mp4`).

    Raises:
        UsageError: for no such file or split, a file of another form, or an unknown emotion.
    """
    name, path = file_of_split(root, "emorynlp", split)
    bad: Notes = []
    if path.suffix.lower() == ".json":
        found = by_name(_scenes(read_json(path, "episodes of EmoryNLP"), path, bad))
        first = 1
    else:
        clips = ClipFiles(folder_of(root), name)
        found = by_name(_rows(read_table(path), clips, notes, bad))
        first = min((line.number or 0 for lines in found.values() for line in lines), default=0)
    return dataset_of(found, folder_of(root), name, label_space(space), notes, bad, first=first)


def _scenes(given: Any, path: Path, bad: Notes) -> Iterator[tuple[str, Line]]:
    """Yield the turns of a season's, episode's or scene's JSON, or a list of some."""
    for part in given if isinstance(given, list) else [given]:
        if not isinstance(part, Mapping):
            bad.append(Note("bad_row", path.name, f"{path.name}: {str(part)!r:.60} is no scene."))
            continue
        below = part.get("episodes") or part.get("scenes")
        if isinstance(below, list):
            yield from _scenes(below, path, bad)
            continue
        scene = str(part.get("scene_id"))
        where = f"{path.name}, {scene}"
        turns = part.get("utterances")
        if not isinstance(turns, list):
            bad.append(Note("bad_row", where, f"{where} has no list of utterances."))
            continue
        for turn in turns:
            name = str(turn.get("utterance_id")) if isinstance(turn, Mapping) else ""
            number = LAST_NUMBER.search(name)
            if number is None:
                told = f"{where}: a turn has no utterance_id that ends with a number."
                bad.append(Note("bad_row", where, told))
                continue
            said = Turn(_speakers(turn.get("speakers")), plain(turn.get("transcript")) or None)
            label = str(turn["emotion"]) if turn.get("emotion") else None
            at = f"{path.name}, {name}"
            yield scene, Line(name, at, said, label, int(number[1]))


def _rows(
    table: Table, clips: ClipFiles, notes: Notes | None, bad: Notes
) -> Iterator[tuple[str, Line]]:
    for row_number, row in enumerate(table.rows):
        where = f"{table.path.name}, row {row_number}"
        try:
            season, episode, scene, number = (
                whole_number(cell(table, row, column), column, where)
                for column in ("season", "episode", "sceneid", "utteranceid")
            )
        except UsageError as error:
            bad.append(Note("bad_row", where, str(error)))
            continue
        place = f"sea{season}_ep{episode}_sc{scene}"
        name = f"{place}_utt{number}"
        turn = Turn(
            _speakers(cell(table, row, "speaker", "speakers")),
            plain(cell(table, row, "utterance")) or None,
            clip=clips.find(name, where, notes),
        )
        yield place, Line(name, where, turn, cell(table, row, "emotion") or None, number)


def _speakers(given: Any) -> str | None:
    """Return the names of a turn's speakers; tables write a list as Python does."""
    if isinstance(given, str) and given.lstrip().startswith("["):
        try:
            given = ast.literal_eval(given)
        except (ValueError, SyntaxError):
            given = given.strip("[] ")
    names = [plain(name) for name in given] if isinstance(given, list) else [plain(given)]
    return ", ".join(name for name in names if name) or None
