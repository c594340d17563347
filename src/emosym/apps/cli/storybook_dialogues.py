"""`emosym data storybook-dialogues`: draw illustrated conversations with exact truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emosym.apps.cli.storybook import MAX_SIZE, MIN_SIZE
from emosym.apps.cli.terminal import progress_bar
from emosym.errors import UsageError


def storybook_dialogues(
    out: Annotated[Path, typer.Argument(help="Folder for the conversations.")],
    train: Annotated[int, typer.Option(help="Conversations in train.")] = 2000,
    val: Annotated[int, typer.Option(help="Conversations in val.")] = 200,
    test: Annotated[int, typer.Option(help="Conversations in test.")] = 400,
    size: Annotated[int, typer.Option(help="Side of a picture in pixels, 64 to 512.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed: the same seed gives the same bytes.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that draw.")] = 1,
    table: Annotated[
        bool, typer.Option("--table", help="Also print what words and faces can tell at best.")
    ] = False,
) -> None:
    """Draw conversations of two to six turns, a picture each, with emotions and their causes."""
    from rich.console import Console
    from rich.table import Table

    from emosym.data.storybook.dialogues.information import information_table
    from emosym.data.storybook.dialogues.writer import write_dialogues

    if not MIN_SIZE <= size <= MAX_SIZE:
        raise UsageError(f"--size must lie in {MIN_SIZE}..{MAX_SIZE}, got {size}.")
    counts = {"train": train, "val": val, "test": test}
    console = Console(highlight=False)
    with progress_bar() as bar:
        task = bar.add_task("drawing", total=sum(counts.values()))
        drawn = write_dialogues(out, counts, size, seed, workers, lambda n: bar.advance(task, n))
    state = "Wrote" if drawn else "Already complete:"
    shares = ", ".join(f"{split} {number}" for split, number in counts.items())
    console.print(f"{state} {out} ({shares} conversations, seed {seed}).", soft_wrap=True)
    if table:
        told = Table(title="What can be known of a turn at best (exact)")
        told.add_column("")
        told.add_column("value", justify="right")
        for what, value in information_table():
            told.add_row(what, f"{value:.1%}")
        console.print(told)
