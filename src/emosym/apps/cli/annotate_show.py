"""What `emosym data annotate` shows: a bar with rate, tokens and cost, and a table at the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from emosym.errors import EmoSymError

if TYPE_CHECKING:
    from rich.table import Table

    from emosym.annotate.run import Plan, Tally
    from emosym.data.dataset import Dataset

log = logging.getLogger(__name__)
LOG_SECONDS = 15.0
MEANINGS = {
    "ok": "written",
    "refused": "refused by model or server",
    "malformed": "unusable answers",
    "emotion_word": "named an emotion twice",
    "unreadable": "unreadable pictures",
    "failed": "not answered (asked again next time)",
}


def say(sentence: str) -> None:
    """Say something once while a run goes on."""
    log.warning(sentence)


def open_splits(source: str | None, root: Path, splits: Sequence[str], space: str) -> list[Dataset]:
    """Open the splits of a data set, all of them where none is named.

    Without a source it is EmoSet's layout where the folder holds split files, else a folder.

    Raises:
        UsageError: as `open_dataset`.
    """
    from emosym.data.sources.emoset import splits_of
    from emosym.data.sources.folder import ALL, DEFAULT_FRACTIONS
    from emosym.data.sources.open import open_dataset

    found = splits_of(root) if root.is_dir() else []
    kind = source or ("emoset" if found else "folder")
    if kind == "folder":
        divided = [name for name in DEFAULT_FRACTIONS if (root / name).is_dir()]
        found = divided or [ALL]
    return [open_dataset(kind, root, name, space) for name in splits or found or ["train"]]


def run_shown(out: Path, parts: Sequence[Dataset], plan: Plan) -> None:
    """Fill a knowledge base under a progress bar, then print what came of it.

    Exits with 1 when pictures were asked about and not one rationale came.
    """
    from rich.console import Console

    from emosym.annotate.run import Tally, fill

    tally, began = Tally(), time.monotonic()
    console = Console(highlight=False)
    try:
        with annotating_bar(sum(map(len, parts))) as progress:
            fill(out, chain.from_iterable(parts), plan, progress, tally)
    except (EmoSymError, KeyboardInterrupt):
        if tally.done:
            console.print(result_table(tally, plan, time.monotonic() - began))
        raise
    console.print(result_table(tally, plan, time.monotonic() - began))
    failed = tally.done - tally.statuses["ok"] - tally.statuses["failed"]
    failed += 0 if plan.retry_failed else tally.failed_before
    if failed:
        console.print(f"{failed:,} without a rationale; --retry-failed asks about them again.")
    console.print(f"Wrote {out}." if tally.done else f"Nothing to do: {out}.", soft_wrap=True)
    if tally.done and not tally.statuses["ok"]:
        raise typer.Exit(1)


@contextmanager
def annotating_bar(total: int) -> Iterator[Callable[[Tally], None]]:
    """Yield `progress(tally)`: a bar in a terminal, a line every few seconds elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    bar = Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        "{task.fields[told]}",
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("looking", total=total, told="")
    shown = time.monotonic()
    began: float | None = None

    def progress(tally: Tally) -> None:
        nonlocal shown, began
        if not tally.todo:
            bar.update(task, completed=tally.looked)
            return
        now = time.monotonic()
        if began is None:
            began = now
        told = progress_words(tally, now - began)
        bar.update(
            task, description="annotating", total=tally.todo, completed=tally.done, told=told
        )
        if bar.disable and now - shown > LOG_SECONDS:
            shown = now
            log.info("annotating %d/%d  %s", tally.done, tally.todo, told)

    with bar:
        yield progress


def progress_words(tally: Tally, seconds: float) -> str:
    """Return rate, tokens and cost so far in one line."""
    parts = [f"{tally.done / max(seconds, 1e-9):.1f}/s"] if seconds > 0 else []
    if tally.counted:
        parts.append(f"{tally.tokens_in + tally.tokens_out:,} tokens")
    if tally.cost:
        parts.append(f"cost {tally.cost:.4f}")
    return "  ".join(parts)


def result_table(tally: Tally, plan: Plan, seconds: float) -> Table:
    """Return the table of one run."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, show_header=False)
    table.add_column("what")
    table.add_column("count", justify="right")
    table.add_column("such as", overflow="fold", style="dim")
    table.add_row("annotator", plan.annotator, escape(plan.model) if plan.model != "none" else "")
    table.add_row("pictures looked at", f"{tally.looked:,}")
    table.add_row("already there", f"{tally.there:,}")
    if tally.failed_before:
        table.add_row("failed in an earlier run", f"{tally.failed_before:,}")
    for status, meaning in MEANINGS.items():
        count = tally.statuses[status]
        if count or status == "ok":
            table.add_row(meaning, f"{count:,}", escape(tally.reasons.get(status, "")[:160]))
    if tally.counted:
        table.add_row("tokens in / out", f"{tally.tokens_in:,} / {tally.tokens_out:,}")
    if plan.prices is not None:
        table.add_row("cost", f"{tally.cost:.4f}", "in the currency of the prices")
    table.add_row("seconds", f"{seconds:.1f}")
    return table
