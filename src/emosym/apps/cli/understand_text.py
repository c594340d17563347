"""`emosym understand --text`: one reading a line of text."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emosym.apps.cli.reading_run import Reading, open_journal, read_to
from emosym.errors import UsageError
from emosym.files import decoded, read_text
from emosym.types import BadInput

if TYPE_CHECKING:
    from rich.console import Console

    from emosym.service.wanted import Wanted

Text = Annotated[
    list[str] | None,
    typer.Option(help="With --zero-shot: read this text, not pictures; may be repeated."),
]
TextFile = Annotated[
    Path | None, typer.Option(help="With --zero-shot: read each line; - is the standard input.")
]
SHOWN = 50
LONGEST_SHOWN = 60
MOST_BYTES = 256 * 1024 * 1024
TEXT_PRESET = "smollm2-135m"


def required(paths: list[str] | None) -> list[str]:
    """Return the paths; none at all is a UsageError."""
    if not paths:
        raise UsageError("Give pictures, folders or globs to read; or --text with --zero-shot.")
    return paths


def check_text(paths: Sequence[str] | None, zero_shot: bool, more: bool) -> None:
    """Refuse text beside pictures, for a trained model, or with options of pictures (`more`).

    Raises:
        UsageError: says which options go together.
    """
    if paths:
        raise UsageError("Give pictures, or text by --text and --text-file: not both at once.")
    if more:
        raise UsageError("--explain and --resume go with pictures, not with text.")
    if not zero_shot:
        raise UsageError(
            "The trained models here read pictures; text is read by a stock model: add "
            f"--zero-shot, with --preset {TEXT_PRESET} or another one."
        )


def texts_of(text: Sequence[str] | None, file: Path | None) -> list[str]:
    """Return the texts of --text, and of each line of --text-file (- is the standard input).

    Raises:
        UsageError: when the file is missing, too large, not text, or holds no line.
    """
    texts = list(text or ())
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


def understand_text(
    texts: Sequence[str], wanted: Wanted, named: Mapping[str, Path], batch_size: int
) -> None:
    """Read texts, write the rows to the outputs, and show the first of them.

    Raises:
        UsageError: when there is no reader, or the only text cannot be read.
    """
    from rich.console import Console

    from emosym.pipelines.zero_shot import ZeroShotPipeline
    from emosym.service.session import open_session
    from emosym.service.sinks import STDOUT, check_outputs

    outputs = check_outputs(dict(named))
    pipeline = open_session(replace(wanted, preset=wanted.preset or TEXT_PRESET)).pipeline
    assert isinstance(pipeline, ZeroShotPipeline)  # `check_text` has seen to it
    pipeline.require("reader")
    about = {"preset": wanted.preset, "labels": list(pipeline.space.labels), "texts": len(texts)}
    journal = open_journal(outputs, about, resume=False)
    first: list[Reading] = []
    counts: Counter[str] = Counter()

    def readings() -> Iterator[Reading]:
        for source, found in pipeline.understand_texts(texts, batch_size):
            if len(first) < SHOWN:
                first.append((source, found))
            counts["" if isinstance(found, BadInput) else found.emotion] += 1
            yield source, found

    read_to(outputs, journal, readings(), len(texts), lambda: pipeline.space)
    console = Console(stderr=STDOUT in outputs.values(), highlight=False)
    show(console, first, counts, pipeline.base.name)
    for path in outputs.values():
        if path != STDOUT:
            console.print(f"Wrote {path}.", soft_wrap=True, markup=False)
    if counts[""] == len(texts):
        raise typer.Exit(1)


def show(console: Console, readings: Sequence[Reading], counts: Counter[str], name: str) -> None:
    """Print the first readings as a table, and how many there are of each emotion, "" of none."""
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
        after = sorted(found.probabilities.items(), key=lambda item: -item[1])[1:3]
        others = ", ".join(f"{label} {share:.2f}" for label, share in after)
        table.add_row(escape(short), f"[bold]{found.emotion}", f"{found.confidence:.2f}", others)
    console.print(table)
    total, bad = sum(counts.values()), counts[""]
    if total > len(readings):
        more = total - len(readings)
        console.print(f"... and {more} more; --csv, --json or --parquet keep them all", style="dim")
    if total > 1:
        parts = [f"{total - bad} read", *([f"{bad} could not be read"] if bad else [])]
        told = ", ".join(f"{label} {count}" for label, count in counts.most_common() if label)
        console.print("; ".join([*parts, *([told] if told else [])]), style="bold")
    console.print(
        f"Zero-shot by {name}, which was never trained on emotions: the confidence is not "
        "calibrated.",
        style="dim",
        soft_wrap=True,
    )


def shortened(text: str) -> str:
    """Return a text on one line of a table, without signs that would steer a terminal."""
    flat = "".join(sign if sign.isprintable() else " " for sign in text)
    flat = " ".join(flat.split())
    return flat if len(flat) <= LONGEST_SHOWN else flat[: LONGEST_SHOWN - 3] + "..."
