"""`emosym train`: run a recipe, with key=value on top."""

from __future__ import annotations

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
) -> None:
    """Train a stage: base, align, rl, joint or feedback. Stopped runs go on where they were."""
    from rich.console import Console

    from emosym.config import load_recipe, recipe_names
    from emosym.errors import UsageError

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
    from emosym.training.run import run_recipe

    torch.set_num_threads(cpu_plan().threads)
    keep_freed_memory()
    artefact, values = run_recipe(resolved)
    for name, value in values.items():
        console.print(f"held-out {name}: {value:.4f}", highlight=False)
    console.print(f"Wrote [bold]{artefact}[/bold]", highlight=False, soft_wrap=True)
