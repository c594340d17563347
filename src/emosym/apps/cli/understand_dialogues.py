"""`emosym understand dialogue.json`: every turn of conversations, and what caused its emotion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from emosym.apps.cli.readings import Tally
from emosym.apps.cli.understand_text import shortened
from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.service.dialogues import cause_numbers, dialogue_rows
from emosym.service.rows import named_labels
from emosym.service.words import EACH_ALONE
from emosym.types import BadInput, DialogueOutput, Sample

if TYPE_CHECKING:
    from rich.console import Console

    from emosym.service.wanted import Wanted

SUFFIX = ".json"
SHOWN = 20


def are_dialogues(paths: Sequence[str]) -> bool:
    """Return whether all paths name dialogues; none of a mix is.

    Raises:
        UsageError: when some do and others do not.
    """
    named = [path for path in paths if path.lower().endswith(SUFFIX)]
    if named and len(named) < len(paths):
        raise UsageError(f"{named[0]} is a dialogue, the others are not: read them apart.")
    return bool(named)


def understand_dialogues(
    paths: Sequence[str],
    wanted: Wanted,
    named: Mapping[str, Path],
    batch_size: int,
    explain: bool = False,
    resume: bool = False,
    course: Path | None = None,
) -> None:
    """Read dialogues, write a row a turn to the outputs, and show them.

    `course` (of one dialogue) names figures of its course without their ending, which are drawn.

    Raises:
        UsageError: for a model that was not taught conversations or, with `explain`, to say why,
            or when the only dialogue cannot be read; for `resume`, which pictures alone have.
    """
    from rich.console import Console

    from emosym.apps.cli.reading_run import open_journal, write_rows
    from emosym.data.dialogue_file import read_dialogue
    from emosym.service.session import open_session
    from emosym.service.sinks import STDOUT, check_outputs
    from emosym.service.texts import of_words

    if course is not None and len(paths) > 1:
        raise UsageError(f"--course draws one dialogue, got {len(paths)}: name one.")
    if resume:
        raise UsageError("--resume goes with pictures, not with dialogues.")
    if wanted.zero_shot:
        raise UsageError("Dialogues are read by a trained model: --model FOLDER.")
    outputs = check_outputs(dict(named))
    pipeline = open_session(of_words(wanted)).pipeline
    pipeline.require("reader")
    opened: list[Sample | BadInput] = []
    for path in paths:
        try:
            opened.append(read_dialogue(Path(path)))
        except UsageError as error:
            if len(paths) == 1:
                raise
            opened.append(BadInput(path, str(error)))
    good = [one for one in opened if isinstance(one, Sample)]
    read = iter(pipeline.read_dialogues(good, batch_size, explain))
    told = [
        (path, one, one if isinstance(one, BadInput) else next(read))
        for path, one in zip(paths, opened, strict=True)
    ]
    if len(told) == 1 and isinstance(told[0][2], BadInput):
        raise UsageError(told[0][2].error)
    rows = [row for path, _, found in told for row in dialogue_rows(path, found)]
    journal = open_journal(outputs, {"dialogues": list(paths)}, resume=False)
    tally = Tally(len(rows))
    write_rows(outputs, journal, iter(rows), tally, pipeline.space)
    console = Console(stderr=STDOUT in outputs.values(), highlight=False)
    for path, sample, found in told[:SHOWN]:
        show_dialogue(console, path, sample, found)
    if len(told) > SHOWN:
        console.print(f"... and {len(told) - SHOWN} more dialogues", style="dim")
    if course is not None:
        _, sample, found = told[0]
        assert isinstance(sample, Sample) and isinstance(found, DialogueOutput)  # or it had raised
        show_course(console, sample, found, pipeline.space, course)
    for sentence in [*([] if pipeline.about().history else [EACH_ALONE]), *pipeline.unknowns]:
        console.print(sentence, style="dim", soft_wrap=True, markup=False)
    for path_out in outputs.values():
        if path_out != STDOUT:
            console.print(f"Wrote {path_out}.", soft_wrap=True, markup=False)
    if not tally.read:
        raise typer.Exit(1)


def show_dialogue(
    console: Console, path: str, sample: Sample | BadInput, found: DialogueOutput | BadInput
) -> None:
    """Print a dialogue as a table: who says what, the emotion, how sure, and its causes."""
    from rich.markup import escape
    from rich.table import Table

    if isinstance(found, BadInput) or isinstance(sample, BadInput):
        told = found.error if isinstance(found, BadInput) else ""
        console.print(f"{path}: {told}", style="red", soft_wrap=True, markup=False)
        return
    console.print(path, style="bold", markup=False)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("turn", justify="right", no_wrap=True)
    for name in ("who", "says", "emotion"):
        table.add_column(name, overflow="fold")
    table.add_column("conf.", justify="right", no_wrap=True)
    if found.causes is not None:
        table.add_column("caused by turn", no_wrap=True)
    for number, (turn, reading) in enumerate(zip(sample.turns, found.readings, strict=True)):
        causes = cause_numbers(found, number)
        cells = [
            str(number + 1),
            escape(shortened(turn.speaker or "")),
            escape(shortened(turn.text or "(a picture)")),
            f"[bold]{named_labels(reading)}" + (" [dim](unsure)" if reading.abstains else ""),
            f"{reading.confidence:.2f}",
        ]
        named = [] if causes is None else [", ".join(map(str, causes))]
        table.add_row(*cells, *named)
    console.print(table)
    for number, reading in enumerate(found.readings):
        if reading.rationale:
            told = f"{number + 1}: {reading.rationale}"
            console.print(told, style="italic", soft_wrap=True, markup=False)


def show_course(
    console: Console, sample: Sample, found: DialogueOutput, space: LabelSpace, stem: Path
) -> None:
    """Draw the course of a dialogue as stem.pdf, .png and .svg, and print each speaker's."""
    from rich.markup import escape
    from rich.table import Table

    from emosym.evaluation.report.course import NOBODY, course_plot
    from emosym.evaluation.report.drawing import save
    from emosym.metrics.dynamics import course, dynamics
    from emosym.service.sinks import make_parent

    rows = [[one.probabilities[label] for label in space.labels] for one in found.readings]
    states, names = course(rows, space)
    speakers = [turn.speaker for turn in sample.turns]
    labels = [named_labels(one) for one in found.readings]
    make_parent(stem)
    written = save(course_plot(states, names, speakers, labels), stem)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("who", "turns", *(f"{n} {value}" for n in names for value in ("mean", "inertia"))):
        table.add_column(name, justify="left" if name == "who" else "right")
    for who, told in dynamics(states, speakers, names).items():
        values = [told[f"{n}_{value}"] for n in names for value in ("mean", "inertia")]
        shown = ["-" if value is None else f"{value:.2f}" for value in values]
        table.add_row(escape(shortened(who or NOBODY)), str(told["turns"]), *shown)
    console.print(table)
    console.print(f"Wrote {', '.join(map(str, written))}.", soft_wrap=True, markup=False)
