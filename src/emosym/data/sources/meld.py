"""MELD (Poria and others 2019): dialogues of a series, an emotion and a sentiment for each turn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emosym.data.clip_files import ClipFiles
from emosym.data.dataset import Dataset
from emosym.data.notes import Note, Notes
from emosym.data.sources.dialogues import Line, by_name, cell, dataset_of, whole_number
from emosym.data.sources.known_files import file_of_split, folder_of
from emosym.data.tables import Table, read_table
from emosym.data.text import plain
from emosym.emotions import SENTIMENTS, LabelSpace, label_space
from emosym.errors import UsageError
from emosym.types import MSA, Target, Turn

TIME = re.compile(r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")


def load_meld(
    root: str | Path,
    split: str = "train",
    space: str | LabelSpace = "meld7",
    notes: Notes | None = None,
) -> Dataset:
    """Open a split of MELD: `train_sent_emo.csv` and the like, and clips where they are there.

    A sample is a turn (`dia0_utt3`) with its dialogue around it; `mer` is its emotion, `msa` its
    sentiment. Times of the episode, season and episode are attributes. Clips are found by name
    (`dia0_utt3.mp4`) anywhere below, in the folder of the split where there is one.

    Raises:
        UsageError: for no such file or split, a column that is missing, or an unknown emotion.
    """
    name, path = file_of_split(root, "meld", split)
    table, bad = read_table(path), list[Note]()
    clips = ClipFiles(folder_of(root), name)
    found = by_name(_lines(table, clips, notes, bad))
    return dataset_of(found, folder_of(root), name, label_space(space), notes, bad)


def _lines(
    table: Table, clips: ClipFiles, notes: Notes | None, bad: Notes
) -> Iterator[tuple[str, Line]]:
    for row_number, row in enumerate(table.rows):
        where = f"{table.path.name}, row {row_number}"
        try:
            yield _line(table, row, where, clips, notes)
        except UsageError as error:
            bad.append(Note("bad_row", where, str(error)))


def _line(
    table: Table, row: tuple[str, ...], where: str, clips: ClipFiles, notes: Notes | None
) -> tuple[str, Line]:
    dialogue = whole_number(cell(table, row, "dialogueid"), "Dialogue_ID", where)
    number = whole_number(cell(table, row, "utteranceid"), "Utterance_ID", where)
    name = f"dia{dialogue}_utt{number}"
    sentiment = cell(table, row, "sentiment").strip().lower()
    targets: dict[str, Target] = {MSA: sentiment} if sentiment in SENTIMENTS else {}
    start, end = (_seconds(cell(table, row, column)) for column in ("starttime", "endtime"))
    times = None if start is None or end is None else (start, end)
    about = {key: value for key in ("season", "episode") if (value := cell(table, row, key))}
    turn = Turn(
        speaker=plain(cell(table, row, "speaker")) or None,
        text=plain(cell(table, row, "utterance")) or None,
        clip=clips.find(name, where, notes),
    )
    seconds = {} if times is None else {"episode_start": times[0], "episode_end": times[1]}
    label = cell(table, row, "emotion") or None
    line = Line(name, where, turn, label, number, times, targets, {**about, **seconds})
    return f"dialogue {dialogue}", line


def _seconds(text: str) -> float | None:
    """Return seconds of an episode as subtitles write them: 0:12:32,632."""
    found = TIME.fullmatch(text.strip())
    if found is None:
        return None
    hours, minutes, seconds = found.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
