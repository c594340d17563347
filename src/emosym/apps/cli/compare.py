"""`emosym compare`: is the second model better than the first, on the same pictures?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emosym.apps.cli.data_options import SourceName

if TYPE_CHECKING:
    from rich.table import Table


def compare(
    first: Annotated[
        str, typer.Argument(help="A shipped model, a checkpoint, or predictions (.parquet).")
    ],
    second: Annotated[str, typer.Argument(help="The one that may be better.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Data set both read; not for predictions.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which split.")] = "test",
    source: SourceName = "emoset",
    limit: Annotated[int | None, typer.Option(min=1, help="Read only so many pictures.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Result file (JSON).")] = None,
    seed: Annotated[int, typer.Option(help="Decides the limit's draw and the bootstrap.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures read at once.")] = 64,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
) -> None:
    """Compare two models on one split: paired 95 % intervals, and McNemar's test.

    Two files of `emosym evaluate --predictions`, or two NAME-paintings.parquet of its task
    painting, are compared without reading or painting again.
    """
    from rich.console import Console

    from emosym.errors import UsageError
    from emosym.service.sinks import check_output, make_parent

    if out is not None:
        check_output(out)
    files = [name.endswith(".parquet") for name in (first, second)]
    if any(files) and (not all(files) or data is not None):
        raise UsageError("Give two predictions files (.parquet) and no --data, or two models.")
    if all(files):
        result = compare_files(Path(first), Path(second), seed)
    elif data is None:
        raise UsageError("Two models need --data: the data set that both are to read.")
    else:
        result = read_both(
            (first, second), data, split, source, limit, seed, batch_size, workers, device
        )
    console = Console(highlight=False)
    console.print(comparison_table(result))
    if out is not None:
        from emosym.evaluation.results.result import write_result

        make_parent(out)
        write_result(out, result)
        console.print(f"Wrote {out}.", soft_wrap=True, markup=False)


def compare_files(first: Path, second: Path, seed: int) -> dict[str, Any]:
    """Return the comparison of two predictions files, both of readings or both of paintings."""
    from emosym.errors import UsageError
    from emosym.evaluation.compare import compare_predictions
    from emosym.evaluation.compare_paintings import compare_paintings
    from emosym.evaluation.results.painting_predictions import (
        is_of_paintings,
        read_painting_predictions,
    )
    from emosym.evaluation.results.predictions import read_predictions

    painted = [is_of_paintings(path) for path in (first, second)]
    if all(painted):
        return compare_paintings(
            read_painting_predictions(first), read_painting_predictions(second), seed
        )
    if any(painted):
        one, other = (first, second) if painted[0] else (second, first)
        raise UsageError(f"{one} is of paintings and {other} is not: compare two of one kind.")
    return compare_predictions(read_predictions(first), read_predictions(second), seed)


def read_both(
    names: tuple[str, str],
    data: Path,
    split: str,
    source: str,
    limit: int | None,
    seed: int,
    batch_size: int,
    workers: int,
    device: str,
) -> dict[str, Any]:
    """Open both models, and return the result of their comparison on a split."""
    from emosym.apps.cli.terminal import open_pipeline, progress_bar
    from emosym.data.sources.open import open_dataset
    from emosym.pipelines.trained import space_named

    dataset = open_dataset(source, data, split, space_named(names[0], source, data))
    models = [open_pipeline(name, device).answering(dataset.space) for name in names]

    from emosym.evaluation.compare import compare_models
    from emosym.evaluation.measure import choose

    chosen = choose(dataset, limit, seed)
    with progress_bar() as bar:
        task = bar.add_task("reading", total=2 * len(chosen))
        return compare_models(
            models[0],
            models[1],
            chosen,
            seed=seed,
            batch_size=batch_size,
            workers=workers,
            progress=lambda n: bar.advance(task, n),
        )


def comparison_table(result: Mapping[str, Any]) -> Table:
    """Return a comparison as a table, one measure a row."""
    from rich.table import Table

    from emosym.evaluation.compare import verdict
    from emosym.metrics.intervals import Interval

    values = result["values"]
    table = Table(title=comparison_title(result))
    for column in ("measure", "first", "second", "difference (95 %)", "the second is"):
        told = column in ("measure", "the second is")
        table.add_column(column, justify="left" if told else "right", no_wrap=told)
    ending = "_difference"
    for name in (key.removesuffix(ending) for key in values if key.endswith(ending)):
        difference = Interval(*(values[f"{name}_{part}"] for part in ("difference", "low", "high")))
        table.add_row(
            name,
            f"{values[f'{name}_first']:.4f}",
            f"{values[f'{name}_second']:.4f}",
            f"{difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})",
            verdict(name, difference),
        )
    return table


def comparison_title(result: Mapping[str, Any]) -> str:
    """Return on what two sides were compared, with McNemar's p where they are paired."""
    values = result["values"]
    tests = {name: p for name, p in values.items() if name.startswith("mcnemar_p")}
    if "paired" not in values:
        told = f"{result['n']:,} pictures"
    elif values["paired"]:
        told = f"{values['n_first']:,} pairs of paintings, each of one seed"
    else:
        told = f"{values['n_first']:,} and {values['n_second']:,} paintings, not paired"
    named = [
        f"{name.removeprefix('mcnemar_p').lstrip('_')} {p:.3g}".strip() for name, p in tests.items()
    ]
    return f"{told}; McNemar p {', '.join(named)}" if named else told
