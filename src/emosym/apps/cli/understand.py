"""`emosym understand`: read the emotions of any number of pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emosym.apps.cli.found_pictures import (
    find_pictures,
    tell_passed,
    tell_unknowns,
    tell_written,
)
from emosym.apps.cli.reading_run import Reading, open_journal, read_to
from emosym.apps.cli.understand_dialogues import are_dialogues, understand_dialogues
from emosym.apps.cli.understand_text import (
    Text,
    TextColumn,
    TextFile,
    check_text,
    required,
    texts_of,
    understand_text,
)
from emosym.apps.cli.zero_shot import Labels, MaxPixels, Preset, ZeroShot, wanted_model
from emosym.errors import UsageError
from emosym.types import BadInput

if TYPE_CHECKING:
    from rich.console import Console

    from emosym.service.session import Session

Model = Annotated[
    str | None,
    typer.Option("--model", "-m", help="A checkpoint, or photo; default: the shipped storybook."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")]
JsonOut = Annotated[
    Path | None, typer.Option("--json", help="Write a JSON array; - is the terminal.")
]

Paths = Annotated[
    list[str] | None, typer.Argument(help="Pictures, folders, globs; dialogues (.json).")
]
CsvOut = Annotated[Path | None, typer.Option("--csv", help="Write CSV; - is the terminal.")]
AtOnce = Annotated[int | None, typer.Option(min=1, help="Pictures read at once: 32, zero-shot 8.")]
Abstain = Annotated[
    bool, typer.Option("--abstain", help="Name no emotion where the model is unsure of it.")
]


def understand(
    paths: Paths = None,
    model: Model = None,
    explain: Annotated[bool, typer.Option("--explain", help="Also say why.")] = False,
    resume: Resume = False,
    json_out: JsonOut = None,
    csv_out: CsvOut = None,
    parquet_out: Annotated[Path | None, typer.Option("--parquet", help="Write Parquet.")] = None,
    batch_size: AtOnce = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    zero_shot: ZeroShot = False,
    preset: Preset = None,
    labels: Labels = None,
    max_pixels: MaxPixels = None,
    text: Text = None,
    text_file: TextFile = None,
    text_column: TextColumn = None,
    abstain: Abstain = False,
) -> None:
    """Read the emotion each picture evokes, or what the speaker of each --text feels.

    A .json file is a dialogue, of which every turn is read (docs/pipeline.md). What cannot be read
    becomes an error row. Exits with 0 when at least one picture was read; --resume goes on from the
    rows of a stopped run; `accelerate launch -m emosym understand` shares them between GPUs.
    """
    from emosym.apps.cli.readings import show
    from emosym.apps.cli.shared_reading import launched, read_together
    from emosym.apps.cli.terminal import open_shown
    from emosym.apps.cli.understand_photos import refuse_words, understand_photos
    from emosym.models.photo.names import reads_photographs
    from emosym.service.sinks import check_outputs, left_to_read

    wanted = wanted_model(model, device, zero_shot, preset, labels, max_pixels)
    asked = {"json": json_out, "csv": csv_out, "parquet": parquet_out}
    named = {kind: path for kind, path in asked.items() if path is not None}
    if text or text_file is not None or text_column is not None:
        check_text(paths, explain or resume or abstain)
        told = texts_of(text, text_file, text_column)
        return understand_text(told, wanted, named, batch_size or 8)
    paths = required(paths)
    if are_dialogues(paths):
        refuse_abstaining(abstain)
        return understand_dialogues(paths, wanted, named, batch_size or 16, explain, resume)
    check_outputs(named, resumable=resume)
    if reads_photographs(model):
        refuse_words(str(model), explain or abstain)
        return understand_photos(paths, str(model), device, named, resume, batch_size, workers)
    processes = launched()
    main = processes is None or processes.main
    found, passed = find_pictures(paths)
    found = found if processes is None else processes.agree(found)
    outputs = check_outputs(named, found, resume)
    if processes is not None and device == "auto":
        wanted = replace(wanted, device=str(processes.device))
    about = {"model": model, "preset": preset, "labels": labels, "explain": explain}
    about |= {"abstain": True} if abstain else {}
    journal = open_journal(outputs, about, resume) if main else None
    left = left_to_read(found, journal.kept if journal is not None else ())
    left = left if processes is None else processes.agree(left)
    at_once = batch_size or (8 if zero_shot else 32)
    opened: list[Session] = []

    def read(some: Sequence[Path | BadInput]) -> Iterator[Reading]:
        return opened[0].understand_many(some, at_once, workers, explain)

    def readings() -> Iterator[Reading]:
        opened.append(open_shown(wanted, read=True, quiet=not main).of_pictures())
        require_threshold(abstain, opened[0])
        shared = processes and read_together(processes, left, at_once, read)
        yield from shared or read(left)

    if not main:
        return read_through(readings())
    found_rows = (journal, readings(), len(found), lambda: opened[0].space)
    tally = read_to(outputs, *found_rows, abstain)
    tell_passed(console := console_beside(outputs), passed)
    show(console, tally, explain, opened[0].about(), opened[0].pipeline.abstain_below)
    tell_unknowns(console, opened[0].pipeline.unknowns)
    tell_written(console, outputs, tally.read)


def read_through(readings: Iterator[Reading]) -> None:
    """Read for the main process, which has the rows."""
    for _ in readings:
        pass


def console_beside(outputs: dict[str, Path]) -> Console:
    """Return where people are told things: stderr, where rows go to the terminal."""
    from rich.console import Console

    from emosym.service.sinks import STDOUT

    return Console(stderr=STDOUT in outputs.values(), highlight=False)


def refuse_abstaining(abstain: bool) -> None:
    """Raise UsageError for --abstain with dialogues."""
    if abstain:
        raise UsageError("--abstain goes with pictures, not with dialogues.")


def require_threshold(abstain: bool, session: Session) -> None:
    """Raise UsageError for --abstain with a model that does not know when it is unsure."""
    if abstain and session.pipeline.abstain_below is None:
        raise UsageError(
            "--abstain needs a model with a threshold, and this one has none: "
            "`emosym calibrate` fits it to labelled pictures."
        )
