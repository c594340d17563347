"""Build one self-contained HTML report from one or several run folders (layout: `run_folder`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from emosym.errors import UsageError
from emosym.evaluation.report import paintings as painting
from emosym.evaluation.report import reading
from emosym.evaluation.report.bank import bank
from emosym.evaluation.report.common import (
    PAINT_TABLE,
    READ_TABLE,
    origin_of,
    space_of,
    values_of,
)
from emosym.evaluation.report.render import render
from emosym.evaluation.report.words import WORDS, word_of, written
from emosym.evaluation.results.run_folder import Run, read_run
from emosym.files import write_text

Show = Callable[[Run], dict[str, Any] | None]
SECTIONS: tuple[tuple[str, str, str, Show, str], ...] = (
    ("stages", "Stages", "stages.html", reading.stages, "stages.json"),
    (
        "paintings",
        "Paintings",
        "paintings.html",
        painting.paintings,
        "paintings/readings.jsonl",
    ),
    (
        "reading",
        "Reading",
        "reading.html",
        reading.reading_quality,
        "a result named understanding, or readings",
    ),
    (
        "calibration",
        "Confidence",
        "calibration.html",
        reading.calibration,
        "a result with reliability, or readings",
    ),
    ("space", "Emotion space", "space.html", reading.emotion_space, "emotion_space.json"),
    ("bank", "Memory bank", "bank.html", bank, "rounds.json or bank_after.json"),
    (
        "mistakes",
        "Mistakes",
        "readings.html",
        reading.mistakes,
        "labelled readings/test.jsonl with a mistake",
    ),
    (
        "test",
        "Test readings",
        "readings.html",
        reading.test_readings,
        "readings/test.jsonl with pictures",
    ),
    ("yours", "Your pictures", "readings.html", reading.user_readings, "readings/user.jsonl"),
)
MOST_BYTES = 6_000_000
SIDES = (256, 192, 144, 112, 80, 56)


def build_report(run_dir: Path | Sequence[Path], out: Path) -> Path:
    """Write the report of one run folder, or of several side by side, to `out`; return `out`.

    Pictures are shown as large as keeps the page under 6 MB, between 256 and 56 pixels.

    Raises:
        UsageError: when there is no folder, or one is missing, empty or damaged.
    """
    folders = [run_dir] if isinstance(run_dir, Path) else list(run_dir)
    if not folders:
        raise UsageError("Give at least one run folder to report on.")
    runs = [read_run(folder) for folder in folders]
    titles = [run.title for run in runs]
    runs = [  # runs of one title are told apart by the folder as it was given
        run
        if titles.count(run.title) == 1
        else replace(run, about={**run.about, "title": f"{run.title} ({folder})"})
        for run, folder in zip(runs, folders, strict=True)
    ]
    for side in SIDES:
        built = _page([replace(run, picture_side=side) for run in runs])
        if len(built.encode()) <= MOST_BYTES:
            break
    write_text(out, built)
    return out


def _page(runs: Sequence[Run]) -> str:
    several = len(runs) > 1
    links = [("compare", "Comparison")] if several else []
    left_out: list[str] = []
    shown = []
    for place, run in enumerate(runs):
        prefix = f"run{place}-" if several else ""
        sections = []
        for anchor, name, template, show, needs in SECTIONS:
            data = show(run)
            if data is None:
                of = f"{run.title}: " if several else ""
                left_out.append(f"{of}{name} is left out, since the run folder lacks {needs}.")
                continue
            sections.append({"anchor": f"{prefix}{anchor}", "template": template, "data": data})
            if not several:
                links.append((anchor, name))
        if several:
            links.append((f"run{place}", run.title))
        shown.append({**_about(run), "sections": sections})
    links.append(("notes", "What the numbers mean"))
    heading = f"{len(runs)} runs compared" if several else runs[0].title
    return render(
        "report.html",
        [label for run in runs for label in space_of(run).labels],
        title=f"EmoSym · {heading}",
        heading=heading,
        links=links,
        comparison=_comparison(runs) if several else None,
        runs=shown,
        notes=_notes(runs, left_out),
        foot=_foot(runs),
    )


def _about(run: Run) -> dict[str, Any]:
    parts = []
    for key in ("preset", "seed", "minutes"):
        value = run.about.get(key)
        if value is not None:
            parts.append(f"{key} {value:.1f}" if isinstance(value, float) else f"{key} {value}")
    return {
        "title": run.title,
        "about_line": " · ".join(parts),
        "command": run.about.get("command"),
        "note": run.about.get("note"),
        "hero": painting.hero(run),
        "tiles": reading.tiles(run),
    }


def _comparison(runs: Sequence[Run]) -> dict[str, Any]:
    rows = [
        [
            f"Test {what}, seed",
            *(" · ".join(str(v) for v in origin_of(run, group) if v is not None) for run in runs),
        ]
        for group, what in (("understanding", "pictures"), ("paintings", "paintings"))
        if any(values_of(run, group) for run in runs)
    ]
    for group, wanted in (("understanding", READ_TABLE), ("paintings", PAINT_TABLE)):
        found = [values_of(run, group) for run in runs]
        for metric in wanted:
            if any(values.get(metric) is not None for values in found):
                cells = [written(metric, values.get(metric)) for values in found]
                rows.append([word_of(metric).title, *cells])
    staged = reading.stage_table(runs) if any(run.stages for run in runs) else None
    return {"head": ["Measure", *[run.title for run in runs]], "rows": rows, "stages": staged}


def _notes(runs: Sequence[Run], left_out: Sequence[str]) -> dict[str, Any]:
    seen = {m for run in runs for g in ("understanding", "paintings") for m in values_of(run, g)}
    words = [
        word
        for metric, word in WORDS.items()
        if metric in seen and metric not in READ_TABLE + PAINT_TABLE
    ]
    results = [
        {
            "title": f"{run.title}: every value of {name}",
            "about": f"n {result['n']:,}, seed {result['seed']}, {result['mode']}, "
            f"{result['created']}",
            "judges": [(judge, sha[:16]) for judge, sha in result["extractors"].items()],
            "rows": [
                [metric, written(metric, value)]
                for metric, value in result["values"].items()
                if not isinstance(value, list)
            ],
        }
        for run in runs
        for name, result in run.results.items()
    ]
    return {"words": words, "left_out": left_out, "results": results}


def _foot(runs: Sequence[Run]) -> list[str]:
    results = [result for run in runs for result in run.results.values()]
    if not results:
        return []
    newest = max(results, key=lambda result: str(result["created"]))
    versions = ", ".join(f"{name} {version}" for name, version in newest["versions"].items())
    lines = [f"Measured {newest['created']} with {versions}."]
    return lines + ([f"Commit {newest['git']}."] if newest["git"] else [])
