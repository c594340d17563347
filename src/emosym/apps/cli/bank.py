"""`emosym bank`: look into the memory bank of a run, export it, prune it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.text import Text


app = typer.Typer(
    help="The memory bank of a run: what was painted, how it was read, what was kept.",
    no_args_is_help=True,
)
BankPath = Annotated[Path, typer.Argument(help="A run folder or its bank folder.")]
Emotion = Annotated[str | None, typer.Option("--emotion", help="Only this emotion.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
PREVIEW_COLUMNS = 48


def say(value: Any) -> None:
    """Print a rich table, text or panel."""
    from rich.console import Console

    Console(highlight=False).print(value)


def number(value: float | None, digits: int = 2) -> str:
    """Format a number; nothing to average is a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


@app.command("ls")
def ls(
    path: BankPath,
    emotion: Emotion = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows at most.")] = 20,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Rows to skip.")] = 0,
    round: Annotated[int | None, typer.Option("--round", help="Only this round.")] = None,
    as_json: AsJson = False,
) -> None:
    """List entries in the order they were added."""
    from rich.table import Table

    from emosym.memory.places import open_bank

    bank = open_bank(path)
    names = ["id", "intent", "probabilities", "confidence", "agreement", "informativeness"]
    rounds = None if round is None else [round]
    held = bank.columns([*names, "round", "seed", "created", "prompt"], emotion, rounds)
    total = len(held["id"])
    rows = range(min(offset, total), min(offset + limit, total))
    reads = [bank.space.labels[int(p.argmax())] for p in held["probabilities"]]
    if as_json:
        keys = [key for key in held if key != "probabilities"]
        for i in rows:
            row = {key: held[key].tolist()[i] for key in keys}
            typer.echo(json.dumps({**row, "reads": reads[i]}))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("id", "asked for", "read as"):
        table.add_column(title, no_wrap=True)
    for title in ("conf.", "agree", "inform.", "round", "seed"):
        table.add_column(title, justify="right", no_wrap=True)
    for i in rows:
        intent = str(held["intent"][i])
        table.add_row(
            str(held["id"][i]),
            intent,
            reads[i] if reads[i] == intent else f"[yellow]{reads[i]}[/yellow]",
            number(held["confidence"][i]),
            number(held["agreement"][i]),
            number(held["informativeness"][i]),
            str(held["round"][i]),
            str(held["seed"][i]),
        )
    say(table)
    shown = f"{rows.start + 1}-{rows.stop}" if len(rows) else "none"
    more = f"; more: --offset {rows.stop}" if rows.stop < total else ""
    say(f"[dim]{shown} of {total} entries{more}[/dim]")


@app.command("stats")
def stats(path: BankPath, as_json: AsJson = False) -> None:
    """Count entries per emotion and round, with mean scores and the bank's versions."""
    from rich.table import Table

    from emosym.memory.places import open_bank

    bank = open_bank(path)
    found = bank.stats()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("emotion")
    for title in ("entries", "conf.", "agree", "inform.", "as meant"):
        table.add_column(title, justify="right", no_wrap=True)
    most = max([row["count"] for row in found["emotions"].values()] + [1])
    table.add_column("")
    for name, row in found["emotions"].items():
        table.add_row(
            name,
            str(row["count"]),
            number(row["confidence"]),
            number(row["agreement"]),
            number(row["informativeness"]),
            "–" if row["agreeing"] is None else f"{100 * row['agreeing']:.0f} %",
            f"[cyan]{'█' * int(24 * row['count'] / most + 0.5)}[/cyan]",
        )
    say(table)
    rounds = ", ".join(f"{name}: {count}" for name, count in found["rounds"].items()) or "none"
    size = found["bytes"] / 2**20
    say(f"\n{found['entries']} entries in {found['label_space']}, {size:.1f} MiB on disk")
    say(f"rounds    {rounds}")
    say(f"runs      {', '.join(found['runs']) or 'none'}")
    versions = bank.versions()
    say(f"version   {found['version']} ({len(versions)} can be read)")
    for version in versions[-5:]:
        when = f"{version.created[:10]} {version.created[11:19]} UTC"
        say(f"[dim]  {version.number:>5}  {when}  {version.entries} entries[/dim]")


def preview(pixels: Any) -> Text:
    """Return a picture, uint8 (H, W, 3), as coloured half blocks."""
    import numpy as np
    from PIL import Image
    from rich.text import Text

    image = Image.fromarray(pixels)
    width = min(PREVIEW_COLUMNS, image.width)
    height = max(2, 2 * (image.height * width // (2 * image.width)))
    small = np.asarray(image.resize((width, height), Image.Resampling.BOX))  # (h, w, 3)
    text = Text()
    for y in range(0, height, 2):
        for x in range(width):
            colours = (*small[y, x], *small[y + 1, x])
            text.append("▀", style="rgb({},{},{}) on rgb({},{},{})".format(*colours))
        text.append("\n")
    return text


@app.command("show")
def show(
    path: BankPath,
    id: Annotated[str, typer.Argument(help="An id, or the start of one.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write the picture here.")] = None,
) -> None:
    """Show one entry: its picture, its reading, its provenance, what resembles it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from emosym.errors import UsageError
    from emosym.files import write_bytes

    if out is not None and out.suffix.lower() != ".png":
        raise UsageError(f"--out {out} must end in .png: the bank keeps PNG pictures.")
    from emosym.memory.places import open_bank

    bank = open_bank(path)
    entry = bank.get(id)
    if out is not None:
        write_bytes(out, entry.image)
    if Console().color_system in ("256", "truecolor"):
        say(preview(entry.pixels()))
    order = entry.probabilities.argsort()[::-1]
    reading = ", ".join(f"{bank.space.labels[i]} {entry.probabilities[i]:.2f}" for i in order[:4])
    weights = {
        label: round(float(w), 3)
        for label, w in zip(bank.space.labels, entry.intent_weights, strict=True)
        if w > 0
    }
    asked = entry.intent if len(weights) == 1 else json.dumps(weights)
    made = entry.provenance
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    twins = bank.nearest(entry.feature, 4) if entry.feature.any() else []
    likes = ", ".join(f"{e.id} ({e.intent}, {s:.3f})" for e, s in twins if e.id != entry.id)
    rows = {
        "id": entry.id,
        "asked for": asked,
        "read as": reading,
        "scores": f"confidence {entry.confidence:.3f}, agreement {entry.agreement:.3f}, "
        f"informativeness {entry.informativeness:.3f}",
        "picture": f"{entry.width} x {entry.height} PNG, sha256 {entry.sha256}",
        "prompt": made.prompt,
        "painted": f"run {made.run}, round {made.round}, seed {made.seed}, {made.steps} steps, "
        f"guidance {made.guidance_scale:g}",
        "checkpoint": made.checkpoint,
        "created": f"{made.created} by emosym {made.version}",
        "policies": ", ".join(entry.policies) or "none",
        "nearest": likes or "none",
    }
    for name, value in rows.items():
        table.add_row(name, escape(value))
    say(table)
    if out is not None:
        say(f"wrote {out}")


@app.command("export")
def export(
    path: BankPath,
    out: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    emotion: Emotion = None,
) -> None:
    """Write the pictures by emotion and metadata.jsonl, whole or not at all."""
    from emosym.memory.places import open_bank

    count = open_bank(path).export(out, emotion)
    say(f"wrote {count} pictures and metadata.jsonl to {out}")


@app.command("prune")
def prune(
    path: BankPath,
    capacity: Annotated[int, typer.Option("--capacity", min=0, help="Entries to keep.")],
    policy: Annotated[
        str, typer.Option("--policy", help="oldest, lowest_confidence or least_informative.")
    ] = "oldest",
    reclaim: Annotated[
        bool, typer.Option("--reclaim", help="Also free the disk of versions over an hour old.")
    ] = False,
) -> None:
    """Evict entries down to a capacity, from the fullest emotion first."""
    from emosym.memory.places import open_bank

    bank = open_bank(path)
    gone = bank.prune(capacity, policy)
    if reclaim:
        bank.reclaim()
    say(f"evicted {len(gone)} entries by {policy}; {len(bank)} left (version {bank.version()})")
