"""Build one self-contained HTML report from one or several run folders (layout: `run_folder`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from emosym.errors import UsageError
from emosym.evaluation import report_paintings as painting
from emosym.evaluation import report_sections as sections
from emosym.evaluation.report_common import PAINT_TABLE, READ_TABLE, values_of
from emosym.evaluation.report_html import page, table, text
from emosym.evaluation.report_words import WORDS, word_of, written
from emosym.evaluation.run_folder import Run, read_run
from emosym.files import write_text

SECTIONS: tuple[tuple[str, str, Callable[[Run], str]], ...] = (
    ("paintings", "Paintings", painting.paintings),
    ("reading", "Reading", sections.reading_quality),
    ("space", "Emotion space", sections.emotion_space),
    ("stages", "Stages", sections.stages),
    ("bank", "Memory bank", painting.bank),
    ("mistakes", "Mistakes", sections.mistakes),
    ("test", "Test readings", sections.test_readings),
    ("yours", "Your pictures", sections.user_readings),
)
LEAD = (
    "One model that reads the emotion a picture evokes and paints pictures that evoke an emotion "
    "you ask for. This page holds what was measured and made."
)


def build_report(run_dir: Path | Sequence[Path], out: Path) -> Path:
    """Write the report of one run folder, or of several side by side, to `out`; return `out`.

    Raises:
        UsageError: when there is no folder, or one is missing, empty or damaged.
    """
    folders = [run_dir] if isinstance(run_dir, Path) else list(run_dir)
    if not folders:
        raise UsageError("Give at least one run folder to report on.")
    runs = [read_run(folder) for folder in folders]
    links: list[tuple[str, str]] = []
    body: list[str] = []
    if len(runs) > 1:
        links.append(("compare", "Comparison"))
        body.append(f'<section id="compare">{_comparison(runs)}</section>')
    for place, run in enumerate(runs):
        if len(runs) > 1:
            links.append((f"run{place}", run.title))
            top = f'<hr><section id="run{place}"><h1>{text(run.title)}</h1>{_about(run)}'
            body.append(f"{top}{painting.hero(run)}{sections.tiles(run)}</section>")
        for anchor, name, build in SECTIONS:
            content = build(run)
            if content:
                where = anchor if len(runs) == 1 else f"run{place}-{anchor}"
                body.append(f'<section id="{where}">{content}</section>')
                if len(runs) == 1:
                    links.append((where, name))
    body.append(f'<section id="notes">{_notes(runs)}</section>')
    links.append(("notes", "What the numbers mean"))
    title = runs[0].title if len(runs) == 1 else f"{len(runs)} runs compared"
    header = f'<p class="kicker">EmoSym report</p><h1>{text(title)}</h1>'
    header += f'<p class="lead">{text(LEAD)}</p>'
    if len(runs) == 1:
        header += f"{_about(runs[0])}{painting.hero(runs[0])}{sections.tiles(runs[0])}"
    write_text(out, page(f"EmoSym · {title}", header, links, "".join(body), _foot(runs)))
    return out


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
    rows = []
    for group in ("understanding", "paintings"):
        found = [values_of(run, group) for run in runs]
        wanted = READ_TABLE if group == "understanding" else PAINT_TABLE
        for metric in wanted:
            if any(values.get(metric) is not None for values in found):
                cells = [text(written(metric, values.get(metric))) for values in found]
                rows.append([text(word_of(metric).title), *cells])
    head = ["Measure", *[run.title for run in runs]]
    return (
        "<h2>Side by side</h2><p>Compare runs only where the test pictures and the number of "
        f"paintings are the same.</p>{table(head, rows)}"
    )


def _notes(runs: Sequence[Run]) -> str:
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
    return f"<h2>What the numbers mean</h2>{general}{listed}{_all_values(runs)}"


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
