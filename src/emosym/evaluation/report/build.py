"""Build one self-contained HTML report from one or several run folders (layout: `run_folder`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from emosym.errors import UsageError
from emosym.evaluation.report import paintings as painting
from emosym.evaluation.report import reading_sections as sections
from emosym.evaluation.report.bank import bank
from emosym.evaluation.report.common import PAINT_TABLE, READ_TABLE, origin_of, values_of
from emosym.evaluation.report.html import page, table, text
from emosym.evaluation.report.words import WORDS, word_of, written
from emosym.evaluation.results.run_folder import Run, read_run
from emosym.files import write_text

SECTIONS: tuple[tuple[str, str, Callable[[Run], str], str], ...] = (
    ("stages", "Stages", sections.stages, "stages.json"),
    ("paintings", "Paintings", painting.paintings, "paintings/readings.jsonl"),
    ("reading", "Reading", sections.reading_quality, "a result named understanding, or readings"),
    ("calibration", "Confidence", sections.calibration, "a result with reliability, or readings"),
    ("space", "Emotion space", sections.emotion_space, "emotion_space.json"),
    ("bank", "Memory bank", bank, "rounds.json or bank_after.json"),
    ("mistakes", "Mistakes", sections.mistakes, "labelled readings/test.jsonl with a mistake"),
    ("test", "Test readings", sections.test_readings, "readings/test.jsonl with pictures"),
    ("yours", "Your pictures", sections.user_readings, "readings/user.jsonl"),
)
LEAD = (
    "One model that reads the emotion a picture evokes and paints pictures that evoke an emotion "
    "you ask for. This page holds what was measured and made."
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
    links: list[tuple[str, str]] = []
    body: list[str] = []
    left_out: list[str] = []
    if len(runs) > 1:
        links.append(("compare", "Comparison"))
        body.append(f'<section id="compare">{_comparison(runs)}</section>')
    for place, run in enumerate(runs):
        if len(runs) > 1:
            links.append((f"run{place}", run.title))
            top = f'<hr><section id="run{place}"><h2 class="run">{text(run.title)}</h2>'
            body.append(f"{top}{_about(run)}{painting.hero(run)}{sections.tiles(run)}</section>")
        of = f"{run.title}: " if len(runs) > 1 else ""
        for anchor, name, build, needs in SECTIONS:
            content = build(run)
            if not content:
                left_out.append(f"{of}{name} is left out, since the run folder lacks {needs}.")
            if content:
                where = anchor if len(runs) == 1 else f"run{place}-{anchor}"
                body.append(f'<section id="{where}">{content}</section>')
                if len(runs) == 1:
                    links.append((where, name))
    body.append(f'<section id="notes">{_notes(runs, left_out)}</section>')
    links.append(("notes", "What the numbers mean"))
    title = runs[0].title if len(runs) == 1 else f"{len(runs)} runs compared"
    header = f'<p class="kicker">EmoSym report</p><h1>{text(title)}</h1>'
    header += f'<p class="lead">{text(LEAD)}</p>'
    if len(runs) == 1:
        header += f"{_about(runs[0])}{painting.hero(runs[0])}{sections.tiles(runs[0])}"
    return page(f"EmoSym · {title}", header, links, "".join(body), _foot(runs))


def _about(run: Run) -> str:
    parts = []
    for key, name in (("preset", "preset"), ("seed", "seed"), ("minutes", "minutes")):
        if run.about.get(key) is not None:
            value = run.about[key]
            value = f"{value:.1f}" if isinstance(value, float) else value
            parts.append(f"{name} {text(value)}")
    line = f'<p class="small">{" · ".join(parts)}</p>' if parts else ""
    if run.about.get("command"):
        line += f'<p class="small"><code>{text(run.about["command"])}</code></p>'
    if run.about.get("note"):
        line += f"<p>{text(run.about['note'])}</p>"
    return line


def _comparison(runs: Sequence[Run]) -> str:
    rows = [
        [
            text(f"Test {what}, seed"),
            *(" · ".join(text(v) for v in origin_of(run, group) if v is not None) for run in runs),
        ]
        for group, what in (("understanding", "pictures"), ("paintings", "paintings"))
        if any(values_of(run, group) for run in runs)
    ]
    for group in ("understanding", "paintings"):
        found = [values_of(run, group) for run in runs]
        wanted = READ_TABLE if group == "understanding" else PAINT_TABLE
        for metric in wanted:
            if any(values.get(metric) is not None for values in found):
                cells = [text(written(metric, values.get(metric))) for values in found]
                rows.append([text(word_of(metric).title), *cells])
    head = ["Measure", *[run.title for run in runs]]
    measures = table(head, rows) if rows else ""
    staged = sections.stage_table(runs) if any(run.stages for run in runs) else ""
    return (
        "<h2>Side by side</h2><p>What each run measured, in one table; compare runs only where the "
        f"test pictures and the number of paintings are the same.</p>{measures}"
        f"{f'<h3 class=next>Stage by stage</h3>{staged}' if staged else ''}"
    )


def _notes(runs: Sequence[Run], left_out: Sequence[str]) -> str:
    seen = {m for run in runs for g in ("understanding", "paintings") for m in values_of(run, g)}
    words = "".join(
        f"<dt>{text(word.title)}</dt><dd>{text(word.meaning)}</dd>"
        for metric, word in WORDS.items()
        if metric in seen and metric not in READ_TABLE + PAINT_TABLE
    )
    general = (
        "<p>An interval says how far chance alone could move a number: of 95 % intervals, 95 in "
        "100 hold the true value. Judges are networks that saw only real pictures and never "
        "trained what they judge; they are good, not infallible, so their score on real pictures "
        "stands beside.</p>"
        "<p>An emotion that a picture evokes is a matter of people: labels are what annotators "
        "(or, in a drawn world, its rules) said, not what anyone must feel. Valence, arousal and "
        "dominance are norms of the emotion words, weighted by the probabilities. Nothing here "
        "tells what a person in a picture feels.</p>"
    )
    listed = f"<dl>{words}</dl>" if words else ""
    return (
        f"<h2>What the numbers mean</h2>{general}{listed}{_left_out(left_out)}{_all_values(runs)}"
    )


def _left_out(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f'<h3 class="next">Left out</h3><ul class="small">{items}</ul>'


def _all_values(runs: Sequence[Run]) -> str:
    blocks = []
    for run in runs:
        for name, result in run.results.items():
            rows = [
                [text(metric), text(written(metric, value))]
                for metric, value in result["values"].items()
                if not isinstance(value, list)
            ]
            about = (
                f"n {result['n']:,}, seed {result['seed']}, {result['mode']}, {result['created']}"
            )
            judges = "".join(
                f'<p class="small">{text(judge)} <code>{text(checksum[:16])}</code></p>'
                for judge, checksum in result["extractors"].items()
            )
            blocks.append(
                f"<details><summary>{text(run.title)}: every value of {text(name)}</summary>"
                f'<p class="small">{text(about)}</p>{judges}{table(["Value", ""], rows)}</details>'
            )
    return "".join(blocks)


def _foot(runs: Sequence[Run]) -> str:
    results = [result for run in runs for result in run.results.values()]
    lines = []
    if results:
        newest = max(results, key=lambda result: str(result["created"]))
        versions = ", ".join(f"{k} {v}" for k, v in newest["versions"].items())
        lines.append(f"Measured {text(newest['created'])} with {text(versions)}.")
        if newest["git"]:
            lines.append(f"Commit <code>{text(newest['git'])}</code>.")
    lines.append("This file is complete: it loads nothing and runs nothing.")
    return "".join(f'<p class="small">{line}</p>' for line in lines)
