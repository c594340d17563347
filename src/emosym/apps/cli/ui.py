"""`emosym ui`: the page to read, paint, look into a memory bank and watch runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emosym.apps.cli.zero_shot import Labels, MaxPixels, PainterName, Preset, ZeroShot, wanted_model


def ui(
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="A checkpoint folder; default: the shipped storybook."),
    ] = None,
    text_model: Annotated[
        str | None,
        typer.Option(help="What reads words: a folder, or a preset such as smollm2-135m."),
    ] = None,
    bank: Annotated[
        Path, typer.Option(help="Where paintings are kept; a run folder or its bank.")
    ] = Path("runs/page/bank"),
    runs: Annotated[Path, typer.Option(help="The folder of the runs to watch.")] = Path("runs"),
    host: Annotated[str, typer.Option(help="Where to listen; default: this machine alone.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 7860,
    password_file: Annotated[
        Path | None, typer.Option(help="Lines name:password; who has none stays outside.")
    ] = None,
    let_anyone_in: Annotated[
        bool, typer.Option("--let-anyone-in", help="With --host: no password for anyone.")
    ] = False,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open it in the browser.")
    ] = True,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    zero_shot: ZeroShot = False,
    preset: Preset = None,
    painter: PainterName = None,
    labels: Labels = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Open a page in the browser: read pictures and words there, paint, keep, watch.

    It shows the same numbers as the other commands. It listens on this machine alone; --host lets
    others in, with --password-file. Nothing is loaded from elsewhere.
    """
    from emosym.extras import require

    wanted = wanted_model(model, device, zero_shot, preset, labels, max_pixels, painter)
    require("gradio", "ui")
    from emosym.apps.ui.opening import open_page
    from emosym.apps.ui.serving import door

    at = door(host, port, password_file, let_anyone_in)
    open_page(wanted, text_model, bank, runs, at, browser, typer.echo)
