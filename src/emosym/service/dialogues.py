"""A conversation that was read, as rows: one a turn."""

from __future__ import annotations

from collections.abc import Iterator

from emosym.service.rows import Row, reading_row
from emosym.types import BadInput, DialogueOutput


def dialogue_rows(path: str, found: DialogueOutput | BadInput) -> Iterator[Row]:
    """Yield a row a turn, called "dialogue.json#3"; one row for a dialogue that cannot be read."""
    if isinstance(found, BadInput):
        yield reading_row(path, found)
        return
    for number, reading in enumerate(found.readings):
        causes = cause_numbers(found, number)
        text = None if causes is None else ";".join(map(str, causes))
        yield reading_row(f"{path}#{number + 1}", reading, text)


def cause_numbers(found: DialogueOutput, turn: int) -> list[int] | None:
    """Return the numbers (from 1) of what caused a turn's emotion; None: nobody looked for it."""
    if found.causes is None:
        return None
    return [pair.cause + 1 for pair, _ in found.causes if pair.turn == turn]
