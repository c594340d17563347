"""The ablation's page: every part's question, what was expected, what was found, in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from markupsafe import Markup

from emosym.evaluation.report.drawing import inline
from emosym.evaluation.report.render import render
from emosym.files import write_text
from emosym.studies.ablation.plots import Bar, Curve, forest, learning_curves
from emosym.studies.ablation.words import (
    amount,
    check_table,
    difference,
    mean_and_error,
    metric_name,
    unit,
)

Figure: TypeAlias = tuple[str, Markup, str]
"""Title, figure and note of a card."""
DIRECTIONS = {"first_higher": 1, "first_not_lower": 1, "second_higher": -1, "no_difference": 0}
LEAD = (
    "What each part of EmoSym is worth: arms that differ in one thing, with equal steps and data, "
    "over several seeds. What was expected was written down before the first run. The pictures "
    "are of a drawn world: this shows a mechanism, and claims nothing about photographs."
)
HOW = (
    "A difference is the mean over seeds, each paired with the same seed of the other arm; its 95 "
    "% interval is in brackets. ± is one standard error of the mean. Shares are in percent. A "
    "control is an arm that is there to fail."
)
FOREST = (
    "Each point is a paired difference, each line its 95 % interval. Blue, pointing up: better or "
    "confirmed; orange, pointing down: worse or refuted; grey, round: no difference shown."
)


def ablation_page(found: Mapping[str, Any], out: Path) -> Path:
    """Write the page of an ablation's table (see `ablation.words`) to `out`; return `out`.

    Raises:
        UsageError: when `found` is no ablation's table.
    """
    check_table(found)
    seeds = found["seeds"]
    count = len(seeds) if isinstance(seeds, Sequence) else seeds
    facts = [f"{found['n_test']:,} test pictures"]
    facts += [f"{found['n_ood']:,} of another style"] if found.get("n_ood") else []
    if found.get("n_dialogues"):
        facts += [f"{found['n_dialogues']:,} test conversations"]
    facts += [f"up to {count} seeds"]
    facts += [f"{found['minutes']:.0f} minutes"] if found.get("minutes") is not None else []
    parts = [_part(part) for part in found["parts"]]
    links = [("verdicts", "Verdicts")]
    links += [(f"part{place}", part["title"]) for place, part in enumerate(parts)]
    page = render(
        "ablation.html",
        room="emosym.studies.ablation",
        title=f"EmoSym · {found['name']}",
        name=found["name"],
        note=found.get("note"),
        lead=LEAD,
        how=HOW,
        facts=" · ".join(facts),
        links=links,
        verdicts=_verdicts(found),
        parts=parts,
        foot=_foot(found),
    )
    write_text(out, page)
    return out


def _verdicts(found: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        [
            one["text"],
            title_of(part),
            unit(_metric(part, one)),
            difference(_metric(part, one), one),
            one.get("n", "–"),
            one["verdict"],
        ]
        for part in found["parts"]
        for one in part["expectations"]
    ]
    counts = {verdict: sum(row[-1] == verdict for row in rows) for verdict in _order(rows)}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    said = (
        f"Of {len(rows)} expectations: {told}. A difference is the first arm's less the second's."
        if rows
        else "Nothing was expected in advance."
    )
    return {"rows": rows, "said": said}


def _order(rows: Sequence[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(row[-1] for row in rows))


def _metric(part: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    return str(one.get("metric") or part["metric"])


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    metric, base = part["metric"], _base(part)
    better = "higher" if part["higher_is_better"] else "lower"
    rows = [
        {
            "arm": row["label"],
            "control": row["control"],
            "cells": [
                f"{100 * row['fraction']:g} %",
                row["n"],
                mean_and_error(metric, row["values"].get(metric, {})),
                difference(metric, row["values"].get(metric, {})),
                row["values"].get(metric, {}).get("verdict", "–"),
            ],
        }
        for row in part["rows"]
    ]
    return {
        "title": title_of(part),
        "question": part["question"],
        "measured": f"Measured by {unit(metric)}; {better} is better. The base arm is {base}.",
        "expected": [_verdict(part, one) for one in part["expectations"]],
        "figures": [*_expected_figures(part), *_arms_figure(part)],
        "head": ["Arm", "Labels", "Seeds", unit(metric), f"Difference to {base} [95 %]", "Verdict"],
        "rows": rows,
        "curves": _curves(part),
        **_every_measure(part),
    }


def _base(part: Mapping[str, Any]) -> str:
    """Return the base arm as the rows call it."""
    labels = [row["label"] for row in part["rows"] if row["arm"] == part["base"]]
    return str(labels[0] if labels else part["base"])


def _verdict(part: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, str]:
    metric = _metric(part, one)
    what = {
        "confirmed": "Confirmed: the interval lies where it was expected",
        "not shown": "Not shown: the interval does not settle it",
        "refuted": "Refuted: the interval speaks against it",
    }.get(one["verdict"], str(one["verdict"]))
    found = f"{difference(metric, one)}, {unit(metric)}, n = {one.get('n', '–')} seeds"
    return {"text": one["text"], "what": what, "found": found}


def _bar(name: str, metric: str, found: Mapping[str, Any], expected: int | None) -> list[Bar]:
    """Return the bar of a difference, or none where it or its interval was not measured."""
    values = [found.get(key) for key in ("difference", "low", "high")]
    scale = 100.0 if unit(metric).endswith("(%)") else 1.0
    numbers = [scale * value for value in values if value is not None]
    if len(numbers) < 3:
        return []
    value, low, high = numbers
    return [Bar(name, value, low, high, str(found.get("verdict", "")), expected)]


def title_of(part: Mapping[str, Any]) -> str:
    """Return what a part is called: its title, else its name."""
    return str(part.get("title") or part["name"])


def _expected_figures(part: Mapping[str, Any]) -> list[Figure]:
    groups: dict[str, list[Bar]] = {}
    labels = {row["arm"]: row["label"] for row in part["rows"]}
    for one in part["expectations"]:
        metric = _metric(part, one)
        first, second = (labels.get(one[side], one[side]) for side in ("first", "second"))
        at = f", {100 * one['fraction']:g} %" if one.get("fraction") is not None else ""
        if one.get("than_fraction") is not None:
            at += f" less the same at {100 * one['than_fraction']:g} %"
        expected = DIRECTIONS.get(one["direction"])
        bars = _bar(f"{first} – {second}{at}", metric, one, expected)
        groups.setdefault(metric, []).extend(bars)
    return [
        (
            f"What was expected: {metric_name(metric)}",
            inline(forest(bars, f"difference in {unit(metric)}", _alt(bars, metric))),
            f"{FOREST} The shade is the side where the difference was expected; "
            "around zero it stands for none, and its width means nothing.",
        )
        for metric, bars in groups.items()
        if bars
    ]


def _arms_figure(part: Mapping[str, Any]) -> list[Figure]:
    metric = part["metric"]
    bars = [
        bar
        for row in part["rows"]
        for bar in _bar(
            f"{row['label']}, {100 * row['fraction']:g} %",
            metric,
            row["values"].get(metric, {}),
            None,
        )
    ]
    if not bars:
        return []
    better = "right" if part["higher_is_better"] else "left"
    axis = f"{unit(metric)} less that of {_base(part)} ({better} is better)"
    drawn = inline(forest(bars, axis, _alt(bars, metric)))
    return [(f"Every arm against {_base(part)}", drawn, FOREST)]


def _alt(bars: Sequence[Bar], metric: str) -> str:
    told = "; ".join(f"{b.name}: {b.value:+.3g} [{b.low:+.3g}, {b.high:+.3g}]" for b in bars)
    return f"Forest plot of paired differences in {unit(metric)}. {told}."


def _curves(part: Mapping[str, Any]) -> Markup | None:
    metric = "accuracy" if _has(part, "accuracy") else part["metric"]
    arms: dict[str, list[Mapping[str, Any]]] = {}
    for row in part["rows"]:
        if row["values"].get(metric, {}).get("mean") is not None:
            arms.setdefault(row["label"], []).append(row)
    scale = 100.0 if unit(metric).endswith("(%)") else 1.0
    curves = []
    for label, rows in arms.items():
        ordered = sorted(rows, key=lambda row: float(row["fraction"]))
        if len(ordered) < 2:
            continue
        cells = [row["values"][metric] for row in ordered]
        errors = [None if c.get("se") is None else scale * c["se"] for c in cells]
        fractions = [float(row["fraction"]) for row in ordered]
        curves.append(Curve(label, fractions, [scale * c["mean"] for c in cells], errors))
    if not curves:
        return None
    told = "; ".join(f"{c.name}: " + ", ".join(f"{v:.3g}" for v in c.values) for c in curves)
    alt = f"{unit(metric)} by share of labels. {told}."
    return inline(learning_curves(curves, unit(metric), alt))


def _has(part: Mapping[str, Any], metric: str) -> bool:
    return any(metric in row["values"] for row in part["rows"])


def _every_measure(part: Mapping[str, Any]) -> dict[str, Any]:
    metrics = list(dict.fromkeys(metric for row in part["rows"] for metric in row["values"]))
    rows = []
    for row in part["rows"]:
        cells = []
        for metric in metrics:
            cell = row["values"].get(metric)
            change = "–" if cell is None else difference(metric, cell)
            value = "–" if cell is None else amount(metric, cell.get("mean"))
            cells.append({"value": value, "change": "" if change == "–" else change})
        named = f"{100 * row['fraction']:g} %"
        rows.append({"arm": row["label"], "control": row["control"], "at": named, "cells": cells})
    return {"every_head": ["Arm, labels", *map(unit, metrics)], "every": rows}


def _foot(found: Mapping[str, Any]) -> list[str]:
    lines = []
    versions = ", ".join(f"{k} {v}" for k, v in dict(found.get("versions") or {}).items())
    if found.get("created"):
        lines.append(f"Measured {found['created']}{f' with {versions}' if versions else ''}.")
    if found.get("hardware"):
        lines.append(f"On {found['hardware']}.")
    if found.get("git"):
        lines.append(f"Commit {found['git']}.")
    return lines
