"""`emosym demo`: the whole loop once, ending in one report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option("--out", help="The run folder.")] = Path("runs/demo"),
    images: Annotated[
        list[Path] | None,
        typer.Option("--images", help="Your own pictures to read: a file or folder; repeatable."),
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            "--budget", help="demo: some minutes; shipped: longer, as the shipped weights."
        ),
    ] = "demo",
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    base: Annotated[
        str, typer.Option("--base", help="The base to start from: a preset or a folder.")
    ] = "storybook-base",
    workers: Annotated[int, typer.Option("--workers", min=1)] = 2,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="stage.key=value, such as align.optim.steps=50; repeatable."),
    ] = None,
) -> None:
    """Draw data, train the four stages, read, paint and report: some minutes on a laptop."""
    import torch
    from rich.console import Console

    from emosym.data.walk import find_images
    from emosym.device import cpu_plan
    from emosym.models.speed import keep_freed_memory
    from emosym.studies.demo import DemoSettings, run_demo

    console = Console()
    list(find_images(images or []))  # a wrong path is said now, not after the training
    torch.set_num_threads(cpu_plan().threads)
    keep_freed_memory()
    report = run_demo(
        DemoSettings(
            out=out,
            budget=budget,
            seed=seed,
            base=base,
            workers=workers,
            images=tuple(images or ()),
            overrides=tuple(overrides or ()),
        ),
        lambda line: console.print(f"[bold]>[/bold] {line}", highlight=False),
    )
    console.print(f"Report: [bold]{report}[/bold]", highlight=False, soft_wrap=True)
