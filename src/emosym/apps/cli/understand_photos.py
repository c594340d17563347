"""`emosym understand --model photo`: valence and arousal of photographs, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emosym.apps.cli.found_pictures import find_pictures, tell_passed, tell_written
from emosym.apps.cli.reading_run import open_journal, write_rows
from emosym.errors import UsageError
from emosym.service.affect_rows import no_words
from emosym.types import BadInput

if TYPE_CHECKING:
    from rich.table import Table

    from emosym.service.affect_rows import Row

SHOWN = 50
OUTSIDE_NOTE = (
    "outside: unlike the photographs that people rated for this model; do not rely on its numbers."
)


def refuse_words(model: str, asked: bool) -> None:
    """Refuse words for why, where they are `asked` for, which no reader of photographs has.

    Raises:
        UsageError: says so.
    """
    if asked:
        raise UsageError(no_words(f"--model {model}", "--explain"))


def understand_photos(
    paths: Sequence[str],
    model: str,
    device: str,
    named: dict[str, Path],
    resume: bool,
    batch_size: int | None,
    workers: int,
) -> None:
    """Read photographs; rows of a stopped run are kept, as for every other model.

    Raises:
        UsageError: when no path names a picture, the only one cannot be read, or the model's
            encoder is not here.
    """
    from rich.console import Console

    from emosym.apps.cli.readings import Tally
    from emosym.apps.cli.terminal import progress_bar
    from emosym.pipelines.photo import AT_ONCE, PhotoReader
    from emosym.service.affect_rows import affect_row
    from emosym.service.sinks import STDOUT, check_outputs, left_to_read

    found, passed = find_pictures(paths)
    outputs = check_outputs(named, found, resume)
    reader = PhotoReader.from_pretrained(model, device)
    journal = open_journal(outputs, {"model": model, "reads": "photographs"}, resume)
    kept = journal.kept if journal is not None else ()
    tally = Tally(len(found))
    for row in journal.rows() if journal is not None and kept else ():
        tally.add(row)

    def rows() -> Iterator[Row]:
        with progress_bar() as bar:
            task = bar.add_task("reading", total=len(found), completed=len(kept))
            left = left_to_read(found, kept)
            for source, reading in reader.understand_many(left, batch_size or AT_ONCE, workers):
                if len(found) == 1 and isinstance(reading, BadInput):
                    raise UsageError(reading.error)
                bar.advance(task)
                yield affect_row(source, reading)

    write_rows(outputs, journal, rows(), tally, None)
    console = Console(stderr=STDOUT in outputs.values(), highlight=False)
    tell_passed(console, passed)
    if tally.total == 1:
        for line in in_words(tally.first[0]):
            console.print(line, soft_wrap=True, markup=False)
    else:
        console.print(affect_table(tally.first))
        more = tally.total - len(tally.first)
        if more > 0:
            console.print(f"... and {more} more; --csv, --json or --parquet keep them all")
        told = f"{tally.read} read" + (f"; {tally.bad} could not be read" if tally.bad else "")
        console.print(f"{told}; {tally.outside} outside", style="bold", soft_wrap=True)
        if tally.outside:
            console.print(OUTSIDE_NOTE, style="dim", soft_wrap=True)
    tell_written(console, outputs, tally.read)


def in_words(row: Row) -> list[str]:
    """Return one reading as lines."""
    lines = [Path(row["source"]).name or row["source"]]
    if row["error"] is not None:
        return [*lines, f"  {row['error']}"]
    share = f"{100 * row['coverage']:.0f} of 100 such photographs lie within"
    for name, meaning in (("valence", "pleasantness"), ("arousal", "excitement")):
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        lines.append(
            f"  {name} ({meaning}) {row[name]:.1f} of 1 to 7; {share} {low:.1f} to {high:.1f}"
        )
    lines.append(f"  most like it, of the rated pictures: {', '.join(row['nearest'])}")
    if row["outside"]:
        lines.append(f"  {OUTSIDE_NOTE}")
    return lines


def affect_table(rows: Sequence[Row]) -> Table:
    """Return readings as a table."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("picture", overflow="fold")
    for heading in ("valence", "90 % within", "arousal", "90 % within"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("most like", overflow="fold")
    for row in rows:
        name = Text(Path(row["source"]).name or row["source"])
        if row["error"] is not None:
            table.add_row(name, "", "", "", "", Text(row["error"], style="red"))
            continue
        cells = []
        for kind in ("valence", "arousal"):
            cells += [f"{row[kind]:.1f}", f"{row[f'{kind}_low']:.1f} to {row[f'{kind}_high']:.1f}"]
        most = "outside" if row["outside"] else row["nearest"][0]
        table.add_row(name, *cells, Text(most))
    return table
