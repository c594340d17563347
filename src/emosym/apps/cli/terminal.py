"""What the verbs show while they work: one progress bar, one spinner, plain counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

    from emosym.pipelines.trained import EmoSymPipeline
    from emosym.pipelines.zero_shot import ZeroShotPipeline


def progress_bar() -> Progress:
    """Return a bar on stderr with a task's name, count and time left; silent in a log file."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    return Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def open_pipeline(model: str, device: str = "auto", quiet: bool = False) -> EmoSymPipeline:
    """Open a model while a spinner turns on stderr, in a terminal and not `quiet`."""
    from contextlib import nullcontext

    from rich.console import Console

    console = Console(stderr=True)
    shown = console.is_terminal and not quiet
    with console.status("opening the model") if shown else nullcontext():
        from transformers.utils import logging

        from emosym.pipelines.trained import EmoSymPipeline

        logging.disable_progress_bar()
        return EmoSymPipeline.from_pretrained(model, device)


def load_reader(pipeline: EmoSymPipeline | ZeroShotPipeline) -> None:
    """Open a zero-shot reader while a spinner turns on stderr; a trained one is open.

    Raises:
        UsageError: when there is no reader on this machine; says what to do.
    """
    from contextlib import nullcontext

    from rich.console import Console

    from emosym.pipelines.zero_shot import ZeroShotPipeline

    if not isinstance(pipeline, ZeroShotPipeline):
        return
    pipeline.require("reader")
    console = Console(stderr=True)
    with console.status("opening the model") if console.is_terminal else nullcontext():
        _ = pipeline.reader


def counted(number: int, thing: str) -> str:
    """Return '1 picture' or '8 pictures'."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
