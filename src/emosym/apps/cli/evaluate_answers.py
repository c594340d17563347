"""`emosym evaluate-answers`: measure answers that another program wrote (ms-swift)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emosym.apps.cli.evaluate import keep
from emosym.errors import UsageError


def evaluate_answers(
    file: Annotated[Path, typer.Argument(help="ms-swift's inference file, old or present form.")],
    task: Annotated[
        str, typer.Option(help="msa, mer, fer, eri, ecpe, ecpe_predicted, text_emotion or open.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Result file (JSON).")],
    labels: Annotated[
        str | None, typer.Option(help="Label space, or labels between commas; unset: MELD's seven.")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option("--answers", help="Also a row an answer (Parquet).")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Task open: true words in a file of their own (CSV, JSON).")
    ] = None,
    wheels: Annotated[
        Path | None, typer.Option(help="Task open: the folder with the tables of emotion wheels.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides the draws of intervals.")] = 0,
    split: Annotated[str, typer.Option(help="What the result calls the samples.")] = "test",
) -> None:
    """Measure the answers in a file against the true answers beside them.

    Rows hold `response` and `labels` (old form: `label`). A row without one is told and left out.
    For the task open a file may also be a CSV or JSON with other names (docs/tasks.md).
    """
    from rich.console import Console

    from emosym.data.notes import Note
    from emosym.data.wheel_tables import read_wheels
    from emosym.emotions import space_of_text
    from emosym.evaluation.open_answers import read_open_answered
    from emosym.evaluation.task_answers import read_answered, task_result, write_answers
    from emosym.service.sinks import check_outputs, make_parent
    from emosym.types import OPEN

    check_outputs({"json": out} | ({"parquet": answers} if answers else {}))
    notes: list[Note] = []
    if task == OPEN:
        tables = None if wheels is None else read_wheels(wheels)
        found = read_open_answered(file, truth, tables, notes)
    elif truth is not None or wheels is not None:
        raise UsageError("--truth and --wheels are of the task open: give --task open.")
    else:
        found = read_answered(file, task, space_of_text(labels or "meld7"), notes)
    console = Console(highlight=False)
    for note in notes:
        console.print(f"Left out: {note.sentence}", soft_wrap=True, markup=False)
    result = task_result(found, seed, split)
    make_parent(out)
    if answers is not None:
        write_answers(answers, [found], [result])
    keep(console, out, result)
    if answers is not None:
        console.print(f"Wrote {answers}.", soft_wrap=True, markup=False)
