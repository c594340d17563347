"""`emosym data check`: read a whole data set once, and say what is wrong with it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emosym.apps.cli.data_options import (
    SOURCE_NAMES,
    Config,
    Download,
    HeldOut,
    ImageColumn,
    LabelColumn,
)
from emosym.errors import EmoSymError, UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

TITLES: dict[str, tuple[str, str]] = {
    "broken_splits": ("split that cannot be opened", "splits that cannot be opened"),
    "bad_rows": ("row that cannot be read", "rows that cannot be read"),
    "unknown_labels": ("row with an unknown label", "rows with an unknown label"),
    "missing_pictures": ("missing picture", "missing pictures"),
    "unreadable_pictures": ("unreadable picture", "unreadable pictures"),
    "missing_annotations": ("missing annotation", "missing annotations"),
    "bad_annotations": ("malformed annotation", "malformed annotations"),
    "exact_duplicates": ("group of exact duplicates", "groups of exact duplicates"),
    "near_duplicates": ("group of near duplicates", "groups of near duplicates"),
    "misnamed_pictures": ("picture of another format than its name says",) * 2,
    "flat_pictures": ("picture of one colour", "pictures of one colour"),
    "strips": (
        "picture over 200 times as long as wide, which Qwen-VL models refuse",
        "pictures over 200 times as long as wide, which Qwen-VL models refuse",
    ),
    "passed_over": ("kind of file passed over", "kinds of files passed over"),
    "unlisted_pictures": ("picture file that no row names", "picture files that no row names"),
    "pairs_outside": ("cause outside its conversation", "causes outside their conversations"),
    "empty_conversations": ("conversation without turns", "conversations without turns"),
    "missing_clips": ("turn without its clip", "turns without their clips"),
    "unreadable_clips": ("clip that cannot be read", "clips that cannot be read"),
    "held_out": (
        "conversation that stands in a test or another split",
        "conversations that stand in a test or another split",
    ),
    "id_gaps": ("conversation with missing turns", "conversations with missing turns"),
    "backward_times": ("time that goes back", "times that go back"),
    "overlapping_times": ("time that overlaps", "times that overlap"),
    "duplicate_pairs": ("cause told twice", "causes told twice"),
    "spellings": ("label in several spellings", "labels in several spellings"),
    "many_speakers": ("conversation of over 50 speakers", "conversations of over 50 speakers"),
    "long_turns": ("turn of over 2,000 words", "turns of over 2,000 words"),
    "turns_without_words": ("turn without words", "turns without words"),
    "long_clips": ("clip of an hour or more", "clips of an hour or more"),
    "clips_not_looked_into": ("remark on clips", "remarks on clips"),
}
COUNTS = (
    "unlabelled",
    "annotated",
    "with_votes",
    "rated",
    "conversations",
    "speakers",
    "words",
    "with_clips",
    "causes",
    "rows",
)


def check(
    root: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of the data set (or an id of the hub).")
    ],
    source: Annotated[
        str | None,
        typer.Option(help=f"{SOURCE_NAMES}; unset: found out."),
    ] = None,
    json_out: Annotated[
        Path | None,
        typer.Option("--json", metavar="PATH", help="Everything, as JSON; - prints it."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Label space, or labels of your own: joy,calm,fear,sad; unset: the source's."
        ),
    ] = None,
    held_out: HeldOut = None,
    distance: Annotated[
        int, typer.Option(min=0, max=11, help="Bits of 64 in which near duplicates may differ.")
    ] = 6,
    examples: Annotated[int, typer.Option(min=0, help="Examples shown of each finding.")] = 3,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that read; unset: one per core.")
    ] = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    config: Config = None,
    download: Download = False,
) -> None:
    """Read every picture and annotation once; report counts, damage, unknown labels, duplicates.

    Exit code 0: clean; 1: problems were found; 2: it could not be checked.
    """
    from rich.console import Console

    from emosym.apps.cli.terminal import progress_bar
    from emosym.data.check.run import check_dataset
    from emosym.data.held_out import NOTHING_HELD
    from emosym.data.sources.detect import detect_source
    from emosym.data.sources.hub import HubOptions
    from emosym.data.sources.other_tests import held_out_hashes
    from emosym.data.sources.own_labels import space_of_source
    from emosym.device import usable_cores
    from emosym.emotions import space_of_text
    from emosym.service.sinks import STDOUT, check_outputs

    if json_out is not None:
        json_out = check_outputs({"json": json_out})["json"]
    chosen = source or detect_source(root, space_of_text(labels or "mikels8"))
    space = space_of_source(chosen) if labels is None else space_of_text(labels)
    tests = NOTHING_HELD if held_out is None else held_out_hashes(held_out)
    began = time.perf_counter()
    with progress_bar() as bar:
        task = bar.add_task("reading", total=None)
        try:
            report = check_dataset(
                root,
                chosen,
                space,
                distance=distance,
                workers=workers or usable_cores(),
                hub=HubOptions(image_column, label_column, config, download),
                held_out=tests,
                started=lambda count: bar.update(task, total=count),
                progress=lambda count: bar.advance(task, count),
            )
        except EmoSymError as error:  # 1 would say that there is a report
            raise UsageError(str(error)) from error
    seconds = time.perf_counter() - began
    console = Console(highlight=False, stderr=json_out == STDOUT)
    show(console, report, examples, seconds)
    write_report(console, report, json_out)
    if not report["clean"]:
        raise typer.Exit(1)


def write_report(console: Console, report: Mapping[str, Any], json_out: Path | None) -> None:
    """Write a report as JSON where it is asked for, and say so."""
    from emosym.files import write_json
    from emosym.service.sinks import STDOUT, make_parent

    if json_out == STDOUT:
        import json

        typer.echo(json.dumps(report, indent=2))
    elif json_out is not None:
        make_parent(json_out)
        write_json(json_out, report)
        console.print(f"Wrote {json_out}.", soft_wrap=True, markup=False)


def show(console: Console, report: Mapping[str, Any], examples: int, seconds: float) -> None:
    """Print a report for people: counts, findings with examples, and a verdict."""
    console.print(f"{report['root']} ({report['source']})", soft_wrap=True, markup=False)
    console.print(counts_table(report))
    for kind, found in report["findings"].items():
        if kind == "near_duplicates":
            across = [group for group in found if len(group["splits"]) > 1]
            within = [group for group in found if len(group["splits"]) == 1]
            show_finding(console, kind, across, examples, "red", " between splits")
            show_finding(console, kind, within, examples, "yellow", " within a split (no problem)")
        else:
            show_finding(console, kind, found, examples, "red")
    for kind, found in report["remarks"].items():
        if isinstance(found, list) and kind in TITLES:
            show_finding(console, kind, found, examples, "yellow")
    console.print(read_line(report, seconds), soft_wrap=True)
    if report["clean"]:
        console.print("[green]Clean.[/green]")
    else:
        count = report["problems"]
        console.print(f"[red]{count:,} problem{'' if count == 1 else 's'}.[/red]")


def read_line(report: Mapping[str, Any], seconds: float) -> str:
    """Return what was read: pictures, or turns of conversations."""
    talks = sum(counts.get("conversations", 0) for counts in report["splits"].values())
    if talks:
        return f"{report['rows']:,} samples of {talks:,} conversations read in {seconds:.1f} s."
    sides = report["remarks"]["short_sides"]
    told = f", short sides {sides[0]} to {sides[2]} px (median {sides[1]})" if sides else ""
    return f"{report['pictures']:,} of {report['rows']:,} pictures read in {seconds:.1f} s{told}."


def counts_table(report: Mapping[str, Any]) -> Table:
    """Return emotions by splits, and what rows have beside their label."""
    from rich.table import Table

    splits = report["splits"]
    table = Table(box=None)
    table.add_column("")
    for split in splits:
        table.add_column(split, justify="right")
    emotions = next(iter(splits.values()))["emotions"]
    if any(sum(counts["emotions"].values()) for counts in splits.values()):
        for emotion in emotions:
            table.add_row(
                emotion, *(f"{counts['emotions'][emotion]:,}" for counts in splits.values())
            )
        table.add_section()
    for key in COUNTS:
        if key == "rows" or any(counts.get(key) for counts in splits.values()):
            table.add_row(
                key.replace("_", " "), *(f"{counts[key]:,}" for counts in splits.values())
            )
    return table


def show_finding(
    console: Console,
    kind: str,
    found: list[Any],
    examples: int,
    colour: str,
    more: str = "",
) -> None:
    """Print one finding's count and its first examples; nothing where nothing was found."""
    from rich.markup import escape

    if not found:
        return
    count = sum(x["count"] for x in found) if kind == "unknown_labels" else len(found)
    console.print(
        f"[{colour}]{count:,} {TITLES[kind][count != 1]}{more}[/{colour}]", soft_wrap=True
    )
    for entry in found[:examples]:
        console.print(f"  {escape(told_of(kind, entry))}", soft_wrap=True)
    if len(found) > examples > 0:
        console.print(f"  and {len(found) - examples:,} more (all of them: --json)")


def told_of(kind: str, entry: Any) -> str:
    """Return one line about one entry of a finding."""
    if isinstance(entry, str):
        return entry
    if kind == "unknown_labels":
        from emosym.apps.cli.terminal import counted

        close = f", nearest {entry['nearest']!r}" if entry["nearest"] else ""
        return (
            f"{entry['label']!r}: {counted(entry['count'], 'row')}{close}, first {entry['rows'][0]}"
        )
    if "members" in entry:
        shown = [f"{row['split']}: {row['picture']}" for row in entry["members"][:3]]
        rest = len(entry["members"]) - len(shown)
        other = (
            f" [labels differ: {', '.join(entry['labels'])}]" if len(entry["labels"]) > 1 else ""
        )
        mark = "  =  " if kind == "exact_duplicates" else "  ~  "
        return mark.join(shown) + (f"  and {rest} more" if rest else "") + other
    where = entry.get("where") or entry.get("split", "")
    picture = f"{where}: {entry['picture']}" if "picture" in entry else where
    if "format" in entry:
        return f"{picture} is {entry['format']}"
    return entry.get("sentence") or picture
