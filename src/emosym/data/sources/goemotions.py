"""GoEmotions (Demszky and others 2020): comments with one or several of 27 emotions or neutral."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from emosym.data.dataset import Dataset
from emosym.data.notes import Note, Notes, complain
from emosym.data.sources.dialogues import WHOLE, Line, dataset_of
from emosym.data.sources.known_files import file_of_split, folder_of
from emosym.data.tables import MAX_BYTES, table_text
from emosym.data.text import plain
from emosym.emotions import LABEL_SPACES, LabelSpace, label_space, normal, translated
from emosym.errors import UsageError, unknown_name
from emosym.files import FILE, look, read_file, read_text
from emosym.types import TEXT_EMOTION, Target, Turn

LABELS = "labels.txt"


def load_goemotions(
    root: str | Path,
    split: str = "train",
    space: str | LabelSpace = "goemotions28",
    notes: Notes | None = None,
) -> Dataset:
    """Open a split of GoEmotions: `train.tsv` and the like, of text, label numbers and id.

    `text_emotion` is the label, or the tuple of several in the order of the file; a sample's code
    is the first. In a space of fewer emotions each label counts as the one that it belongs to
    (`emotions.translated`: "ekman7" is 6 + neutral), once. The numbers count in `labels.txt` where
    it lies beside, else in the published order.

    Raises:
        UsageError: for no such file or split, or a label that the space has in no form.
    """
    name, path = file_of_split(root, "goemotions", split)
    labels = label_space(space)
    words = _words(path.parent / LABELS)
    codes = [translated(word, labels) for word in words]
    text = table_text(read_file(path, "table", MAX_BYTES), path)
    found: dict[str, list[Line]] = {}
    bad: Notes = []
    for number, row in enumerate(text.split("\n")):
        if not row.strip():
            continue
        where, cells = f"{path.name}, row {number}", row.split("\t")
        try:
            numbers = _numbers(cells, where, len(words))
        except UsageError as error:
            bad.append(Note("bad_row", where, str(error)))
            continue
        for label in numbers:
            if codes[label] is None:
                unknown = unknown_name(f"emotion ({where})", words[label], labels.labels)
                complain(notes, "unknown_label", where, unknown, words[label])
        kept = (codes[label] for label in numbers)
        chosen = dict.fromkeys(labels.labels[code] for code in kept if code is not None)
        key = cells[2].strip() if len(cells) > 2 and cells[2].strip() else str(number)
        line = _line(key, where, cells[0], tuple(chosen))
        found.setdefault(key, []).append(line)
    return dataset_of(found, folder_of(root), name, labels, notes, bad, TEXT_EMOTION)


def _words(path: Path) -> Sequence[str]:
    """Return the words that label numbers stand for."""
    if look(path) != FILE:
        return LABEL_SPACES["goemotions28"].labels
    return [normal(line) for line in read_text(path, "list of labels").split("\n") if line.strip()]


def _numbers(cells: Sequence[str], where: str, count: int) -> list[int]:
    """Return the label numbers of a row, each below `count`."""
    if len(cells) < 2 or not cells[0].strip():
        raise UsageError(f"{where} must be a text, label numbers and an id between tabs.")
    pieces = [piece.strip() for piece in cells[1].split(",")]
    if not all(WHOLE.fullmatch(piece) and int(piece) < count for piece in pieces):
        raise UsageError(
            f"{where}: labels must be numbers of 0..{count - 1}, got {cells[1]!r:.60}."
        )
    return [int(piece) for piece in pieces]


def _line(name: str, where: str, text: str, labels: tuple[str, ...]) -> Line:
    targets: Mapping[str, Target] = {TEXT_EMOTION: labels} if len(labels) > 1 else {}
    return Line(name, where, Turn(text=plain(text)), next(iter(labels), None), targets=targets)
