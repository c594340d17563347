"""`emosym evaluate --tasks mer,ecpe`: what a model answers about conversations, measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from emosym.errors import UsageError
from emosym.types import OPEN

if TYPE_CHECKING:
    from emosym.apps.cli.suite_options import Options

SHOWN = 24
SHORT = {"text": "text_emotion"}


def asked_tasks(names: str, wheels: Path | None = None) -> tuple[str, ...]:
    """Return the tasks among names with commas between them; () where all are suites.

    Raises:
        UsageError: when some are tasks and others suites, or `wheels` are given and not needed.
    """
    if wheels is not None and OPEN not in names.lower():
        raise UsageError("--wheels is of the task open: give --tasks open.")
    if not names:
        return ()
    from emosym.tasks.names import TASKS

    given = [name.strip().lower() for name in names.split(",") if name.strip()]
    given = [SHORT.get(name, name) for name in given]
    tasks = [name for name in given if name in TASKS]
    others = [name for name in given if name not in TASKS]
    if tasks and others:
        raise UsageError(f"{others[0]!r} is no task, {tasks[0]!r} is one: measure them apart.")
    return tuple(dict.fromkeys(tasks))


def evaluate_tasks(
    model: str | None,
    names: tuple[str, ...],
    data: tuple[str, Path, str, int | None, str | None],
    options: Options,
    spoken: bool,
    device: str,
    wheels: Path | None = None,
) -> None:
    """Answer tasks about `data`, write a result each, and show them.

    `data` are source, root, split, limit, and the label space to answer in (None: of the data).

    Raises:
        UsageError: without a trained model, for a task that it cannot answer, or data without the
            truth of a task.
    """
    from rich.console import Console

    from emosym.data.sources.open import open_dataset
    from emosym.data.wheel_tables import read_wheels
    from emosym.evaluation.answer_tasks import answer_tasks
    from emosym.evaluation.task_answers import write_task_results
    from emosym.pipelines.trained import EmoSymPipeline, space_named
    from emosym.service.sinks import check_outputs, make_parent

    if model is None:
        raise UsageError("Tasks are answered by a trained model: name one.")
    source, root, split, limit, space = data
    out, answers = options.out, options.predictions
    check_outputs({"json": out} | ({"parquet": answers} if answers is not None else {}))
    dataset = open_dataset(source, root, split, space_named(model, source, root, space))
    chosen = dataset if limit is None else dataset.subset(range(min(limit, len(dataset))))
    pipeline = EmoSymPipeline.from_pretrained(model, device).answering(dataset.space)
    tables = None if wheels is None else read_wheels(wheels)
    found = answer_tasks(pipeline.model, names, chosen, options.batch_size or 16, spoken, tables)
    make_parent(out)
    written = write_task_results(
        out,
        found,
        options.seed,
        split,
        model,
        computed_on={"device": pipeline.device},
        answers=answers,
    )
    console = Console(highlight=False)
    for path, result in written:
        console.print(values_table(result))
        console.print(f"Wrote {path}.", soft_wrap=True, markup=False)
    if answers is not None:
        console.print(f"Wrote {answers}.", soft_wrap=True, markup=False)


def values_table(result: dict[str, Any]) -> Any:
    """Return the numbers of a result as a table, intervals and lists left out."""
    from rich.table import Table

    title = f"{result['name']} (n = {result['n']}, seed {result['seed']})"
    table = Table(title=title, box=None, min_width=len(title))
    table.add_column("value", no_wrap=True)
    table.add_column("", justify="right")
    for name, value in list(result["values"].items())[:SHOWN]:
        if isinstance(value, (int, float)) and not name.endswith(("_low", "_high")):
            table.add_row(name, f"{value:.3f}" if isinstance(value, float) else str(value))
    return table
