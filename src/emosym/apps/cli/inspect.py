"""`emosym inspect`: what a model's layers know of the emotion, and what pushing them does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emosym.apps.cli.data_options import SourceName, SpaceName


def inspect(
    model: Annotated[str, typer.Argument(help="A shipped model or a checkpoint folder.")],
    data: Annotated[Path, typer.Option("--data", help="Folder of the labelled data set.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Result file (JSON).")] = Path(
        "inside.json"
    ),
    page: Annotated[
        Path | None, typer.Option("--page", help="The page; default: beside the result.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which split.")] = "test",
    source: SourceName = "emoset",
    space: SpaceName = None,
    limit: Annotated[
        int, typer.Option(min=8, help="So many samples: half teach, half are asked.")
    ] = 400,
    shown: Annotated[
        int, typer.Option(min=0, help="Samples that also speak and paint under each push.")
    ] = 48,
    seed: Annotated[int, typer.Option(help="Decides draws, halves, pushes and noise.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
) -> None:
    """Probe the latents layer by layer, push [CTX] along each emotion, and write a page of it.

    A linear probe says how well a straight line reads the emotion off a state. A push adds the
    direction of an emotion that is not there; beside it goes a random one of the same size.
    """
    from rich.console import Console

    from emosym.apps.cli.measured import measure_by, open_measured
    from emosym.data.sources.open import open_dataset
    from emosym.evaluation.inside.inspection import evaluate_inside
    from emosym.evaluation.report.inside import said_inside, write_inside
    from emosym.evaluation.results.result import write_result
    from emosym.pipelines.trained import space_named
    from emosym.service.sinks import check_output, make_parent

    shown_at = page or out.with_suffix(".html")
    for path in (out, shown_at):
        check_output(path)
        make_parent(path)
    dataset = open_dataset(source, data, split, space_named(model, source, data, space))
    measured = open_measured(model, None, device, None, dataset)
    result = measure_by(evaluate_inside, measured, dataset, limit, seed, shown=shown)
    write_result(out, result)
    write_inside(shown_at, result, f"Inside {model}")
    console = Console(highlight=False)
    for sentence in said_inside(result):
        console.print(sentence, soft_wrap=True, markup=False)
    console.print(f"Wrote {out} and {shown_at}.", soft_wrap=True, markup=False)
