"""`emosym ablate`: run a pre-registered study of arms and seeds, and write its table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emosym.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from emosym.studies.ablation.grid import Study


def ablate(
    study: Annotated[
        str,
        typer.Argument(help="A study (YAML); ablation, m2se-study and appraisal-study come along."),
    ] = "ablation",
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value or section.key=value, on top of it.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The study's folder.")] = Path(
        "runs/ablation"
    ),
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Side by side: one for each core.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A part of it; repeatable.")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", help="Also write each finished job's numbers here, a file each."),
    ] = None,
    commit: Annotated[
        bool, typer.Option("--commit", help="Commit each of these files in git as it is written.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="More seeds and steps: a day.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would run, and stop.")] = False,
) -> None:
    """Train every arm of a study with every seed, and tell what each part is worth.

    A stopped study goes on where it was: run the same command again.
    """
    from rich.console import Console

    from emosym.config.load import RECIPES, STUDIES
    from emosym.studies.ablation.grid import load_study

    console = Console(highlight=False)
    path = Path(study)
    if not path.is_file() and study in STUDIES:
        path = RECIPES / f"{study}.yaml"
    asked = load_study(path, full, overrides or [])
    if plan:
        console.print(plan_table(asked))
        return
    from emosym.device import usable_cores
    from emosym.studies.ablation.study import run_study

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False)

    if commit and keep is None:
        raise UsageError("--commit commits what --keep FOLDER writes: give that too.")
    run_study(asked, out, jobs or usable_cores(), say, only or (), path, keep, commit)
    say(f"Wrote {out / 'table.json'} and {out / 'report.html'}.")


def plan_table(study: Study) -> Table:
    """Return what a study comes to: jobs, seeds and fractions of every arm."""
    from rich.table import Table

    from emosym.studies.ablation.grid import seeds_of

    total = 0
    table = Table(box=None, padding=(0, 1))
    for column in ("part", "arm", "labels", "seeds", "starts from"):
        table.add_column(column, overflow="fold")
    for part in study.parts:
        for name, arm in part.arms.items():
            fractions = arm.fractions or part.fractions
            counts = [len(seeds_of(study, arm, f)) for f in fractions]
            total += 0 if arm.same_as else sum(counts)
            table.add_row(
                part.name,
                name + (" (control)" if arm.control else ""),
                ", ".join(f"{100 * f:g} %" for f in fractions),
                ", ".join(map(str, counts)),
                f"(is {arm.same_as})" if arm.same_as else arm.init or part.init or study.base,
            )
    table.caption = f"{total} jobs"
    return table
