"""`emosym compare`: is the second model better than the first, on the same pictures?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emosym.apps.cli.data_options import SourceName

if TYPE_CHECKING:
    from rich.table import Table

MEASURES = (
    *("accuracy", "brier", "brier_raw", "nll", "nll_raw"),
    *("votes_brier", "votes_brier_raw"),
)


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

    Two files of `emosym evaluate --predictions` are compared without reading a picture again.
    """
    from rich.console import Console

    from emosym.apps.cli.outputs import check_output, make_parent
    from emosym.errors import UsageError

    if out is not None:
        check_output(out)
    files = [name.endswith(".parquet") for name in (first, second)]
    if any(files) and (not all(files) or data is not None):
        raise UsageError("Give two predictions files (.parquet) and no --data, or two models.")
    if all(files):
        from emosym.evaluation.compare import compare_predictions
        from emosym.evaluation.predictions import read_predictions

        sides = [read_predictions(Path(name)) for name in (first, second)]
        result = compare_predictions(sides[0], sides[1], seed)
    elif data is None:
        raise UsageError("Two models need --data: the data set that both are to read.")
    else:
        result = read_both(
            (first, second), data, split, source, limit, seed, batch_size, workers, device
        )
    console = Console(highlight=False)
    console.print(comparison_table(result))
    if out is not None:
        from emosym.evaluation.results import write_result

        make_parent(out)
        write_result(out, result)
        console.print(f"Wrote {out}.", soft_wrap=True, markup=False)


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
    from emosym.data.sources import open_dataset

    dataset = open_dataset(source, data, split)
    models = [open_pipeline(name, device) for name in names]

    from emosym.evaluation.compare import compare_models
    from emosym.evaluation.runner import choose

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
    table = Table(title=f"{result['n']:,} pictures; McNemar p {values['mcnemar_p']:.3g}")
    for column in ("measure", "first", "second", "difference (95 %)", "the second is"):
        told = column in ("measure", "the second is")
        table.add_column(column, justify="left" if told else "right", no_wrap=told)
    for name in MEASURES:
        if f"{name}_first" not in values:
            continue
        difference = Interval(*(values[f"{name}_{part}"] for part in ("difference", "low", "high")))
        table.add_row(
            name,
            f"{values[f'{name}_first']:.4f}",
            f"{values[f'{name}_second']:.4f}",
            f"{difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})",
            verdict(name, difference),
        )
    return table
