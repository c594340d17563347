"""`emosym evaluate-answers`: measure answers that another program wrote (ms-swift)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emosym.apps.cli.evaluate import keep


def evaluate_answers(
    file: Annotated[Path, typer.Argument(help="ms-swift's inference file, old or present form.")],
    task: Annotated[
        str, typer.Option(help="msa, mer, fer, eri, ecpe, ecpe_predicted or text_emotion.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Result file (JSON).")],
    labels: Annotated[
        str | None, typer.Option(help="Label space, or labels between commas; unset: MELD's seven.")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option("--answers", help="Also a row an answer (Parquet).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides the draws of intervals.")] = 0,
    split: Annotated[str, typer.Option(help="What the result calls the samples.")] = "test",
) -> None:
    """Measure the answers in a file against the true answers beside them.

    Rows hold `response` and `labels` (old form: `label`). A row without one is told and left out.
    """
    from rich.console import Console

    from emosym.data.notes import Note
    from emosym.emotions import space_of_text
    from emosym.evaluation.task_answers import read_answered, task_result, write_answers
    from emosym.service.sinks import check_outputs, make_parent

    check_outputs({"json": out} | ({"parquet": answers} if answers else {}))
    notes: list[Note] = []
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
