"""`emosym understand`: read the emotions of any number of pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emosym.apps.cli.zero_shot import (
    SHIPPED_MODEL,
    Labels,
    MaxPixels,
    Preset,
    ZeroShot,
    check_zero_shot,
)
from emosym.errors import UsageError
from emosym.types import BadInput, UnderstandingOutput

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from emosym.apps.cli.outputs import Sink
    from emosym.data.walk import Passed
    from emosym.emotions import LabelSpace
    from emosym.pipelines.trained import EmoSymPipeline
    from emosym.pipelines.zero_shot import ZeroShotPipeline

Reading = tuple[str, "UnderstandingOutput | BadInput"]
SHOWN = 50
OUTSIDE = "outside what this preset has seen"
UNSURE = "unsure"
UNSURE_NOTE = "where too few readings of held-out pictures were right; see docs/pipeline.md."


@dataclass
class Tally:
    """What has been read so far; `first` are the rows for the terminal."""

    total: int
    read: int = 0
    bad: int = 0
    outside: int = 0
    unsure: int = 0
    emotions: Counter[str] = field(default_factory=Counter)
    first: list[Reading] = field(default_factory=list)

    def add(self, reading: Reading) -> None:
        """Count one reading."""
        found = reading[1]
        if len(self.first) < SHOWN:
            self.first.append(reading)
        if isinstance(found, BadInput):
            self.bad += 1
            return
        self.read += 1
        self.outside += found.outside
        self.unsure += bool(found.abstains) and not found.outside
        self.emotions[found.emotion] += not found.outside


def understand(
    paths: Annotated[list[str], typer.Argument(help="Pictures, folders, or globs.")],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="A checkpoint folder; default: the shipped storybook."),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Also say why.")] = False,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Write a JSON array; - is the terminal.")
    ] = None,
    csv_out: Annotated[
        Path | None, typer.Option("--csv", help="Write CSV; - is the terminal.")
    ] = None,
    parquet_out: Annotated[Path | None, typer.Option("--parquet", help="Write Parquet.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Pictures read at once: 32, zero-shot 8.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    zero_shot: ZeroShot = False,
    preset: Preset = None,
    labels: Labels = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Read the emotion each picture evokes: how sure, and whether it is one this model knows.

    A file that cannot be read becomes an error row and the rest goes on. Exits with 0 when at
    least one picture was read. `accelerate launch -m emosym understand` shares the pictures
    between GPUs.
    """
    from rich.console import Console

    from emosym.apps.cli.outputs import STDOUT, check_outputs, with_outputs
    from emosym.apps.cli.shared_reading import launched, read_together
    from emosym.apps.cli.terminal import load_reader, open_pipeline
    from emosym.apps.cli.zero_shot import open_zero_shot

    check_zero_shot(zero_shot, model, preset=preset, labels=labels, max_pixels=max_pixels)
    asked = {"json": json_out, "csv": csv_out, "parquet": parquet_out}
    outputs = {kind: path for kind, path in asked.items() if path is not None}
    check_outputs(outputs)
    processes = launched()
    found, passed = find_pictures(paths)
    found = found if processes is None else processes.agree(found)
    place = str(processes.device) if processes is not None and device == "auto" else device
    at_once = batch_size or (8 if zero_shot else 32)
    loaded: list[EmoSymPipeline | ZeroShotPipeline] = []

    def open_model(quiet: bool = False) -> None:
        if zero_shot:
            loaded.append(open_zero_shot(preset, place, labels, max_pixels))
        else:
            loaded.append(open_pipeline(model or SHIPPED_MODEL, place, quiet=quiet))
        load_reader(loaded[0])

    def space() -> LabelSpace:
        return loaded[0].space

    def read(some: Sequence[Path | BadInput]) -> Iterator[Reading]:
        return loaded[0].understand_many(some, at_once, workers, explain)

    def body(sink: Sink) -> Tally:
        open_model()
        together = processes and read_together(processes, found, at_once, read)
        return read_all(together or read(found), len(found), sink)

    if processes is not None and not processes.main:
        open_model(quiet=True)
        for _ in read_together(processes, found, at_once, read):
            pass
        return
    tally = with_outputs(outputs, space, body)
    console = Console(stderr=STDOUT in outputs.values(), highlight=False)
    show(console, tally, explain, loaded[0].base.name if zero_shot else None)
    tell_notes(console, tally, loaded[0].abstain_below, passed)
    for path in outputs.values():
        if path != STDOUT:
            console.print(f"Wrote {path}.", soft_wrap=True, markup=False)
    if not tally.read:
        raise typer.Exit(1)


def tell_notes(console: Console, tally: Tally, threshold: float | None, passed: Passed) -> None:
    """Say what 'unsure' means, where a reading was, and which files were passed over."""
    from emosym.data.walk import passed_over

    if passed:
        told = "; ".join(passed_over(passed))
        console.print(f"Passed over: {told}.", style="dim", soft_wrap=True, markup=False)
    if tally.unsure and threshold is not None:
        note = f"{UNSURE}: a confidence below {threshold:.2f}, {UNSURE_NOTE}"
        console.print(note, style="dim", soft_wrap=True)


def find_pictures(paths: Sequence[str]) -> tuple[list[Path | BadInput], Passed]:
    """Return the pictures that files, folders and globs name, and a `BadInput` where there is none.

    Beside them: how many files in folders are no pictures, by kind.

    Raises:
        UsageError: when none of the paths names a picture.
    """
    from emosym.data.walk import GLOB, URL, find_images, without_junk

    found: list[Path | BadInput] = []
    passed: Passed = Counter()
    for path in without_junk(paths):
        try:
            found += find_images([path], passed)
        except UsageError as error:
            missing = not GLOB.search(path) and not URL.match(path) and not Path(path).exists()
            sentence = f"{path!r} cannot be read as a picture: there is no such file."
            found.append(BadInput(path, sentence if missing else str(error)))
    if all(isinstance(item, BadInput) for item in found):
        raise UsageError(next(item.error for item in found if isinstance(item, BadInput)))
    return found, passed


def read_all(readings: Iterable[Reading], total: int, sink: Sink) -> Tally:
    """Send every reading to `sink` under a progress bar.

    Raises:
        UsageError: when there is only one picture and it cannot be read.
    """
    from emosym.apps.cli.terminal import progress_bar
    from emosym.pipelines.reading_rows import reading_row

    tally = Tally(total)
    with progress_bar() as bar:
        task = bar.add_task("reading", total=total)
        for source, reading in readings:
            if total == 1 and isinstance(reading, BadInput):
                raise UsageError(reading.error)
            sink(reading_row(source, reading))
            tally.add((source, reading))
            bar.advance(task)
    return tally


def show(console: Console, tally: Tally, explain: bool, untrained: str | None = None) -> None:
    """Print the first rows and what there is in all; `untrained` names a zero-shot reader."""
    if explain:
        print_explained(console, tally.first)
    else:
        console.print(readings_table(tally.first))
    if tally.total > len(tally.first):
        more = tally.total - len(tally.first)
        console.print(f"[dim]... and {more} more; --csv, --json or --parquet keep them all[/dim]")
    if tally.total > 1:
        parts = [f"{tally.read} read"]
        parts += [f"{tally.bad} could not be read"] if tally.bad else []
        parts += [f"{tally.unsure} {UNSURE}"] if tally.unsure else []
        parts += [f"{tally.outside} {OUTSIDE}"] if tally.outside else []
        counts = [f"{name} {count}" for name, count in tally.emotions.most_common() if count]
        console.print("; ".join([*parts, *([", ".join(counts)] if counts else [])]), style="bold")
    if untrained is not None:
        console.print(
            f"Zero-shot by {untrained}, which was never trained on emotions: the confidence is "
            "not calibrated.",
            style="dim",
            soft_wrap=True,
        )


def readings_table(readings: Sequence[Reading]) -> Table:
    """Return readings as a table; outside its world a model's emotion is not claimed."""
    from rich.table import Table

    names = display_names([source for source, _ in readings])
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("picture", overflow="fold", min_width=min(24, max(map(len, names), default=0)))
    table.add_column("emotion", overflow="fold")
    for title in ("conf.", "polarity", "in domain"):
        table.add_column(title, justify="left" if title == "polarity" else "right", no_wrap=True)
    for name, (_, found) in zip(names, readings, strict=True):
        table.add_row(_escaped(name), *_cells(found))
    return table


def print_explained(console: Console, readings: Sequence[Reading]) -> None:
    """Print each reading on a line, and below it why; of an unknown world nothing is claimed."""
    from rich.padding import Padding

    names = display_names([source for source, _ in readings])
    for name, (_, found) in zip(names, readings, strict=True):
        emotion, confidence, polarity, _ = _cells(found)
        rest = "" if isinstance(found, BadInput) or found.outside else f"{confidence}  {polarity}"
        console.print(f"{_escaped(name)}  {emotion}  {rest}".rstrip())
        if isinstance(found, UnderstandingOutput) and found.rationale and not found.outside:
            console.print(Padding(f"[italic]{_escaped(found.rationale)}[/italic]", (0, 0, 0, 4)))


def _cells(found: UnderstandingOutput | BadInput) -> tuple[str, str, str, str]:
    """Return emotion, confidence, polarity and domain as rich markup."""
    if isinstance(found, BadInput):
        # the file's name stands beside it
        sentence = found.error.removeprefix(f"{found.source!r} ").replace(" as a picture:", ":", 1)
        return f"[red]{_escaped(sentence)}[/red]", "", "", ""
    domain = "" if found.in_domain is None else f"{found.in_domain:.2f}"
    if found.outside:
        return f"[yellow]{OUTSIDE}[/yellow]", "–", "–", domain
    polarity = found.polarity or ""
    named = (
        f"{found.emotion} [dim]({UNSURE})[/dim]"
        if found.abstains
        else f"[bold]{found.emotion}[/bold]"
    )
    return named, f"{found.confidence:.2f}", polarity, domain


def display_names(sources: Sequence[str]) -> list[str]:
    """Return file names, or the whole paths where two are the same."""
    names = [Path(source).name or source for source in sources]
    return names if len(set(names)) == len(names) else list(sources)


def _escaped(text: str) -> str:
    """Return text that rich prints as it is; bytes that are no UTF-8 become question marks."""
    from rich.markup import escape

    return escape(text.encode("utf-8", "replace").decode("utf-8"))
