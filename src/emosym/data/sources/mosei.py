"""CMU-MOSEI and CMU-MOSI as MMSA writes them: one table, a sentiment of -3..3 for each clip."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from emosym.data.clip_files import ClipFiles
from emosym.data.dataset import Dataset
from emosym.data.notes import Note, Notes
from emosym.data.sources.dialogues import WHOLE, Line, by_name, cell, dataset_of
from emosym.data.sources.known_files import SPLIT_WORDS, folder_of, split_files
from emosym.data.stored_splits import ALL
from emosym.data.tables import Table, read_table
from emosym.data.text import plain
from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError, unknown_name
from emosym.files import inside
from emosym.types import MSA, Turn

STRONGEST = 3.0
MORE = {"label_T": "labelt", "label_A": "labela", "label_V": "labelv"}


def load_mosei(
    root: str | Path,
    split: str = "train",
    space: str | LabelSpace = "sentiment3",
    notes: Notes | None = None,
) -> Dataset:
    """Open a split of MOSEI or MOSI: `label.csv` with its column `mode`, and `Raw/` where there.

    A sample is a clip (`video/clip`) with the clips of its video around it, in their order; `msa`
    is its sentiment, a number of -3..3, and the code is whether that is below, at or above 0.
    Ids are text as they stand there. Clips are `Raw/{video_id}/{clip_id}.mp4`.

    Raises:
        UsageError: for no such table or split.
    """
    base, table = folder_of(root), mosei_table(root)
    modes = modes_of(table)
    wanted = SPLIT_WORDS.get(split.lower(), split.lower())
    if wanted != ALL and wanted not in modes:
        raise unknown_name(f"split of {str(root)!r},", split, [*modes, ALL])
    bad: Notes = []
    clips = ClipFiles(base, wanted)
    lines = []
    for number, row in enumerate(table.rows):
        if wanted not in (ALL, _mode(table, row)):
            continue
        where = f"{table.path.name}, row {number}"
        try:
            lines.append(_line(table, row, where, base, clips, notes))
        except UsageError as error:
            bad.append(Note("bad_row", where, str(error)))
    found = {video: sorted(several, key=_order) for video, several in by_name(lines).items()}
    labels = label_space(space)
    sentiments = labels if labels.find("negative") is not None else label_space("sentiment3")
    return dataset_of(found, base, wanted, sentiments, notes, bad, MSA)


def mosei_table(root: str | Path) -> Table:
    """Return the table of labels; errors as `split_files`."""
    return read_table(next(iter(split_files(root, "mosei").values())))


def modes_of(table: Table) -> list[str]:
    """Return the splits that a table's column `mode` names, train, val and test first."""
    modes = dict.fromkeys(_mode(table, row) for row in table.rows)
    return sorted(
        (mode for mode in modes if mode),
        key=lambda mode: ("train", "val", "test", mode).index(mode),
    )


def _mode(table: Table, row: tuple[str, ...]) -> str:
    mode = cell(table, row, "mode").strip().lower()
    return SPLIT_WORDS.get(mode, mode)


def _line(
    table: Table,
    row: tuple[str, ...],
    where: str,
    base: Path,
    clips: ClipFiles,
    notes: Notes | None,
) -> tuple[str, Line]:
    video, clip = cell(table, row, "videoid"), cell(table, row, "clipid")
    if not video or not clip:
        raise UsageError(f"{where} names no video and clip.")
    name = f"{video}/{clip}"
    inside(base, f"Raw/{name}.mp4", "clip")  # a name that leads elsewhere is refused
    score = _score(cell(table, row, "label"), where)
    about: dict[str, Any] = {"annotation": cell(table, row, "annotation")}
    about |= {key: _number(cell(table, row, column)) for key, column in MORE.items()}
    label = "negative" if score < 0 else "positive" if score > 0 else "neutral"
    turn = Turn(text=plain(cell(table, row, "text")) or None, clip=clips.find(name, where, notes))
    known = {key: value for key, value in about.items() if value not in (None, "")}
    return video, Line(name, where, turn, label, None, None, {MSA: score}, known)


def _order(line: Line) -> tuple[int, str]:
    clip = line.name.rsplit("/", 1)[1]
    return (int(clip), "") if WHOLE.fullmatch(clip) else (0, clip)


def _number(text: str) -> float | None:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _score(text: str, where: str) -> float:
    value = _number(text)
    if value is None or not -STRONGEST <= value <= STRONGEST:
        raise UsageError(f"{where}: label must be a number of -3..3, got {text!r:.60}.")
    return value
