"""Clips, texts or pictures with any emotion words as their truth (OV-MERD, MER-UniBench)."""

from __future__ import annotations

from pathlib import Path

from emosym.data.dataset import Dataset
from emosym.data.notes import Note, Notes
from emosym.data.sources.dialogues import Line, dataset_of
from emosym.data.sources.known_files import file_of_split, folder_of
from emosym.data.stored_splits import ALL
from emosym.data.text import plain
from emosym.data.word_rows import WordRow, listed_words, read_word_rows
from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError
from emosym.files import inside
from emosym.types import OPEN, Turn


def load_open_words(
    root: str | Path,
    split: str = ALL,
    space: str | LabelSpace = "ekman7",
    notes: Notes | None = None,
) -> Dataset:
    """Open a table or JSON of emotion words (`data.word_rows`): a sample a row.

    What is said (`subtitle`, `text`) and a picture (`image`, a path below the file's folder) are
    its turn; the target `open` is a tuple of words, or missing. It has no label of the space. A row
    with neither words nor a picture, or a path that leaves the folder, is left out and noted.

    Raises:
        UsageError: for no such file or split, or no row that can be read.
    """
    name, path = file_of_split(root, "open-words", split)
    base, bad = folder_of(root), list[Note]()
    found: dict[str, list[Line]] = {}
    for row in read_word_rows(path, bad):
        try:
            turn = _turn(row, path.parent, base)
        except UsageError as error:
            bad.append(Note("bad_row", row.where, str(error)))
            continue
        words = listed_words(row.truth) if row.truth else ()
        targets = {OPEN: words} if words else {}
        found[row.name] = [Line(row.name, row.where, turn, targets=targets)]
    return dataset_of(found, base, name, label_space(space), notes, bad, OPEN)


def _turn(row: WordRow, folder: Path, base: Path) -> Turn:
    frames: tuple[Path, ...] = ()
    if row.image:
        frames = (inside(folder, row.image, "image").relative_to(base),)
    text = plain(row.text) or None
    if text is None and not frames:
        raise UsageError(f"{row.where} has neither words nor a picture.")
    return Turn(text=text, frames=frames)
