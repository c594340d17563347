"""The tab Runs: a training run as it goes on, its latest paintings, and its report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from emosym.apps.ui.drawing import alert, status
from emosym.apps.ui.home import Home, told
from emosym.errors import UsageError

SECONDS = 4.0  # between looks at a run that goes on
MOST_RUNS = 200
LATEST = 12
UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"))
TAIL = 65536
SIGNS = ("metrics.jsonl", "stages.json", "run.json", "rounds.json")
EMPTY = '<div class="empty"><p>{}</p></div>'
NO_CURVE = "A curve will be drawn here once two lines are logged."


def build(gr: Any, home: Home, tab: Any) -> None:
    """Lay the tab out; it looks for runs when it is opened, and at the chosen one every seconds."""
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    with gr.Row(elem_classes="numbers"):
        run = gr.Dropdown([], label=f"a run in {home.runs}", elem_id="runs-run")
        watch = gr.Checkbox(label="Look again every few seconds", value=True)
    said = gr.HTML(status(""), elem_id="runs-status")
    curves = gr.HTML("", elem_id="runs-curves")
    latest = gr.HTML("", elem_id="runs-latest")
    with gr.Row():
        make = gr.Button("Open the report", elem_id="runs-report-go")
        download = gr.DownloadButton("Download the report", interactive=False)
    built = gr.HTML(status(""), elem_id="runs-report-status")  # looking again leaves it alone
    report = gr.HTML("", elem_id="runs-report")
    timer = gr.Timer(SECONDS, active=False)
    seen = gr.State("")
    outputs = [said, curves, latest, seen]

    def opened(name: str | None) -> list[Any]:
        names = runs_in(home.runs)
        chosen = name if name in names else (names[0] if names else None)
        return [
            gr.Dropdown(choices=names, value=chosen),
            gr.Timer(active=bool(names)),
            *looked(home, chosen, ""),
        ]

    def again(name: str | None, before: str) -> tuple[Any, ...]:
        found = looked(home, name, before)
        return found if found[3] != before else (found[0], gr.skip(), gr.skip(), before)

    def another(name: str | None) -> tuple[Any, ...]:
        none = gr.DownloadButton(interactive=False)
        return (*looked(home, name, ""), status(""), "", none)

    def reported(name: str | None) -> Iterator[tuple[str, str, Any]]:
        yield status("Building the report", None, 1), "", gr.DownloadButton(interactive=False)
        say: list[str] = []
        with told(say):
            page = report_of(home, name)
            made = gr.DownloadButton(value=str(page), interactive=True)
            yield status(f"The report of {name} is below."), framed(page, str(name)), made
        if say:
            yield alert(say[0]), "", gr.DownloadButton(interactive=False)

    tab.select(opened, [run], [run, timer, *outputs], **quiet)
    run.input(another, [run], [*outputs, built, report, download], **quiet)
    timer.tick(again, [run, seen], outputs, **quiet)
    watch.change(lambda on: gr.Timer(active=on), [watch], [timer], **quiet)
    make.click(reported, [run], [built, report, download], **quiet)


def runs_in(root: Path) -> list[str]:
    """Return the names of run folders in a folder, those that were written to last first."""
    if not root.is_dir():
        return []
    found: dict[Path, float] = {}
    for pattern in ("*", "*/*"):
        for path in root.glob(pattern):
            times = [(path / sign).stat().st_mtime for sign in SIGNS if (path / sign).is_file()]
            inner = [log.stat().st_mtime for log in path.glob("*/metrics.jsonl")]
            if times or (inner and pattern == "*"):
                found[path] = max([*times, *inner])
    newest = sorted(found, key=lambda path: -found[path])[:MOST_RUNS]
    return [path.relative_to(root).as_posix() for path in newest]


def folder_of(home: Home, name: str | None) -> Path:
    """Return the folder of a run that is there.

    Raises:
        UsageError: for any other name.
    """
    if name is None or name not in runs_in(home.runs):
        raise UsageError(
            f"There is no run of that name in {home.runs}. Open the page with --runs FOLDER."
        )
    return home.runs / name


def looked(home: Home, name: str | None, before: str) -> tuple[str, str, str, str]:
    """Return what the tab says of a run, its curves, its paintings, and a mark of how it is.

    Where the mark is as `before`, curves and paintings are left empty: nothing was written since.
    """
    from emosym.evaluation.report.drawing import inline
    from emosym.evaluation.report.figures import losses
    from emosym.evaluation.results.run_folder import losses_of

    if name is None:
        none = f"There is no run in {home.runs} yet. `emosym train` and `emosym demo` make one."
        return status(""), EMPTY.format(escape(none)), "", ""
    say: list[str] = []
    with told(say):
        folder = folder_of(home, name)
        line = where_it_is(folder)
        mark = mark_of(name, folder)
        if mark == before:
            return status(line), "", "", mark
        found = losses_of(folder)
        drawn = (
            '<article class="card curves"><h2 class="lesser">Training loss</h2>'
            f"{inline(losses(found))}</article>"
            if found
            else EMPTY.format(NO_CURVE)
        )
        return status(line), drawn, paintings_of(folder), mark
    return alert(say[0]), "", "", ""


def logs_of(folder: Path) -> list[Path]:
    """Return the logs of a run and its stages, the one that was written to last at the end."""
    logs = [folder / "metrics.jsonl", *folder.glob("*/metrics.jsonl")]
    return sorted(filter(Path.is_file, logs), key=lambda path: path.stat().st_mtime)


def mark_of(name: str, folder: Path) -> str:
    """Return what changes when a run's logs do."""
    sizes = [f"{path.name}{path.stat().st_size}" for path in logs_of(folder)]
    return "/".join([name, *sizes])


def where_it_is(folder: Path) -> str:
    """Return how far a run has come, in a line."""
    logs = logs_of(folder)
    if not logs:
        return "Nothing was logged."
    row = last_row(logs[-1])
    stage = "" if logs[-1].parent == folder else f"{logs[-1].parent.name}: "
    if not row:
        return f"{stage}it has begun; nothing is logged yet."
    told_of = [
        f"{key.replace('_', ' ')} {value:.4g}" for key, value in row.items() if key != "step"
    ]
    ago = max(0, int(time.time() - logs[-1].stat().st_mtime))
    size, unit = next((unit for unit in UNITS if ago >= 2 * unit[0]), (1, "seconds"))
    when = f"{ago // size:,} {unit}"
    return f"{stage}step {row.get('step', '?')}; {', '.join(told_of)}; written {when} ago."


def last_row(log: Path) -> dict[str, float]:
    """Return the numbers of a log's last whole line; none where there is no such line."""
    with log.open("rb") as stream:
        stream.seek(0, 2)
        stream.seek(max(0, stream.tell() - TAIL))
        lines = stream.read().splitlines()
    for line in reversed(lines):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            return {k: v for k, v in row.items() if isinstance(v, int | float)}
    return {}


def paintings_of(folder: Path) -> str:
    """Return a run's newest paintings: of its folder, else of its bank; "" where there are none."""
    from emosym.evaluation.report.pictures import shown_frame
    from emosym.memory.places import open_bank

    found = sorted((folder / "paintings").glob("*/*.png"), key=lambda path: -path.stat().st_mtime)
    named = [(shown_frame(path, 128).data, path.parent.name) for path in found[:LATEST]]
    say: list[str] = []
    if not named:
        with told(say):  # a run without a bank has no paintings to show
            bank = open_bank(folder)
            first = max(0, len(bank) - LATEST)
            newest = bank.read(limit=LATEST, offset=first)
            named = [(shown_frame(e.image, 128).data, e.intent) for e in reversed(newest)]
    if not named:
        return ""
    figures = "".join(
        f'<figure><img src="{picture}" alt="A painting of {escape(word)}">'
        f"<figcaption>{escape(word)}</figcaption></figure>"
        for picture, word in named
    )
    return (
        '<article class="card near"><h2 class="lesser">Latest paintings</h2>'
        f"<div>{figures}</div></article>"
    )


def report_of(home: Home, name: str | None) -> Path:
    """Build a run's report; returns its path. The run's own folder is not written to.

    Raises:
        UsageError: when there is no such run, or nothing in it to report.
    """
    from emosym.evaluation.report.build import build_report

    folder = folder_of(home, name)
    return build_report([folder], home.new_folder() / "report.html")


def framed(page: Path, name: str) -> str:
    """Return a page inside this one: it is shown, and its scripts, if any, do not run."""
    inside = escape(page.read_text(encoding="utf-8"), quote=True)
    return (
        f'<iframe class="report" title="Report of {escape(name)}" sandbox="" '
        f'srcdoc="{inside}"></iframe>'
    )
