"""`emosym serve`: models behind HTTP."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from emosym.pipelines.photo import PhotoReader
    from emosym.service.session import Session
    from emosym.service.wanted import Wanted

PORT = 8000


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="A checkpoint, shipped name or photo; may be repeated."),
    ] = None,
    preset: Annotated[
        list[str] | None,
        typer.Option(help="A stock model that is asked in words (zero-shot); repeatable."),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Of --preset: 2 to 64 words to choose from, joy,calm,dread.")
    ] = None,
    host: Annotated[str, typer.Option(help="Where to listen; beyond this machine with a key.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = PORT,
    api_key_file: Annotated[
        Path | None, typer.Option(help="Keys, one a line; or one in EMOSYM_API_KEY.")
    ] = None,
    anyone: Annotated[
        bool, typer.Option("--open", help="Listen beyond this machine without a key.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    decoders: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes that decode pictures.")
    ] = None,
    body_mib: Annotated[int, typer.Option(min=1, max=1024, help="MiB of a request at most.")] = 32,
    deadline: Annotated[float, typer.Option(min=0.1, help="Seconds for an answer.")] = 30.0,
    pictures: Annotated[int, typer.Option(min=1, help="Pictures a request.")] = 32,
    steps: Annotated[int, typer.Option(min=1, help="Steps of a painting at most.")] = 50,
    jobs_per_key: Annotated[int, typer.Option(min=1, help="Paintings at work a key.")] = 4,
    grace: Annotated[float, typer.Option(min=0, help="Seconds to finish when asked to end.")] = 20,
) -> None:
    """Serve readings and paintings over HTTP (docs/service.md), on this machine alone.

    Another --host needs --api-key-file, EMOSYM_API_KEY or --open (docs/security.md).
    """
    from emosym.apps.server.keys import check_bind, is_loopback, read_keys

    keys = read_keys(api_key_file, os.environ)
    check_bind(host, keys, anyone)
    # before a model is opened: what stands in the way is told at once
    from emosym.apps.listening import bind
    from emosym.apps.server.app import Service
    from emosym.apps.server.limits import MIB, Limits
    from emosym.apps.server.running import run

    limits = Limits(
        body_bytes=body_mib * MIB,
        pictures=pictures,
        steps=steps,
        jobs_per_key=jobs_per_key,
        deadline=deadline,
        grace=grace,
    )
    listening = bind(host, port)
    with listening:
        wanted = wanted_models(model, preset, labels, device)
        opened = open_models(wanted)
        # by their names: where a folder of this machine is, is no caller's business
        arguments = {
            name: replace(one, preset=name).arguments()
            for name, one in wanted.items()
            if one.zero_shot
        }
        service = Service(opened, limits, keys, is_loopback(host), decoders, arguments)
        address, number = listening.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        who = "" if keys.digests else ", without a key"
        typer.echo(f"Serving {', '.join(opened)} at http://{shown}:{number}{who}.", err=True)
        run(service, listening)


def wanted_models(
    names: list[str] | None, presets: list[str] | None, labels: str | None, device: str
) -> dict[str, Wanted]:
    """Return what to open by name, trained models first; a folder is called by its own name.

    Raises:
        UsageError: for two models of one name, or labels without a stock model.
    """
    from emosym.apps.cli.zero_shot import wanted_model
    from emosym.errors import UsageError
    from emosym.service.wanted import SHIPPED_MODEL

    if labels is not None and not presets:
        raise UsageError("--labels goes with --preset: a trained model has labels of its own.")
    trained = names or ([] if presets else [SHIPPED_MODEL])
    asked = [(given, wanted_model(given, device, False)) for given in trained]
    asked += [(one, wanted_model(None, device, True, one, labels)) for one in presets or ()]
    wanted: dict[str, Wanted] = {}
    for given, one in asked:
        name = Path(given).resolve().name if Path(given).is_dir() else given
        if name in wanted:
            raise UsageError(f"Two models are called {name!r}: rename the folder of one.")
        wanted[name] = one
    return wanted


def open_models(wanted: Mapping[str, Wanted]) -> dict[str, Session | PhotoReader]:
    """Open models and their readers now; errors as in `open_shown` and `PhotoReader`."""
    from emosym.apps.cli.terminal import open_shown
    from emosym.models.photo.names import reads_photographs
    from emosym.pipelines.photo import PhotoReader

    return {
        name: PhotoReader.from_pretrained(str(one.model), one.device)
        if reads_photographs(one.model)
        else open_shown(one, read=True)
        for name, one in wanted.items()
    }
