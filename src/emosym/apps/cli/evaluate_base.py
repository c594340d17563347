"""`emosym evaluate-base`: does a base describe pictures, and paint captions?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emosym.errors import UsageError


def evaluate_base(
    base: Annotated[str, typer.Argument(help="A preset, or the folder of a base.")] = (
        "storybook-base"
    ),
    out: Annotated[Path, typer.Option("--out", "-o", help="Result file (JSON).")] = Path(
        "base.json"
    ),
    count: Annotated[int, typer.Option(min=8, help="Held-out pictures.")] = 400,
    seed: Annotated[int, typer.Option(help="Decides the pictures and the noise.")] = 0,
    sheet: Annotated[Path | None, typer.Option(help="Also write a contact sheet (PNG).")] = None,
    probe: Annotated[
        int | None,
        typer.Option(
            min=16,
            help="Instead: fit a two-layer probe to the frozen reader with so many labelled "
            "pictures of the appraisal level (the stop rule takes 200), --count held out.",
        ),
    ] = None,
) -> None:
    """Measure a storybook base before any emotion is taught, on pictures of their own stream."""
    from rich.console import Console

    from emosym.apps.cli.evaluate import result_table
    from emosym.evaluation.results.result import write_result
    from emosym.evaluation.storybook.appraisal import probe_base, verdict
    from emosym.evaluation.storybook.base_checks import evaluate_base as measure
    from emosym.service.sinks import check_output, make_parent

    for path in (out, sheet):
        if path is not None:
            check_output(path)
            make_parent(path)
    if probe is None:
        result = measure(base, count, seed, sheet)
    elif sheet is not None:
        raise UsageError("A probe paints nothing: leave out --sheet.")
    else:
        result = probe_base(base, labels=probe, tested=count, seed=seed)
    write_result(out, result)
    console = Console(highlight=False)
    console.print(result_table(result))
    if probe is not None:
        console.print(verdict(result["values"], probe))
    console.print(f"Wrote {out}.", soft_wrap=True, markup=False)
