"""What the report's sections on reading show: each takes a run, and returns None without any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emosym.evaluation.report import figures
from emosym.evaluation.report.common import (
    READ_TABLE,
    origin_of,
    raw_values_of,
    space_of,
    values_of,
)
from emosym.evaluation.report.drawing import inline
from emosym.evaluation.report.pictures import shown
from emosym.evaluation.report.words import percent, word_of, written
from emosym.evaluation.results.run_folder import Row, Run

Data = dict[str, Any]
MOST_READINGS = 12
MOST_MISTAKES = 8
MOST_USER = 60
LIKELIEST = 3


def tiles(run: Run) -> list[Data]:
    """Return the key figures, each with its share of 1 and what bounds it where it has one."""
    read, paint = values_of(run, "understanding"), values_of(run, "paintings")
    made: list[Data] = []
    if "accuracy" in read:
        best = read.get("best_accuracy")
        low, high = read.get("accuracy_interval") or (None, None)
        note = "" if low is None else f"95 % interval {percent(low)} to {percent(high)}. "
        note += "" if best is None else f"The line marks the best achievable, {percent(best)}."
        made.append(_tile("Pictures read right", read["accuracy"], note, best))
    if "ece" in read:
        note = "Mean gap between how sure a reading says it is and how often it is right."
        made.append(_tile("Calibration error", read["ece"], note, bar=False))
    for letter in "ab":
        value = paint.get(f"emo_a_judge_{letter}")
        if value is not None:
            real = paint.get(f"emo_a_judge_{letter}_of_real")
            note = "Paintings an independent judge reads as asked. "
            if real is not None:
                note += f"The line: the judge on real pictures, {percent(real)}."
            made.append(_tile(f"Emo-A, judge {letter}", value, note, real))
    for name in ("coverage", "fidelity_relative"):
        if paint.get(name) is not None:
            best = paint.get("coverage_of_real") if name == "coverage" else None
            word = word_of(name)
            meaning = word.meaning[0].upper() + word.meaning[1:]
            made.append(_tile(word.title, paint[name], meaning, best))
    return made


def _tile(name: str, value: float, note: str, best: float | None = None, bar: bool = True) -> Data:
    return {
        "name": name,
        "value": percent(value),
        "note": note,
        "share": min(1.0, max(0.0, value)) if bar else None,
        "best": None if best is None else min(1.0, max(0.0, best)),
    }


def stages(run: Run) -> Data | None:
    """Return what each stage took and where it left the model."""
    if not run.stages:
        return None
    total = sum(float(row.get("minutes") or 0) for row in run.stages)
    told = (
        f"{len(run.stages)} parts in {total:.1f} minutes; a training stage's figures are on "
        "validation pictures when it was done, the last row's on the test pictures."
    )
    drawn = inline(figures.losses(run.losses)) if run.losses else None
    return {
        "said": told,
        "seed": run.about.get("seed"),
        "table": stage_table([run]),
        "losses": drawn,
    }


def stage_table(runs: Sequence[Run]) -> Data:
    """Return the stages of one run, or of several: the same stage of each run side by side."""
    names: list[str] = []
    order: list[str] = []
    for row in (row for run in runs for row in run.stages):
        names += [name for name in row.get("metrics", {}) if name not in names]
        order += [row["stage"]] if row["stage"] not in order else []
    rows = [
        _stage_row(row, names, run.title if len(runs) > 1 else None)
        for stage in order
        for run in runs
        for row in run.stages
        if row["stage"] == stage
    ]
    head = ["Stage", *(["Run"] if len(runs) > 1 else []), "Minutes"]
    return {"head": [*head, *[word_of(name).title for name in names]], "rows": rows}


def _stage_row(row: Row, names: Sequence[str], title: str | None) -> Data:
    minutes = row.get("minutes")
    spent = "–" if minutes is None else f"{float(minutes):.1f}"
    cells = [written(name, row.get("metrics", {}).get(name)) for name in names]
    of = [] if title is None else [title]
    return {"stage": row["stage"], "note": row.get("note"), "cells": [*of, spent, *cells]}


def reading_quality(run: Run) -> Data | None:
    """Return the confusion matrix and every reading metric."""
    values = values_of(run, "understanding")
    if not values:
        return None
    n, seed = origin_of(run, "understanding")
    found: Data = {"n": n, "seed": seed, "measured": values, "metrics": READ_TABLE}
    found["confusion"] = None
    if "confusion" in values:
        found["confusion"] = inline(figures.confusion(space_of(run).labels, values["confusion"]))
    return found


def calibration(run: Run) -> Data | None:
    """Return reliability diagrams, raw and calibrated side by side, and what is answered."""
    values, raw = values_of(run, "understanding"), raw_values_of(run)
    if "reliability_count" not in values:
        return None
    sides = [("As the head says it (raw)", raw)] if raw else []
    sides.append(("As it is stated (calibrated)", values))
    drawn = [
        (title, inline(figures.reliability_of(found, f"Reliability: {title}")))
        for title, found in sides
    ]
    if values.get("coverage"):
        curve = figures.answered(values["coverage"], values["accuracy_at_coverage"])
        drawn.append(("If only the surest are answered", inline(curve)))
    names = [n for n in ("ece", "brier_multiclass", "nll", "roc_auc") if values.get(n) is not None]
    rows = [
        (
            word_of(name).title,
            [written(name, found.get(name)) for _, found in sides],
            word_of(name).meaning,
        )
        for name in names
    ]
    told = "How often a stated confidence comes true, before and after the scaling"
    told += " that was fitted on validation pictures." if raw else "."
    note = (
        "Bars that end on the dashed line keep their word: of readings that say 80 percent, 80 "
        "percent come true. Red is the gap; the grey bars below count the readings."
    )
    if not raw:
        told = "How often a stated confidence comes true."
        note += " This run kept no raw probabilities, so only the calibrated ones are drawn."
    if values.get("abstain_accuracy") is not None:
        note += (
            f" Below a confidence of {values['abstain_below']:.2f} the model abstains: it answers "
            f"{values['abstain_coverage']:.0%} of these pictures, and "
            f"{values['abstain_accuracy']:.1%} of those answers are right."
        )
    n, seed = origin_of(run, "understanding")
    head = ["Measure", *(["Raw"] if raw else []), "Calibrated", "What it says"]
    shown_data = {"n": n, "seed": seed, "said": told, "note": note}
    return {**shown_data, "figures": drawn, "head": head, "rows": rows}


def emotion_space(run: Run) -> Data | None:
    """Return the 2-D map of emotion latents and of the Gaussians that painting samples from."""
    if not run.space or not run.space.get("points"):
        return None
    points, gaussians = run.space["points"], run.space.get("gaussians") or []
    plot = figures.emotion_map(points, space_of(run).labels, gaussians)
    parts = ["Each dot is the emotion latent of a real picture, coloured by its label."]
    if any(point[3] == "painted" for point in points):
        parts.append("Rings are paintings, read by the same model, coloured by what was asked.")
    if gaussians:
        parts.append("An ellipse holds half of the Gaussian that an emotion is painted from.")
    share = run.space.get("share")
    parts.append(str(run.space.get("note", "")))
    if share is not None:
        parts.append(f"It holds {percent(share)} of how those means differ; the rest is not seen.")
    counts = run.space.get("counts") or {}
    for kind, what in (("real", "pictures"), ("painted", "paintings")):
        drawn = sum(point[3] == kind for point in points)
        if counts.get(kind, drawn) > drawn:
            parts.append(f"{drawn:,} of {counts[kind]:,} {what} are drawn, evenly picked.")
    _, seed = origin_of(run, "understanding")
    return {"n": len(points), "seed": seed, "figure": inline(plot), "note": " ".join(parts)}


def mistakes(run: Run) -> Data | None:
    """Return the readings that were wrong and sure of it, pictures first."""
    labelled = [r for r in run.test if r.get("label") and "error" not in r]
    wrong = [row for row in labelled if row["label"] != _emotion(row)]
    wrong.sort(key=lambda row: (not row.get("image"), -float(row.get("confidence") or 0.0)))
    if not wrong:
        return None
    told = (
        f"The {min(MOST_MISTAKES, len(wrong))} most confident of {len(wrong):,} mistakes on the "
        "test split."
    )
    if "best_accuracy" in values_of(run, "understanding"):
        told += (
            " Some are not mistakes of reading: these pictures were drawn, and now and then one "
            "shows cues of another emotion than its label."
        )
    return {
        "title": "Where it is wrong and sure of it",
        "said": told,
        "n": len(labelled),
        "seed": origin_of(run, "understanding")[1],
        "of": "readings",
        "rows": [reading_of(run, row) for row in wrong[:MOST_MISTAKES]],
        "tail": "",
    }


def test_readings(run: Run) -> Data | None:
    """Return the first readings of the test split, as they come."""
    first = [row for row in run.test if row.get("image") or "error" in row][:MOST_READINGS]
    if not first:
        return None
    return {
        "title": "Readings of the test split",
        "said": f"What the model says of the first {len(first)} test pictures kept here, not "
        "picked.",
        "n": len(run.test),
        "seed": origin_of(run, "understanding")[1],
        "of": "readings in all",
        "rows": [reading_of(run, row) for row in first],
        "tail": "",
    }


def user_readings(run: Run) -> Data | None:
    """Return the readings of the folder the user gave."""
    if not run.user:
        return None
    outside = sum(bool(row.get("outside")) for row in run.user)
    broken = sum("error" in row for row in run.user)
    told = f"What the model says of {len(run.user)} files of yours"
    if outside:
        told += f"; {outside} outside what this preset has seen, so take no emotion from those"
    if broken:
        told += f"; {broken} could not be read"
    more = len(run.user) - MOST_USER
    return {
        "title": "Your pictures",
        "said": f"{told}.",
        "n": None,
        "seed": None,
        "of": "",
        "rows": [reading_of(run, row) for row in run.user[:MOST_USER]],
        "tail": f"{more} more are in readings/user.jsonl." if more > 0 else "",
    }


def _emotion(row: Row) -> str:
    shares: Mapping[str, float] = row["probabilities"]
    return str(row.get("emotion") or max(shares, key=lambda label: shares[label]))


def reading_of(run: Run, row: Row) -> Data:
    """Return one reading as the template shows it."""
    found: Data = {"id": str(row.get("id", "")), "error": row.get("error")}
    if "error" in row:
        return found
    shares: Mapping[str, float] = row["probabilities"]
    likeliest = sorted(shares.items(), key=lambda item: -item[1])[:LIKELIEST]
    return found | {
        "emotion": _emotion(row),
        "confidence": float(row.get("confidence") or max(shares.values())),
        "label": row.get("label"),
        "outside": bool(row.get("outside")),
        "rationale": row.get("rationale"),
        "likeliest": [(label, min(1.0, max(0.0, share))) for label, share in likeliest],
        "picture": shown(run.root, row.get("image"), run.picture_side),
    }
