"""The `emosym` command: its verbs, and the one place where errors become sentences."""

from __future__ import annotations

import logging
import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from emosym import __version__
from emosym.apps.cli import bank
from emosym.apps.cli.ablate import ablate
from emosym.apps.cli.annotate import annotate
from emosym.apps.cli.calibrate import calibrate
from emosym.apps.cli.compare import compare
from emosym.apps.cli.data_amt import amt
from emosym.apps.cli.data_check import check
from emosym.apps.cli.demo import demo
from emosym.apps.cli.doctor import doctor
from emosym.apps.cli.emoverse import emoverse
from emosym.apps.cli.evaluate import evaluate
from emosym.apps.cli.evaluate_answers import evaluate_answers
from emosym.apps.cli.evaluate_base import evaluate_base
from emosym.apps.cli.generate import generate
from emosym.apps.cli.inspect import inspect
from emosym.apps.cli.models import models
from emosym.apps.cli.report import report
from emosym.apps.cli.serve import serve
from emosym.apps.cli.storybook import storybook
from emosym.apps.cli.storybook_dialogues import storybook_dialogues
from emosym.apps.cli.storybook_statements import statements
from emosym.apps.cli.train import train
from emosym.apps.cli.ui import ui
from emosym.apps.cli.understand import understand
from emosym.apps.sentences import sentence_of
from emosym.errors import EmoSymError

# The verbs' files import heavy libraries only inside their functions: `--help` stays fast.
app = typer.Typer(
    name="emosym",
    help="Read the emotion an image evokes, and paint images that evoke it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data = typer.Typer(help="Make and check data.", no_args_is_help=True)

app.command()(understand)
app.command()(generate)
app.command()(serve)
app.command()(train)
app.command()(demo)
app.command()(emoverse)
app.command()(evaluate)
app.command()(compare)
app.command()(calibrate)
app.command("evaluate-base")(evaluate_base)
app.command("evaluate-answers")(evaluate_answers)
app.command()(inspect)
app.command()(ablate)
app.command()(report)
app.command()(doctor)
app.command()(ui)
data.command()(storybook)
data.command()(storybook_dialogues)
data.command()(statements)
data.command()(check)
data.command()(annotate)
data.add_typer(amt, name="amt")
app.add_typer(data, name="data")
app.add_typer(bank.app, name="bank")
app.add_typer(models, name="models")


def show_version(value: bool) -> None:
    """Print the version and stop."""
    if value:
        typer.echo(f"emosym {__version__}")
        raise typer.Exit


@app.callback()
def start(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show it.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done.")] = False,
) -> None:
    """Read the emotion an image evokes, and paint images that evoke it."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("emosym").setLevel(logging.DEBUG if verbose else logging.INFO)
    # Libraries read these when first imported. Nothing is reported to anyone unasked.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # of loading weights, a blink here
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")


STOPPED = "Stopped{} by {}; nothing half-written was left behind."


def _which_process() -> str:
    """Return " in process 1" for all but the first process of a launch."""
    rank = os.environ.get("RANK", "0")
    return f" in process {rank}" if rank != "0" else ""


class Terminated(BaseException):
    """Somebody asked this process to end: what is half-written is cleared away on the way out."""


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    raise Terminated


def main() -> None:
    """Run the command; a user's mistake ends in one sentence on stderr and its exit code.

    Usage errors exit with 2, an interrupt with 130, SIGTERM with 143. EMOSYM_DEBUG=1 shows
    the traceback too.
    """
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except (KeyboardInterrupt, SystemExit) as ended:
        if isinstance(ended, SystemExit) and ended.code != 130:  # as typer ends at Ctrl-C
            if "RANK" in os.environ and not ended.code:
                from emosym.processes import leave

                leave()
            raise
        typer.echo(STOPPED.format(_which_process(), "Ctrl-C"), err=True)
        sys.exit(130)
    except Terminated:
        typer.echo(STOPPED.format(_which_process(), "SIGTERM"), err=True)
        sys.exit(143)
    except (EmoSymError, MemoryError, OSError) as error:
        found = sentence_of(error)
        if found is None or os.environ.get("EMOSYM_DEBUG"):
            raise
        typer.echo(f"Error{_which_process()}: {found[0]}", err=True)
        sys.exit(found[1])
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


if __name__ == "__main__":
    main()
