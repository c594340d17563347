"""`emosym emoverse`: EmoVerse's tasks on storybook conversations, ending in one report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def emoverse(
    out: Annotated[Path, typer.Option("--out", help="The run folder.")] = Path("runs/emoverse"),
    train: Annotated[int, typer.Option("--train", min=1, help="Training conversations.")] = 2000,
    val: Annotated[int, typer.Option("--val", min=1, help="Validation conversations.")] = 200,
    test: Annotated[int, typer.Option("--test", min=1, help="Test conversations.")] = 300,
    reasons: Annotated[
        int, typer.Option("--reasons", min=1, help="How many reasons to ask for, in words.")
    ] = 200,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    base: Annotated[
        str, typer.Option("--base", help="Where stage 1 starts: a preset or a folder.")
    ] = "storybook-dialogue-base",
    workers: Annotated[int, typer.Option("--workers", min=1)] = 2,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="stage.key=value, such as stage1.optim.steps=50; repeatable."),
    ] = None,
) -> None:
    """Draw conversations, train two stages on them, measure every task and report."""
    import torch
    from rich.console import Console

    from emosym.device import cpu_plan
    from emosym.models.speed import keep_freed_memory
    from emosym.studies.emoverse import EmoVerseSettings, run_emoverse

    console = Console()
    torch.set_num_threads(cpu_plan().threads)
    keep_freed_memory()
    report = run_emoverse(
        EmoVerseSettings(
            out=out,
            train=train,
            val=val,
            test=test,
            reasons=reasons,
            seed=seed,
            base=base,
            workers=workers,
            overrides=tuple(overrides or ()),
        ),
        lambda line: console.print(f"[bold]>[/bold] {line}", highlight=False),
    )
    console.print(f"Report: [bold]{report}[/bold]", highlight=False, soft_wrap=True)
