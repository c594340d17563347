"""What is wrong with a data set's index, noted by a check that goes on where a loader stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from emosym.errors import UsageError


@dataclass(frozen=True, slots=True)
class Note:
    """One complaint: `kind` (bad_row, unknown_label), the file and row, and the whole sentence.

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
