"""`emosym evaluate --tasks mer,ecpe`: what a model answers about conversations, measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from emosym.errors import UsageError

if TYPE_CHECKING:
    from emosym.apps.cli.suite_options import Options
    from emosym.data.dataset import Dataset
    from emosym.evaluation.task_answers import Answered
    from emosym.models.emosym_model import EmoSymModel

SHOWN = 24


def asked_tasks(names: str) -> tuple[str, ...]:
    """Return the tasks among names with commas between them; () where all are suites.

    Raises:
        UsageError: when some are tasks and others suites.
    """
    if not names:
        return ()
    from emosym.tasks.names import TASKS

    given = [name.strip().lower() for name in names.split(",") if name.strip()]
    tasks = [name for name in given if name in TASKS]
    others = [name for name in given if name not in TASKS]
    if tasks and others:
        raise UsageError(f"{others[0]!r} is no task, {tasks[0]!r} is one: measure them apart.")
    return tuple(dict.fromkeys(tasks))


def evaluate_tasks(
    model: str | None,
    names: tuple[str, ...],
    data: tuple[str, Path, str, int | None],
    options: Options,
    spoken: bool,
    device: str,
) -> None:
    """Answer tasks about `data` (source, root, split, limit), write a result each, and show them.

    Raises:
        UsageError: without a trained model, for a task that it cannot answer, or data without the
            truth of a task.
    """
    from rich.console import Console

    from emosym.data.sources.open import open_dataset
    from emosym.evaluation.task_answers import write_task_results
    from emosym.pipelines.trained import EmoSymPipeline, space_named
    from emosym.service.sinks import check_outputs, make_parent

    if model is None:
        raise UsageError("Tasks are answered by a trained model: name one.")
    source, root, split, limit = data
    out, answers = options.out, options.predictions
    check_outputs({"json": out} | ({"parquet": answers} if answers is not None else {}))
    dataset = open_dataset(source, root, split, space_named(model))
    chosen = dataset if limit is None else dataset.subset(range(min(limit, len(dataset))))
    pipeline = EmoSymPipeline.from_pretrained(model, device)
    found = answered_by(pipeline.model, names, chosen, options.batch_size or 16, spoken)
    make_parent(out)
    written = write_task_results(
        *(out, found, options.seed, split, model),
        computed_on={"device": pipeline.device},
        answers=answers,
    )
    console = Console(highlight=False)
    for path, result in written:
        console.print(values_table(result))
        console.print(f"Wrote {path}.", soft_wrap=True, markup=False)
    if answers is not None:
        console.print(f"Wrote {answers}.", soft_wrap=True, markup=False)


def answered_by(
    model: EmoSymModel, names: tuple[str, ...], dataset: Dataset, batch_size: int, spoken: bool
) -> list[Answered]:
    """Return what a model answered in each task, about the samples whose truth is known.

    Latents answer what they can, all turns of a conversation in one pass; with `spoken`, and where
    no head is, the model is asked in words.
    """
    from emosym.evaluation.task_answers import answered
    from emosym.pipelines.task_reading import can_read, read_tasks, speak_answers
    from emosym.tasks.names import open_task

    by_latents = [name for name in names if not spoken and can_read(model, name)]
    read = read_tasks(model, dataset, by_latents, batch_size) if by_latents else {}
    found: list[Answered] = []
    for name in names:
        task = open_task(name, model.space)
        rows = [row for row in range(len(dataset)) if task.name in dataset[row].targets]
        if not rows:
            raise UsageError(f"This data set tells nothing of the task {name!r}.")
        samples = [dataset[row] for row in rows]
        if name in read:
            predictions = [read[name][row] for row in rows]
            found.append(answered(name, task, samples, predictions))
            continue
        told = speak_answers(model, task, samples, batch_size)
        found.append(answered(name, task, samples, answers=told))
    return found


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
