"""What is wrong with a data set's index, noted by a check that goes on where a loader stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from emosym.errors import UsageError


@dataclass(frozen=True, slots=True)
class Note:
    """One complaint or remark: its kind, the file and row, and the whole sentence.

    Kinds are bad_row, unknown_label, and those of conversations that `data.check.dialogues` lists.
    `got` is the label that nobody knows.
    """

    kind: str
    where: str
    sentence: str
    got: str | None = None


Notes: TypeAlias = list[Note]


def complain(
    notes: Notes | None, kind: str, where: str, error: UsageError, got: str | None = None
) -> None:
    """Note an error where somebody takes notes, and raise it where nobody does."""
    if notes is None:
        raise error
    notes.append(Note(kind, where, str(error), got))


def remark(
    notes: Notes | None, kind: str, where: str, sentence: str, got: str | None = None
) -> None:
    """Note what a reader went on over, where somebody takes notes."""
    if notes is not None:
        notes.append(Note(kind, where, sentence, got))
