"""What the verbs show while they work: one progress bar, one spinner, plain counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

    from emosym.pipelines.trained import EmoSymPipeline
    from emosym.service.session import Session
    from emosym.service.wanted import Wanted


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


def open_shown(wanted: Wanted, read: bool = False, quiet: bool = False) -> Session:
    """Open a model, and with `read` its reader, while a spinner turns on stderr if not `quiet`.

    Raises:
        UsageError: as `open_session`, or when a reader is needed that is not on this machine.
        EmoSymError: as `open_session`.
    """
    from contextlib import nullcontext

    from rich.console import Console

    console = Console(stderr=True)
    shown = console.is_terminal and not quiet
    with console.status("opening the model") if shown else nullcontext():
        from transformers.utils import logging

        from emosym.service.session import open_session

        logging.disable_progress_bar()
        session = open_session(wanted)
        if read:
            session.pipeline.require("reader")
            session.pipeline.load("reader")
    return session


def open_pipeline(model: str, device: str = "auto") -> EmoSymPipeline:
    """Open a trained model while a spinner turns on stderr; errors as in `open_session`."""
    from emosym.pipelines.trained import EmoSymPipeline
    from emosym.service.wanted import Wanted

    pipeline = open_shown(Wanted(model=model, device=device)).pipeline
    assert isinstance(pipeline, EmoSymPipeline)  # for the verbs that look into its parts
    return pipeline


def counted(number: int, thing: str) -> str:
    """Return '1 picture' or '8 pictures'."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
