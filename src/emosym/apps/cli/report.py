"""`emosym report`: one self-contained HTML page from runs or results, figures, LaTeX tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders or result files, one or several to compare.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="The page; default: report.html in the run, or beside a file.",
        ),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option("--figures", help="A folder for the figures alone, as PDF, PNG and SVG."),
    ] = None,
    latex: Annotated[
        Path | None,
        typer.Option("--latex", help="A file for LaTeX tables (booktabs) with intervals."),
    ] = None,
) -> None:
    """Build one HTML page from what runs measured, read and painted.

    With --figures or --latex those are written in its place; --out writes it too.
    """
    from rich.console import Console

    from emosym.evaluation.report.build import build_report
    from emosym.evaluation.report.export import latex_tables, write_figures
    from emosym.evaluation.results.run_folder import read_run
    from emosym.files import write_text

    console = Console(highlight=False, soft_wrap=True)
    found = [read_run(run) for run in runs]
    if figures is not None:
        written = write_figures(found, figures)
        console.print(f"Figures: [bold]{len(written)} files in {figures}[/bold]")
    if latex is not None:
        write_text(latex, latex_tables(found))
        console.print(f"LaTeX: [bold]{latex}[/bold]")
    if out is None and (figures is not None or latex is not None):
        return
    first = runs[0]
    usual = first.with_suffix(".html") if first.is_file() else first / "report.html"
    console.print(f"Report: [bold]{build_report(runs, out or usual)}[/bold]")
