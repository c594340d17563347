"""`emosym report`: one self-contained HTML page from run folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, one or several to compare.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where to write; default: report.html in the first run."),
    ] = None,
) -> None:
    """Build one HTML page from what runs measured, read and painted."""
    from rich.console import Console

    from emosym.evaluation.report.build import build_report

    written = build_report(runs, out or runs[0] / "report.html")
    Console().print(f"Report: [bold]{written}[/bold]", highlight=False, soft_wrap=True)
