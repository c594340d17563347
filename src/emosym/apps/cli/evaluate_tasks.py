"""`emosym evaluate --tasks mer,ecpe`: what a model answers about conversations, measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from emosym.errors import UsageError
from emosym.types import OPEN

if TYPE_CHECKING:
    from emosym.apps.cli.suite_options import Options
    from emosym.data.dataset import Dataset
    from emosym.evaluation.shown_examples import Examples
    from emosym.evaluation.task_answers import Answered

SHOWN, TRAIN = 24, "train"
SHORT = {"text": "text_emotion"}


def asked_tasks(names: str, wheels: Path | None = None, examples: int = 0) -> tuple[str, ...]:
    """Return the tasks among names with commas between them; () where all are suites.

    Raises:
        UsageError: when some are tasks and others suites, or `wheels` or `examples` are given and
            not needed.
    """
    if wheels is not None and OPEN not in names.lower():
        raise UsageError("--wheels is of the task open: give --tasks open.")
    if not names and not examples:
        return ()
    from emosym.tasks.names import TASKS

    given = [name.strip().lower() for name in names.split(",") if name.strip()]
    given = [SHORT.get(name, name) for name in given]
    tasks = [name for name in given if name in TASKS]
    others = [name for name in given if name not in TASKS]
    if tasks and others:
        raise UsageError(f"{others[0]!r} is no task, {tasks[0]!r} is one: measure them apart.")
    if examples and not tasks:
        raise UsageError("--examples stand before the question of a task: give --tasks mer.")
    return tuple(dict.fromkeys(tasks))


def evaluate_tasks(
    model: str | None,
    names: tuple[str, ...],
    data: tuple[str, Path, str, int | None, str | None],
    options: Options,
    spoken: bool,
    device: str,
    wheels: Path | None = None,
    preset: str | None = None,
) -> None:
    """Answer tasks about `data`, write a result each, and show them.

    `data` are source, root, split, limit, and the label space to answer in (None: of the data).

    Without a `model` the stock model of a `preset` is asked itself.

    Raises:
        UsageError: without either, for a task that it cannot answer, or data without the truth of
            a task.
    """
    from rich.console import Console

    from emosym.data.changes import with_changes
    from emosym.data.sources.open import open_dataset
    from emosym.data.sources.own_labels import space_of_data, space_of_source
    from emosym.emotions import space_of_text
    from emosym.evaluation.shown_examples import Examples
    from emosym.evaluation.task_answers import write_task_results
    from emosym.pipelines.trained import space_named
    from emosym.service.sinks import check_outputs, make_parent

    if model is None and preset is None:
        raise UsageError(
            "Tasks are answered by a trained model: name one, or a stock model by --zero-shot "
            "--preset."
        )
    source, root, split, limit, space = data
    out, answers = options.out, options.predictions
    check_outputs({"json": out} | ({"parquet": answers} if answers is not None else {}))
    if model is not None:
        wanted = space_named(model, source, root, space)
    elif space is not None:
        wanted = space_of_text(space)
    else:
        wanted = space_of_data(source, root) or space_of_source(source)
    dataset = with_changes(open_dataset(source, root, split, wanted), names)
    chosen = dataset if limit is None else dataset.subset(range(min(limit, len(dataset))))
    examples = None
    if options.examples:
        bank = with_changes(open_dataset(source, root, TRAIN, wanted), names)
        examples = Examples(tuple(bank), options.examples)
    how = {"spoken": spoken} | ({"examples": options.examples} if examples else {})
    ask = _ask_model if preset is None else _ask_preset
    asked = str(preset or model)
    found, used = ask(asked, names, chosen, options, spoken, device, wheels, examples)
    make_parent(out)
    written = write_task_results(
        out,
        found,
        options.seed,
        split,
        model,
        zero_shot=None if preset is None else {"preset": preset, **how},
        computed_on={"device": used},
        answers=answers,
    )
    console = Console(highlight=False)
    for path, result in written:
        console.print(values_table(result))
        console.print(f"Wrote {path}.", soft_wrap=True, markup=False)
    if answers is not None:
        console.print(f"Wrote {answers}.", soft_wrap=True, markup=False)


def _ask_model(
    model: str,
    names: tuple[str, ...],
    chosen: Dataset,
    options: Options,
    spoken: bool,
    device: str,
    wheels: Path | None,
    examples: Examples | None,
) -> tuple[list[Answered], str]:
    """Return what a trained model answers, and on which device."""
    from emosym.data.wheel_tables import read_wheels
    from emosym.evaluation.answer_tasks import answer_tasks
    from emosym.pipelines.trained import EmoSymPipeline

    pipeline = EmoSymPipeline.from_pretrained(model, device).answering(chosen.space)
    tables = None if wheels is None else read_wheels(wheels)
    size = options.batch_size or 16
    found = answer_tasks(pipeline.model, names, chosen, size, spoken, tables, examples)
    return found, pipeline.device


def _ask_preset(
    preset: str,
    names: tuple[str, ...],
    chosen: Dataset,
    options: Options,
    spoken: bool,
    device: str,
    wheels: Path | None,
    examples: Examples | None,
) -> tuple[list[Answered], str]:
    """Return what the stock model of a preset answers, and on which device."""
    from emosym.data.wheel_tables import read_wheels
    from emosym.evaluation.likely_answers import ask_tasks
    from emosym.models.reader.backbone import open_chat
    from emosym.pipelines.zero_shot import ZeroShotPipeline

    pipeline = ZeroShotPipeline.from_pretrained(preset, device=device)
    pipeline.require("reader")
    chat = open_chat(pipeline.base, pipeline.device)
    tables = None if wheels is None else read_wheels(wheels)
    size = options.batch_size or 8
    found = ask_tasks(chat, chosen.space, names, chosen, size, spoken, tables, examples)
    return found, pipeline.device


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
