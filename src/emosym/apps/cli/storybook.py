"""`emosym data storybook`: draw a picture book in EmoSet's layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emosym.apps.cli.terminal import progress_bar
from emosym.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

MIN_SIZE = 64
MAX_SIZE = 512
SHEET_SIDE = 8


def storybook(
    out: Annotated[Path, typer.Argument(help="Folder for the storybook.")],
    count: Annotated[
        int, typer.Option(help="Pictures in all: 70 % train, 10 % val, rest test.")
    ] = 1200,
    size: Annotated[int, typer.Option(help="Side of a picture in pixels, 64 to 512.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed: the same seed gives the same bytes.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that draw.")] = 1,
    train: Annotated[
        int | None, typer.Option(help="Pictures in train, instead of --count.")
    ] = None,
    val: Annotated[int | None, typer.Option(help="Pictures in val, instead of --count.")] = None,
    test: Annotated[int | None, typer.Option(help="Pictures in test, instead of --count.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Also write a contact sheet (PNG).")] = None,
    table: Annotated[
        bool, typer.Option("--table", help="Also print what each set of cues can tell at best.")
    ] = False,
    style: Annotated[
        str, typer.Option(help="picture, or line: ink, which no shipped weights were trained on.")
    ] = "picture",
    level: Annotated[
        str,
        typer.Option(
            help="cues: five cues, each of which tells something; appraisal: three relations of "
            "two cues, and no cue alone tells anything; tales: the same with sentences beside it."
        ),
    ] = "cues",
    simulate: Annotated[
        bool,
        typer.Option("--simulate", help="Appraisals: also fit readers to true cues (2 minutes)."),
    ] = False,
) -> None:
    """Draw storybook pictures with captions and rationales, in EmoSet's layout."""
    from rich.console import Console

    from emosym.data.storybook.levels import CUES_LEVEL, level_named
    from emosym.data.storybook.writer import split_counts, write_storybook

    if not MIN_SIZE <= size <= MAX_SIZE:
        raise UsageError(f"--size must lie in {MIN_SIZE}..{MAX_SIZE}, got {size}.")
    level_named(level)
    if simulate and level == CUES_LEVEL:
        raise UsageError("--simulate is for --level appraisal or tales.")
    counts = _asked_counts(train, val, test) or split_counts(count)
    console = Console()
    with progress_bar() as bar:
        task = bar.add_task("drawing", total=sum(counts.values()))
        drawn = write_storybook(
            out,
            counts,
            size,
            seed,
            workers,
            progress=lambda n: bar.advance(task, n),
            style=style,
            level=level,
        )
    state = "Wrote" if drawn else "Already complete:"
    shares = ", ".join(f"{split} {number}" for split, number in counts.items())
    console.print(
        f"{state} {out} ({shares}, {size} px, seed {seed}).", highlight=False, soft_wrap=True
    )
    console.print(f"Best possible accuracy {best_of(level)} (exact).", highlight=False)
    if table:
        console.print(information(level), highlight=False)
    if simulate:
        from emosym.evaluation.storybook.appraisal import simulated_rows

        console.print(rows_table("Readers of true cues, fitted", simulated_rows(seed)))
    if sheet is not None:
        draw_sheet(sheet, seed, size, style, level)
        console.print(f"Contact sheet: {sheet}.", highlight=False, soft_wrap=True)


def _asked_counts(train: int | None, val: int | None, test: int | None) -> dict[str, int] | None:
    asked = {"train": train, "val": val, "test": test}
    if all(number is None for number in asked.values()):
        return None
    missing = [f"--{split}" for split, number in asked.items() if number is None]
    if missing:
        raise UsageError(f"Give --train, --val and --test together; missing {', '.join(missing)}.")
    return {split: number for split, number in asked.items() if number is not None}


def best_of(level: str) -> str:
    """Return on which pictures of a level which accuracy is the best that can be."""
    from emosym.data.storybook.appraisal.information import best_accuracy
    from emosym.data.storybook.levels import CUES_LEVEL
    from emosym.data.storybook.world import CUES, bayes_accuracy

    if level == CUES_LEVEL:
        return f"on unmixed pictures: {bayes_accuracy(CUES):.1%}"
    return f"of these {'pictures' if level == 'appraisal' else 'tales'}: {best_accuracy():.1%}"


def information(level: str) -> Table:
    """Return the table of what readers of the cues can tell, exact from the probabilities."""
    from emosym.data.storybook.appraisal.information import information_rows
    from emosym.data.storybook.levels import CUES_LEVEL
    from emosym.data.storybook.world import information_table

    if level != CUES_LEVEL:
        return rows_table("Best possible accuracy from the cues shown (exact)", information_rows())
    from rich.table import Table

    table = Table(title="Best possible accuracy from the cues shown, unmixed pictures (exact)")
    table.add_column("cues")
    table.add_column("accuracy", justify="right")
    last = 0
    for cues, accuracy in information_table():
        if last and len(cues) != last:
            table.add_section()
        last = len(cues)
        table.add_row(" + ".join(cues), f"{accuracy:.1%}")
    return table


def rows_table(title: str, rows: Sequence[tuple[str, float]]) -> Table:
    """Return a table of names and shares."""
    from rich.table import Table

    table = Table(title=title)
    table.add_column("reader")
    table.add_column("accuracy", justify="right")
    for name, share in rows:
        table.add_row(name, f"{share:.1%}")
    return table


def draw_sheet(path: Path, seed: int, size: int, style: str, level: str) -> None:
    """Write a PNG with the first 8 x 8 pictures of the train split."""
    import numpy as np
    from PIL import Image

    from emosym.data.storybook.drawing.draw import draw_many
    from emosym.files import write_atomic

    _, pictures = draw_many(seed, "train", 0, SHEET_SIDE**2, size, style=style, level=level)
    gap = max(2, size // 32)
    cell = size + gap
    sheet = np.full((SHEET_SIDE * cell + gap, SHEET_SIDE * cell + gap, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = gap + cell * (i // SHEET_SIDE), gap + cell * (i % SHEET_SIDE)
        sheet[y : y + size, x : x + size] = picture
    write_atomic(path, Image.fromarray(sheet).save)
