"""`emosym understand --text`: one reading a line of text."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emosym.apps.cli.reading_run import Reading, open_journal, read_to
from emosym.errors import UsageError, unknown_name
from emosym.files import decoded, read_text
from emosym.service.rows import named_labels
from emosym.service.texts import open_text_reader, read_texts
from emosym.service.words import not_calibrated
from emosym.types import BadInput

if TYPE_CHECKING:
    from rich.console import Console

    from emosym.service.wanted import Wanted

Text = Annotated[
    list[str] | None,
    typer.Option(help="Read this text, not pictures; may be repeated."),
]
TextFile = Annotated[
    Path | None, typer.Option(help="Read each line of text; - is the standard input.")
]
TextColumn = Annotated[
    str | None, typer.Option(help="--text-file is a table (CSV): read this column of it.")
]
SHOWN = 50
LONGEST_SHOWN = 60
MOST_BYTES = 256 * 1024 * 1024


def required(paths: list[str] | None) -> list[str]:
    """Return the paths; none at all is a UsageError."""
    if not paths:
        raise UsageError("Give pictures, folders or globs to read; dialogues (.json); or --text.")
    return paths


def check_text(paths: Sequence[str] | None, more: bool) -> None:
    """Refuse text beside pictures, or with options of pictures (`more`).

    Raises:
        UsageError: says which options go together.
    """
    if paths:
        raise UsageError("Give pictures, or text by --text and --text-file: not both at once.")
    if more:
        raise UsageError("--explain, --resume and --abstain go with pictures, not with text.")


def texts_of(text: Sequence[str] | None, file: Path | None, column: str | None = None) -> list[str]:
    """Return the texts of --text, and of each line of --text-file (- is the standard input).

    With a `column` the file is a table with a header, and each cell of that column is a text.

    Raises:
        UsageError: when the file is missing, too large, not text, or holds no line or column.
    """
    texts = list(text or ())
    if column is not None:
        return [*texts, *column_texts(file, column)]
    if file is None:
        return texts
    if str(file) == "-":
        data = sys.stdin.buffer.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise UsageError(f"The standard input is longer than {MOST_BYTES} bytes: split it.")
        lines = decoded(data, "The standard input").splitlines()
    else:
        lines = read_text(file, "text file", MOST_BYTES).splitlines()
    if not any(line.strip() for line in lines):
        raise UsageError(f"--text-file {file} holds no line of text.")
    return [*texts, *lines]


def column_texts(file: Path | None, column: str) -> list[str]:
    """Return the cells of a table's column, an empty one where a row is too short.

    Raises:
        UsageError: for no file, none that is a table, or no such column; names the nearest.
    """
    from emosym.data.tables import read_table, simple

    if file is None or str(file) == "-":
        raise UsageError("--text-column names a column of a table: give --text-file FILE.csv.")
    table = read_table(file)
    place = table.columns.get(simple(column))
    if place is None:
        raise unknown_name(f"column of {str(file)!r}", column, table.header)
    return [row[place] if place < len(row) else "" for row in table.rows]


def understand_text(
    texts: Sequence[str], wanted: Wanted, named: Mapping[str, Path], batch_size: int
) -> None:
    """Read texts, write the rows to the outputs, and show the first of them.

    Raises:
        UsageError: when there is no reader, or the only text cannot be read.
    """
    from rich.console import Console

    from emosym.service.sinks import STDOUT, check_outputs

    outputs = check_outputs(dict(named))
    pipeline = open_text_reader(wanted)
    about = {
        "model": wanted.model or wanted.preset,
        "labels": list(pipeline.space.labels),
        "texts": len(texts),
    }
    journal = open_journal(outputs, about, resume=False)
    first: list[Reading] = []
    counts: Counter[str] = Counter()

    def readings() -> Iterator[Reading]:
        for source, found in read_texts(pipeline, texts, batch_size):
            if len(first) < SHOWN:
                first.append((source, found))
            counts[""] += isinstance(found, BadInput)
            if not isinstance(found, BadInput):
                counts.update((found.emotion,) if found.labels is None else found.labels)
            yield source, found

    read_to(outputs, journal, readings(), len(texts), lambda: pipeline.space)
    console = Console(stderr=STDOUT in outputs.values(), highlight=False)
    show(console, first, counts, len(texts))
    if wanted.zero_shot:
        console.print(not_calibrated(pipeline.base.name), style="dim", soft_wrap=True, markup=False)
    for path in outputs.values():
        if path != STDOUT:
            console.print(f"Wrote {path}.", soft_wrap=True, markup=False)
    if counts[""] == len(texts):
        raise typer.Exit(1)


def show(console: Console, readings: Sequence[Reading], counts: Counter[str], total: int) -> None:
    """Print the first of `total` readings as a table, and how many there are of each emotion.

    `counts` has those that could not be read under "".
    """
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("text", overflow="fold")
    table.add_column("emotion", overflow="fold")
    table.add_column("conf.", justify="right", no_wrap=True)
    table.add_column("next", overflow="fold")
    for source, found in readings:
        short = shortened(source)
        if isinstance(found, BadInput):
            table.add_row(escape(short), f"[red]{escape(found.error)}[/red]", "", "")
            continue
        said = found.labels or (found.emotion,)
        shares = sorted(found.probabilities.items(), key=lambda item: -item[1])
        after = [item for item in shares if item[0] not in said][:2]
        others = ", ".join(f"{label} {share:.2f}" for label, share in after)
        sure = ", ".join(f"{found.probabilities[label]:.2f}" for label in said)
        table.add_row(escape(short), f"[bold]{named_labels(found)}", sure, others)
    console.print(table)
    bad = counts[""]
    if total > len(readings):
        more = total - len(readings)
        console.print(f"... and {more} more; --csv, --json or --parquet keep them all", style="dim")
    if total > 1:
        parts = [f"{total - bad} read", *([f"{bad} could not be read"] if bad else [])]
        told = ", ".join(f"{label} {count}" for label, count in counts.most_common() if label)
        console.print("; ".join([*parts, *([told] if told else [])]), style="bold")


def shortened(text: str) -> str:
    """Return a text on one line of a table, without signs that would steer a terminal."""
    flat = "".join(sign if sign.isprintable() else " " for sign in text)
    flat = " ".join(flat.split())
    return flat if len(flat) <= LONGEST_SHOWN else flat[: LONGEST_SHOWN - 3] + "..."
