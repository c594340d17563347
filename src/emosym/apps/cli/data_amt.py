"""`emosym data amt`: EmoVerse's multi-task set from the data sets that are here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emosym.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from emosym.annotate.amt import Built

amt = typer.Typer(help="The AMT set: EmoVerse's tasks in one folder.", no_args_is_help=True)


@amt.command()
def build(
    out: Annotated[Path, typer.Argument(help="A new folder.")],
    sources: Annotated[
        list[str], typer.Option("--from", metavar="SOURCE=ROOT", help="meld=DIR, ...; repeatable.")
    ],
    split: Annotated[
        list[str] | None, typer.Option(help="Which; repeatable. Unset: train.")
    ] = None,
    tasks: Annotated[
        str,
        typer.Option(help="Of msa, mer, fer, eri, ecpe, text_emotion; with commas. Unset: all."),
    ] = "",
    knowledge: Annotated[
        Path | None, typer.Option(help="Reasons: a file of `emosym data annotate`.")
    ] = None,
    units: Annotated[
        list[str] | None,
        typer.Option(
            "--units", metavar="SOURCE=DIR", help="Tables of OpenFace or py-feat: SAMPLE-ID.csv."
        ),
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(help="Hashes of a test's utterances: their dialogues are dropped."),
    ] = None,
) -> None:
    """Build the set, and print how many rows each task has."""
    from rich.console import Console

    from emosym.annotate.amt import Part, build_amt, units_of_tables
    from emosym.data.held_out import NOTHING_HELD, read_hashes
    from emosym.data.sources.amt import TASKS
    from emosym.data.sources.open import open_dataset

    hashes = NOTHING_HELD if held_out is None else read_hashes(held_out)
    parts = []
    for source, root in named_folders(sources, "--from"):
        for name in split or ["train"]:
            parts.append(Part(source, name, open_dataset(source, root, name, held_out=hashes)))
    asked = [task.strip() for task in tasks.split(",") if task.strip()] or list(TASKS)
    tables = units_of_tables(dict(named_folders(units or [], "--units")))
    built = build_amt(out, parts, asked, tables, knowledge)
    console = Console(highlight=False)
    console.print(counts_table(built))
    for reason, count in built.left_out.items():
        console.print(f"Left out, {reason}: {count:,}", markup=False)
    console.print(f"Wrote {out}.", soft_wrap=True, markup=False)


@amt.command("ms-swift")
def swift(
    root: Annotated[Path, typer.Argument(help="The folder of an AMT set.")],
    out: Annotated[Path, typer.Argument(help="The rows (JSON, a line each).")],
    split: Annotated[str, typer.Option(help="Which split.")] = "train",
    form: Annotated[
        str, typer.Option(help="messages (4.x), grpo (truth in `solution`), or old (2.x).")
    ] = "messages",
    wording: Annotated[str, typer.Option(help="emosym, or emoverse: as published.")] = "emoverse",
    labels: Annotated[str, typer.Option(help="Label space of the emotions.")] = "meld7",
) -> None:
    """Write a split as ms-swift's rows; run it in the set's folder, since paths are relative."""
    from rich.console import Console

    from emosym.annotate.amt import write_swift
    from emosym.emotions import space_of_text

    counts = write_swift(root, split, out, form, wording, space_of_text(labels))
    console = Console(highlight=False)
    told = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    console.print(f"Wrote {out}: {told}.", soft_wrap=True, markup=False)


@amt.command()
def convert(
    rows: Annotated[Path, typer.Argument(help="ms-swift's rows, of any form.")],
    out: Annotated[Path, typer.Argument(help="The same in another form.")],
    form: Annotated[str, typer.Option(help="messages, grpo or old.")] = "messages",
) -> None:
    """Convert ms-swift's rows; paths of media must lie below the folder of the rows."""
    from rich.console import Console

    from emosym.tasks.swift import converted, read_row, read_rows, write_rows

    found = read_rows(rows)
    places = enumerate(found, start=1)
    read = [read_row(row, rows.parent, f"{rows.name}, row {place}") for place, row in places]
    count = write_rows(out, converted(read, form, rows.parent))
    Console(highlight=False).print(f"Wrote {count:,} rows to {out}.", soft_wrap=True, markup=False)


def named_folders(texts: list[str], option: str) -> list[tuple[str, Path]]:
    """Return (source, folder) of each SOURCE=DIR."""
    found = []
    for text in texts:
        source, mark, root = text.partition("=")
        if not mark or not root:
            raise UsageError(f"{option} must be SOURCE=DIR, such as meld=data/meld; got {text!r}.")
        found.append((source, Path(root)))
    return found


def counts_table(built: Built) -> Table:
    """Return rows by task and split as a table."""
    from rich.table import Table

    table = Table(box=None)
    table.add_column("task")
    for split in built.counts:
        table.add_column(split, justify="right")
    for task in next(iter(built.counts.values())):
        table.add_row(task, *(f"{counts[task]:,}" for counts in built.counts.values()))
    return table
