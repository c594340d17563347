"""`emosym understand --engine ray`: pictures in any store, read by the machines of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emosym.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from emosym.service.wanted import Wanted

ENGINES = ("ray",)
PART = 1024
Engine = Annotated[
    str | None, typer.Option(help="ray: read on a cluster, in parts (docs/scaling.md).")
]
Out = Annotated[str | None, typer.Option(help="With --engine ray: the folder of Parquet parts.")]
Actors = Annotated[
    int | None, typer.Option(min=1, help="With --engine ray: models at work; one a GPU or core.")
]
PartSize = Annotated[int, typer.Option(min=1, help="With --engine ray: pictures a part at most.")]


@dataclass(frozen=True, slots=True)
class RayRun:
    """How a run on Ray is done: `out` is the folder of its parts, of `part` pictures each."""

    out: str
    explain: bool
    resume: bool
    at_once: int | None
    workers: int
    actors: int | None
    part: int


def check_engine(engine: str | None, out: str | None, actors: int | None, files: bool) -> bool:
    """Return whether Ray is to read; `files` says whether another output or input was named.

    Raises:
        UsageError: for an unknown engine, or options that do not go together.
    """
    if engine is None:
        if out is not None or actors is not None:
            option = "--out" if out is not None else "--actors"
            raise UsageError(f"{option} goes with --engine ray; files are named by --csv and such.")
        return False
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if out is None:
        raise UsageError("--engine ray writes Parquet parts: name their folder by --out FOLDER.")
    if files:
        raise UsageError("--engine ray reads pictures and writes the parts of --out, nothing else.")
    return True


def understand_on_ray(paths: Sequence[str], wanted: Wanted, run: RayRun) -> None:
    """Read pictures that files, folders, globs and Parquet files hold, here or in any store.

    Raises:
        UsageError: when nothing is named, the folder holds another run, or as `open_session`.
        EmoSymError: when Ray or a store's library is not installed, or a part cannot be read.
    """
    from rich.console import Console

    from emosym.apps.cli.terminal import counted, progress_bar
    from emosym.extras import require
    from emosym.ray import read_parts
    from emosym.service.parts import Out, find_files, plan_parts

    require("ray", "ray")
    if wanted.model is not None and Path(wanted.model).is_dir():
        wanted = replace(wanted, model=str(Path(wanted.model).absolute()))
    parts = plan_parts(find_files(paths), run.part)
    if not parts:
        raise UsageError("The Parquet files hold no row: there is nothing to read.")
    out = Out(run.out)
    out.begin({"model": identity_of(wanted), "explain": run.explain}, parts, run.resume)
    done = out.done()
    left = [part for part in parts if part.number not in done]
    with progress_bar() as bar:
        total = sum(part.count for part in parts)
        kept = total - sum(part.count for part in left)
        task = bar.add_task("reading", total=total, completed=kept)
        if left:
            place = out.system.unstrip_protocol(out.path)
            for rows in read_parts(
                left, place, wanted, run.explain, run.at_once, run.workers, run.actors
            ):
                bar.advance(task, rows)
    found = out.finish(parts)
    bad = f"; {found['bad']:,} could not be read" if found["bad"] else ""
    outside = f"; {found['outside']:,} outside" if found["outside"] else ""
    console = Console(highlight=False)
    console.print(f"{found['read']:,} read{bad}{outside}.", style="bold", soft_wrap=True)
    told = f"Wrote {counted(len(parts), 'part')} to {run.out}."
    console.print(told, soft_wrap=True, markup=False)
    if not found["read"]:
        raise typer.Exit(1)


def identity_of(wanted: Wanted) -> str:
    """Return what tells this model from another one, for a run that is gone on with."""
    from emosym.files import sha256_of
    from emosym.models.photo.names import DESCRIPTION, photo_folder, reads_photographs

    if wanted.model is not None and reads_photographs(wanted.model):
        return sha256_of(photo_folder(wanted.model) / DESCRIPTION)
    return wanted.identity()
