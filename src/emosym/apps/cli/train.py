"""`emosym train`: run a recipe, with key=value on top."""

from __future__ import annotations

import time
from typing import Annotated

import typer


def train(
    recipe: Annotated[
        str, typer.Argument(help="A recipe's name (see --list) or a YAML file.")
    ] = "",
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value or section.key=value, on top of it.")
    ] = None,
    list_recipes: Annotated[
        bool, typer.Option("--list", help="List the recipes that come with the package.")
    ] = False,
    stop_after: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="MINUTES",
            help="Stop in order after so many minutes, with exit code 75 when there is more to do.",
        ),
    ] = None,
) -> None:
    """Train a stage: base, align, rl, joint or feedback. Stopped runs go on where they were."""
    began = time.time()
    from rich.console import Console

    from emosym.config.load import load_recipe, recipe_names
    from emosym.errors import StoppedEarly, UsageError

    console = Console()
    if list_recipes:
        for name in recipe_names():
            console.print(name, highlight=False)
        return
    if not recipe:
        raise UsageError(f"Give a recipe: one of {', '.join(recipe_names())}, or a YAML file.")
    resolved = load_recipe(recipe, overrides or [])
    import torch

    from emosym.device import cpu_plan
    from emosym.models.speed import keep_freed_memory
    from emosym.processes import Processes
    from emosym.training.run import run_recipe

    processes = Processes()
    with processes.main_first():  # one measures this CPU, so that all compute alike
        torch.set_num_threads(cpu_plan().threads)
    keep_freed_memory()
    console.quiet = not processes.main
    deadline = None if stop_after is None else began + 60 * stop_after
    try:
        artefact, values = run_recipe(resolved, deadline=deadline)
    except StoppedEarly as stopped:
        minutes = (time.time() - began) / 60
        console.print(
            f"Stopped after {minutes:.1f} minutes: {stopped}. Run the same command to go on.",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
        raise typer.Exit(stopped.exit_code) from None
    for name, value in values.items():
        console.print(f"held-out {name}: {value:.4f}", highlight=False)
    console.print(f"Wrote [bold]{artefact}[/bold]", highlight=False, soft_wrap=True)
