"""How readings look in the terminal: one in words, many as a table; and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from emosym.service.rows import OUTSIDE, UNSURE, Row
from emosym.service.words import display_names, error_of, in_words, not_calibrated

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from emosym.pipelines.protocol import About

SHOWN = 50
UNSURE_NOTE = "where too few readings of held-out pictures were right; see docs/pipeline.md."
NEXT_OUTSIDE = (
    "No emotion is claimed for what is unlike the pictures this preset was trained on. Next: train "
    "on pictures of your own (emosym train demo-align data.source=folder data.root=FOLDER; "
    "docs/your-pictures.md); for photographs add --model photo (their valence and arousal; once "
    "`emosym models get photo`, 20 MB), or ask a model that names emotions of any picture: add "
    "--zero-shot --preset qwen2.5-vl-3b."
)


@dataclass
class Tally:
    """What has been read so far; `first` are the rows for the terminal."""

    total: int
    read: int = 0
    bad: int = 0
    outside: int = 0
    unsure: int = 0
    emotions: Counter[str] = field(default_factory=Counter)
    first: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Count one row."""
        if len(self.first) < SHOWN:
            self.first.append(row)
        if row["error"] is not None:
            self.bad += 1
            return
        self.read += 1
        self.outside += bool(row["outside"])
        self.unsure += row.get("reason") == UNSURE
        if row.get("emotion") is not None:
            self.emotions[row["emotion"]] += 1


def show(console: Console, tally: Tally, explain: bool, about: About, below: float | None) -> None:
    """Print the first rows, what there is in all, and what follows from it.

    `below` is the confidence below which a reading is unsure.
    """
    if tally.total == 1 and tally.first:
        print_one(console, tally.first[0], below)
    elif explain:
        print_explained(console, tally.first)
    else:
        console.print(readings_table(tally.first))
    if tally.total > len(tally.first):
        more = tally.total - len(tally.first)
        console.print(f"[dim]... and {more} more; --csv, --json or --parquet keep them all[/dim]")
    if tally.total > 1:
        console.print(summary(tally), style="bold", soft_wrap=True, markup=False)
        if tally.unsure and below is not None:
            note = f"{UNSURE}: a confidence below {below:.2f}, {UNSURE_NOTE}"
            console.print(note, style="dim", soft_wrap=True, markup=False)
    if not about.trained:
        console.print(not_calibrated(about.name), style="dim", soft_wrap=True, markup=False)
    elif tally.outside:
        console.print(NEXT_OUTSIDE, soft_wrap=True, markup=False)


def summary(tally: Tally) -> str:
    """Return what there is in all, in a line."""
    parts = [f"{tally.read} read"]
    if tally.bad:
        parts.append(f"{tally.bad} could not be read")
    if tally.unsure:
        parts.append(f"{tally.unsure} {UNSURE}")
    if tally.outside:
        parts.append(f"{tally.outside} {OUTSIDE}")
    if tally.emotions:
        parts.append(", ".join(f"{name} {count}" for name, count in tally.emotions.most_common()))
    return "; ".join(parts)


def print_one(console: Console, row: Row, below: float | None) -> None:
    """Print one reading in words, for someone who sees the first one."""
    lines = in_words(row, below)
    console.print(f"[bold]{_escaped(Path(row['source']).name or row['source'])}[/bold]")
    for line in lines:
        console.print(f"  {_escaped(line)}", soft_wrap=True)


def readings_table(rows: Sequence[Row]) -> Table:
    """Return readings as a table; outside its world a model's emotion is not claimed."""
    from rich.table import Table

    names = display_names([row["source"] for row in rows])
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("picture", overflow="fold", min_width=min(24, max(map(len, names), default=0)))
    table.add_column("emotion", overflow="fold")
    for title in ("conf.", "polarity", "in domain"):
        table.add_column(title, justify="left" if title == "polarity" else "right", no_wrap=True)
    for name, row in zip(names, rows, strict=True):
        table.add_row(_escaped(name), *_cells(row))
    return table


def print_explained(console: Console, rows: Sequence[Row]) -> None:
    """Print each reading on a line, and below it why; of an unknown world nothing is claimed."""
    from rich.padding import Padding

    names = display_names([row["source"] for row in rows])
    for name, row in zip(names, rows, strict=True):
        emotion, confidence, polarity, _ = _cells(row)
        rest = f"{confidence}  {polarity}" if row["emotion"] is not None else ""
        console.print(f"{_escaped(name)}  {emotion}  {rest}".rstrip())
        if row["rationale"]:
            console.print(Padding(f"[italic]{_escaped(row['rationale'])}[/italic]", (0, 0, 0, 4)))


def _cells(row: Row) -> tuple[str, str, str, str]:
    """Return emotion, confidence, polarity and domain as rich markup."""
    if row["error"] is not None:
        return f"[red]{_escaped(error_of(row))}[/red]", "", "", ""
    domain = "" if row["in_domain"] is None else f"{row['in_domain']:.2f}"
    if row["outside"]:
        return f"[yellow]{OUTSIDE}[/yellow]", "–", "–", domain
    if row["emotion"] is None:  # it was asked to abstain
        return f"[dim]{UNSURE}[/dim]", f"{row['confidence']:.2f}", "–", domain
    emotion = _escaped(row["emotion"])
    named = (
        f"{emotion} [dim]({UNSURE})[/dim]" if row["reason"] == UNSURE else f"[bold]{emotion}[/bold]"
    )
    return named, f"{row['confidence']:.2f}", row["polarity"] or "", domain


def _escaped(text: str) -> str:
    """Return text that rich prints as it is; what UTF-8 cannot hold is written in letters."""
    from rich.markup import escape

    from emosym.service.sinks import printable

    return escape(printable(text))
