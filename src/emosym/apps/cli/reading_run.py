"""Readings on their way to files: a journal keeps the rows of a stopped run; a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from emosym.errors import UsageError
from emosym.types import BadInput, UnderstandingOutput

if TYPE_CHECKING:
    from emosym.apps.cli.readings import Tally
    from emosym.emotions import LabelSpace
    from emosym.service.sinks import Journal, Sink

Reading = tuple[str, "UnderstandingOutput | BadInput"]


def open_journal(outputs: dict[str, Path], about: dict[str, Any], resume: bool) -> Journal | None:
    """Open the journal of rows on their way to files, if any output is one; errors as in it."""
    from emosym.service.sinks import Journal, journal_place

    place = journal_place(outputs)
    return None if place is None else Journal(place, about, resume)


def read_to(
    outputs: dict[str, Path],
    journal: Journal | None,
    readings: Iterator[Reading],
    total: int,
    space: Callable[[], LabelSpace],
    abstain: bool = False,
) -> Tally:
    """Send every reading to the outputs; what a stopped run has read stays in the journal.

    With `abstain` a row names no emotion where the model is unsure (`service.rows.selective`).
    """
    from emosym.service.sinks import live_sinks, write_files

    try:
        with ExitStack() as stack:
            live = live_sinks(outputs, space, stack)

            def sink(row: dict[str, Any]) -> None:
                if journal is not None:
                    journal.add(row)
                live(row)

            tally = read_all(readings, total, sink, journal, live, abstain)
        if journal is not None:
            write_files(outputs, journal, space())
            journal.remove()
    finally:
        if journal is not None:
            leave(journal)
    return tally


def write_rows(
    outputs: dict[str, Path],
    journal: Journal | None,
    rows: Iterable[dict[str, Any]],
    tally: Tally,
    space: LabelSpace | None,
) -> None:
    """Send rows that are ready to the outputs, and count them."""
    from emosym.service.sinks import live_sinks, write_files

    try:
        with ExitStack() as stack:
            live = live_sinks(outputs, lambda: space, stack)
            for row in rows:
                if journal is not None:
                    journal.add(row)
                live(row)
                tally.add(row)
        if journal is not None:
            write_files(outputs, journal, space)
            journal.remove()
    finally:
        if journal is not None:
            leave(journal)


def leave(journal: Journal) -> None:
    """Close a journal: one without rows is removed, one with rows is named."""
    if not journal.path.exists():
        return
    count = sum(1 for _ in journal.rows())
    if count == 0:
        journal.remove()
        return
    journal.close()
    told = f"{count:,} rows are kept in {journal.path}: the same command with --resume goes on."
    typer.echo(told, err=True)


def read_all(
    readings: Iterable[Reading],
    total: int,
    sink: Sink,
    journal: Journal | None = None,
    live: Sink | None = None,
    abstain: bool = False,
) -> Tally:
    """Send every reading to `sink` under a progress bar; rows of the journal go to `live` first.

    Raises:
        UsageError: when there is only one picture and it cannot be read.
    """
    from emosym.apps.cli.readings import Tally
    from emosym.apps.cli.terminal import progress_bar
    from emosym.service.rows import reading_row, selective

    tally = Tally(total)
    with progress_bar() as bar:
        task = bar.add_task("reading", total=total)
        # the model is open when the first reading is there, and with it the columns
        first = next(iter_readings := iter(readings), None)
        for row in journal.rows() if journal is not None and journal.kept else ():
            tally.add(row)
            bar.advance(task)
            if live is not None:
                live(row)
        while first is not None:
            source, reading = first
            if total == 1 and isinstance(reading, BadInput):
                raise UsageError(reading.error)
            row = reading_row(source, reading)
            row = selective(row) if abstain else row
            sink(row)
            tally.add(row)
            bar.advance(task)
            first = next(iter_readings, None)
    return tally
