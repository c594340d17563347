"""`emosym serve`: models behind HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from emosym.service.session import Session

PORT = 8000


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="A checkpoint folder or shipped name; may be repeated."),
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
        sessions = open_models(model, device)
        service = Service(sessions, limits, keys, is_loopback(host), decoders)
        address, number = listening.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        who = "" if keys.digests else ", without a key"
        typer.echo(f"Serving {', '.join(sessions)} at http://{shown}:{number}{who}.", err=True)
        run(service, listening)


def open_models(names: list[str] | None, device: str) -> dict[str, Session]:
    """Open models and their readers now; a folder is called by its own name.

    Raises:
        UsageError: for two models of one name, a reader of photographs, and as `open_session`.
        EmoSymError: as `open_session`.
    """
    from emosym.apps.cli.terminal import open_shown
    from emosym.errors import UsageError
    from emosym.models.photo.names import reads_photographs
    from emosym.service.session import SHIPPED_MODEL
    from emosym.service.wanted import Wanted

    if any(reads_photographs(given) for given in names or ()):
        raise UsageError(
            "The reader of photographs is not served yet: read them by "
            "`emosym understand photo.jpg --model photo`."
        )
    sessions: dict[str, Session] = {}
    for given in names or [SHIPPED_MODEL]:
        name = Path(given).resolve().name if Path(given).is_dir() else given
        if name in sessions:
            raise UsageError(f"Two models are called {name!r}: rename the folder of one.")
        sessions[name] = open_shown(Wanted(model=given, device=device), read=True)
    return sessions
