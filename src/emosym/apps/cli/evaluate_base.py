"""`emosym evaluate-base`: does a base describe pictures, and paint captions?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
) -> None:
    """Measure a storybook base before any emotion is taught, on pictures of their own stream."""
    from rich.console import Console

    from emosym.apps.cli.evaluate import result_table
    from emosym.evaluation.results.result import write_result
    from emosym.evaluation.storybook.base_checks import evaluate_base as measure
    from emosym.service.sinks import check_output, make_parent

    for path in (out, sheet):
        if path is not None:
            check_output(path)
            make_parent(path)
    result = measure(base, count, seed, sheet)
    write_result(out, result)
    console = Console(highlight=False)
    console.print(result_table(result))
    console.print(f"Wrote {out}.", soft_wrap=True, markup=False)
