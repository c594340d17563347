"""Figures and tables of an evaluation for papers: files of their own, and LaTeX with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emosym.errors import UsageError
from emosym.evaluation.report import figures
from emosym.evaluation.report.common import raw_values_of, space_of, values_of
from emosym.evaluation.report.drawing import Plot, save
from emosym.evaluation.report.words import latex, number, percent, word_of
from emosym.evaluation.results.run_folder import Run


def write_figures(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Write every figure that the runs have as PDF, PNG and SVG; return the paths.

    They lie in `folder`, those of several runs in a folder each, by number and title.

    Raises:
        UsageError: when no run has anything to draw.
    """
    paths: list[Path] = []
    for place, run in enumerate(runs, 1):
        name = "".join(c if c.isalnum() or c in "-_." else "-" for c in run.title)
        where = folder if len(runs) == 1 else folder / f"{place}-{name}"
        for stem, plot in figures_of(run):
            paths += save(plot, where / stem)
    if not paths:
        told = ", ".join(run.title for run in runs)
        raise UsageError(
            f"{told} holds nothing to draw: a confusion matrix and reliability come from a result "
            "named understanding, curves from metrics.jsonl."
        )
    return paths


def figures_of(run: Run) -> Iterator[tuple[str, Plot]]:
    """Yield (name, figure) of what a run holds."""
    values, space = values_of(run, "understanding"), space_of(run)
    if "confusion" in values:
        yield "confusion", figures.confusion(space.labels, values["confusion"])
    raw = raw_values_of(run)
    if "reliability_count" in values:
        yield "reliability", figures.reliability_of(values, "Reliability")
    if "reliability_count_raw" in values:
        yield "reliability-raw", figures.reliability_of(values, "Reliability (raw)", "_raw")
    elif raw:
        yield "reliability-raw", figures.reliability_of(raw, "Reliability (raw)")
    if values.get("coverage"):
        curve = figures.answered(values["coverage"], values["accuracy_at_coverage"])
        yield "accuracy-by-coverage", curve
    if run.losses:
        yield "losses", figures.losses(run.losses)
    if run.space and run.space.get("points"):
        gaussians = run.space.get("gaussians") or []
        yield "emotion-space", figures.emotion_map(run.space["points"], space.labels, gaussians)
    if run.bank_after and run.bank_after.get("per_round"):
        yield "bank", figures.bank_growth(run.bank_after["per_round"], space.labels)


def latex_tables(runs: Sequence[Run]) -> str:
    """Return one LaTeX table (booktabs) for each kind of result: a row a measure, a column a run.

    Every value that is one number is there, with its 95 % interval where the result has one.

    Raises:
        UsageError: when no run has a result.
    """
    kinds = list(dict.fromkeys(name for run in runs for name in _results(run)))
    if not kinds:
        raise UsageError("There is no result to make a table of: give a result file, or a run.")
    return "\n".join(_table(kind, runs) for kind in kinds)


def _results(run: Run) -> Mapping[str, Mapping[str, Any]]:
    found = {name: result["values"] for name, result in run.results.items()}
    own = values_of(run, "understanding")
    return found | ({"understanding": own} if own else {})


def _table(kind: str, runs: Sequence[Run]) -> str:
    columns = [_results(run).get(kind, {}) for run in runs]
    metrics = [
        metric
        for metric in dict.fromkeys(metric for values in columns for metric in values)
        if any(_is_number(values.get(metric)) for values in columns)
    ]
    head = " & ".join(["Measure", *(latex(run.title) for run in runs)])
    lines = [
        rf"% {latex(kind)}; brackets: 95\,\% intervals",
        rf"\begin{{tabular}}{{l{'r' * len(runs)}}}",
    ]
    lines += [r"\toprule", rf"{head} \\", r"\midrule"]
    for metric in metrics:
        cells = [latex(word_of(metric).title), *(_cell(metric, values) for values in columns)]
        lines.append(rf"{' & '.join(cells)} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(metric: str, values: Mapping[str, Any]) -> str:
    value, interval = values.get(metric), values.get(f"{metric}_interval")
    if not _is_number(value):
        return "--"
    numbers = [float(x) for x in (value, *(interval or ())) if x is not None]
    share = word_of(metric).share and all(-0.001 <= each <= 2.0 for each in numbers)
    shown = [latex(percent(x) if share else number(x)) for x in numbers]
    return shown[0] if len(shown) == 1 else f"{shown[0]} [{shown[1]}, {shown[2]}]"
