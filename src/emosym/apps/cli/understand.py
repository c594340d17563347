"""`emosym understand`: read the emotions of any number of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emosym.apps.cli.understand_dialogues import are_dialogues, understand_dialogues
from emosym.apps.cli.understand_pictures import understand_pictures
from emosym.apps.cli.understand_ray import (
    PART,
    Actors,
    Engine,
    Out,
    PartSize,
    RayRun,
    check_engine,
    understand_on_ray,
)
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

Course = Annotated[
    Path | None,
    typer.Option("--course", help="Draw a dialogue's course: NAME.pdf, .png and .svg."),
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
    course: Course = None,
    engine: Engine = None,
    out: Out = None,
    actors: Actors = None,
    part: PartSize = PART,
) -> None:
    """Read the emotion each picture evokes, or what the speaker of each --text feels.

    A .json file is a dialogue, of which every turn is read (docs/pipeline.md). What cannot be read
    becomes an error row. Exits with 0 when at least one picture was read; --resume goes on from the
    rows of a stopped run; `accelerate launch -m emosym understand` shares them between GPUs, and
    --engine ray between the machines of a cluster, from and to any store (docs/scaling.md).
    """
    from emosym.apps.cli.understand_photos import refuse_words, understand_photos
    from emosym.models.photo.names import reads_photographs
    from emosym.service.sinks import check_outputs

    wanted = wanted_model(model, device, zero_shot, preset, labels, max_pixels)
    if check_engine(
        engine, out, actors, bool(json_out or csv_out or parquet_out or text or abstain)
    ):
        run = RayRun(str(out), explain, resume, batch_size, workers, actors, part)
        return understand_on_ray(required(paths), wanted, run)
    asked = {"json": json_out, "csv": csv_out, "parquet": parquet_out}
    named = {kind: path for kind, path in asked.items() if path is not None}
    if text or text_file is not None or text_column is not None:
        check_text(paths, explain or resume or abstain)
        told = texts_of(text, text_file, text_column)
        return understand_text(told, wanted, named, batch_size or 8)
    paths = required(paths)
    if are_dialogues(paths):
        refuse_abstaining(abstain)
        size = batch_size or 16
        return understand_dialogues(paths, wanted, named, size, explain, resume, course)
    if course is not None:
        raise UsageError("--course draws a dialogue: give a .json file.")
    check_outputs(named, resumable=resume)
    if reads_photographs(model):
        refuse_words(str(model), explain or abstain)
        return understand_photos(paths, str(model), device, named, resume, batch_size, workers)
    about = {"model": model, "preset": preset, "labels": labels, "explain": explain}
    about |= {"abstain": True} if abstain else {}
    understand_pictures(paths, wanted, named, about, resume, batch_size, workers)


def refuse_abstaining(abstain: bool) -> None:
    """Raise UsageError for --abstain with dialogues."""
    if abstain:
        raise UsageError("--abstain goes with pictures, not with dialogues.")
