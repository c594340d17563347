"""`emosym compare`: is the second model better than the first, on the same pictures?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MEASURES = ("accuracy", "brier", "brier_raw", "nll_raw")


def compare(
    first: Annotated[str, typer.Argument(help="A shipped model or a checkpoint folder.")],
    second: Annotated[str, typer.Argument(help="The one that may be better.")],
    data: Annotated[Path, typer.Option("--data", help="Folder of a data set in EmoSet's layout.")],
    split: Annotated[str, typer.Option(help="Which split.")] = "test",
    source: Annotated[str, typer.Option(help="emoset, storybook or folder.")] = "emoset",
    limit: Annotated[int | None, typer.Option(min=1, help="Read only so many pictures.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Result file (JSON).")] = None,
    seed: Annotated[int, typer.Option(help="Decides the limit's draw and the bootstrap.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures read at once.")] = 64,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
) -> None:
    """Compare two models on one split: paired 95 % intervals, and McNemar's test."""
    from rich.console import Console
    from rich.table import Table

    from emosym.apps.cli.outputs import check_output, make_parent
    from emosym.apps.cli.terminal import open_pipeline, progress_bar
    from emosym.data.sources import open_dataset

    if out is not None:
        check_output(out)
    dataset = open_dataset(source, data, split)
    models = [open_pipeline(name, device) for name in (first, second)]

    from emosym.evaluation.compare import compare_models, verdict
    from emosym.evaluation.results import write_result
    from emosym.evaluation.runner import choose
    from emosym.metrics.intervals import Interval

    chosen = choose(dataset, limit, seed)
    with progress_bar() as bar:
        task = bar.add_task("reading", total=2 * len(chosen))
        result = compare_models(
            models[0],
            models[1],
            chosen,
            seed=seed,
            batch_size=batch_size,
            workers=workers,
            progress=lambda n: bar.advance(task, n),
        )
    values = result["values"]
    table = Table(title=f"{len(chosen):,} pictures of {split}; McNemar p {values['mcnemar_p']:.3g}")
    for column in ("measure", "first", "second", "difference (95 %)", "the second is"):
        table.add_column(
            column, justify="left" if column in ("measure", "the second is") else "right"
        )
    for name in MEASURES:
        difference = Interval(*(values[f"{name}_{part}"] for part in ("difference", "low", "high")))
        table.add_row(
            name,
            f"{values[f'{name}_first']:.4f}",
            f"{values[f'{name}_second']:.4f}",
            f"{difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})",
            verdict(name, difference),
        )
    console = Console(highlight=False)
    console.print(table)
    if out is not None:
        make_parent(out)
        write_result(out, result)
        console.print(f"Wrote {out}.", soft_wrap=True, markup=False)
