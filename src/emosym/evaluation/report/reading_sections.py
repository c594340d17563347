"""The report's sections on reading: each takes a run and returns HTML, "" if it has nothing."""

from __future__ import annotations

from collections.abc import Sequence

from emosym.evaluation.report import plots
from emosym.evaluation.report.common import (
    READ_TABLE,
    meaning_table,
    origin_of,
    raw_values_of,
    space_of,
    values_of,
)
from emosym.evaluation.report.html import card, percent, reading, said, table, text, tile
from emosym.evaluation.report.words import word_of, written
from emosym.evaluation.results.run_folder import Row, Run

MOST_READINGS = 12
MOST_MISTAKES = 8
MOST_USER = 60


def tiles(run: Run) -> str:
    """The key figures, each with its bar and what bounds it."""
    read, paint = values_of(run, "understanding"), values_of(run, "paintings")
    made: list[str] = []
    if "accuracy" in read:
        best = read.get("best_accuracy")
        low, high = read.get("accuracy_interval") or (None, None)
        note = "" if low is None else f"95 % interval {percent(low)} to {percent(high)}. "
        note += "" if best is None else f"The line marks the best achievable, {percent(best)}."
        title = "Pictures read right"
        made.append(tile(title, percent(read["accuracy"]), note, read["accuracy"], best))
    if "ece" in read:
        note = "Mean gap between how sure a reading says it is and how often it is right."
        made.append(tile("Calibration error", percent(read["ece"]), note))
    for letter in "ab":
        value = paint.get(f"emo_a_judge_{letter}")
        if value is not None:
            real = paint.get(f"emo_a_judge_{letter}_of_real")
            note = "Paintings an independent judge reads as asked. "
            note += (
                "" if real is None else f"The line: the judge on real pictures, {percent(real)}."
            )
            made.append(tile(f"Emo-A, judge {letter}", percent(value), note, value, real))
    for name in ("coverage", "fidelity_relative"):
        if paint.get(name) is not None:
            best = paint.get("coverage_of_real") if name == "coverage" else None
            word = word_of(name)
            meaning = word.meaning[0].upper() + word.meaning[1:]
            made.append(tile(word.title, percent(paint[name]), meaning, paint[name], best))
    return f'<div class="tiles">{"".join(made)}</div>' if made else ""


def stages(run: Run) -> str:
    """What each stage took and where it left the model."""
    if not run.stages:
        return ""
    total = sum(float(row.get("minutes") or 0) for row in run.stages)
    told = (
        f"{len(run.stages)} parts in {total:.1f} minutes; a training stage's figures are on "
        "validation pictures when it was done, the last row's on the test pictures."
    )
    opening = said(told, seed=run.about.get("seed"))
    return f"<h2>How it got there</h2>{opening}{stage_table([run])}"


def stage_table(runs: Sequence[Run]) -> str:
    """Return the stages of one run, or of several: the same stage of each run side by side."""
    names: list[str] = []
    order: list[str] = []
    for row in (row for run in runs for row in run.stages):
        names += [name for name in row.get("metrics", {}) if name not in names]
        order += [row["stage"]] if row["stage"] not in order else []
    rows = []
    for stage in order:
        for run in runs:
            rows += [
                _stage_row(row, names, run.title if len(runs) > 1 else None)
                for row in run.stages
                if row["stage"] == stage
            ]
    head = ["Stage", *(["Run"] if len(runs) > 1 else []), "Minutes"]
    return table([*head, *[word_of(name).title for name in names]], rows)


def _stage_row(row: Row, names: Sequence[str], title: str | None) -> list[str]:
    note = f'<div class="small">{text(row["note"])}</div>' if row.get("note") else ""
    minutes = row.get("minutes")
    spent = "–" if minutes is None else f"{float(minutes):.1f}"
    cells = [text(written(name, row.get("metrics", {}).get(name))) for name in names]
    of = [] if title is None else [text(title)]
    return [f"<b>{text(row['stage'])}</b>{note}", *of, spent, *cells]


def reading_quality(run: Run) -> str:
    """Confusion matrix and every reading metric."""
    values = values_of(run, "understanding")
    if not values:
        return ""
    cards = []
    if "confusion" in values:
        svg = plots.confusion_svg(space_of(run).labels, values["confusion"])
        note = "Rows: what the label says. Columns: what was read. Percent of each row."
        cards.append(card("What is taken for what", svg, note))
    measures = meaning_table(values, READ_TABLE)
    if measures:
        cards.append(card("In numbers", measures))
    told = "What the model reads in held-out pictures that no stage trained on."
    opening = said(told, *origin_of(run, "understanding"))
    return f'<h2>How well it reads</h2>{opening}<div class="pair">{"".join(cards)}</div>'


def calibration(run: Run) -> str:
    """Reliability diagrams, raw and calibrated side by side."""
    values, raw = values_of(run, "understanding"), raw_values_of(run)
    if "reliability_count" not in values:
        return ""
    sides = [("As the head says it (raw)", raw)] if raw else []
    sides.append(("As it is stated (calibrated)", values))
    cards = []
    for title, found in sides:
        count, sure, right = (
            found[f"reliability_{key}"] for key in ("count", "confidence", "accuracy")
        )
        svg = plots.reliability_svg(count, sure, right, f"Reliability, {title.lower()}")
        cards.append(card(title, svg))
    names = [n for n in ("ece", "brier_multiclass", "nll", "roc_auc") if values.get(n) is not None]
    rows = [
        [
            text(word_of(name).title),
            *(text(written(name, found.get(name))) for _, found in sides),
            f'<span class="small">{text(word_of(name).meaning)}</span>',
        ]
        for name in names
    ]
    head = ["Measure", *(["Raw"] if raw else []), "Calibrated", "What it says"]
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
    opening = said(told, *origin_of(run, "understanding"))
    return (
        f'<h2>Whether confidence can be believed</h2>{opening}<div class="pair">{"".join(cards)}'
        f'</div><p class="small">{text(note)}</p>{table(head, rows, numeric=False)}'
    )


def emotion_space(run: Run) -> str:
    """The 2-D map of emotion latents and of the Gaussians that painting samples from."""
    if not run.space or not run.space.get("points"):
        return ""
    points, gaussians = run.space["points"], run.space.get("gaussians") or []
    svg = plots.space_svg(points, space_of(run).labels, gaussians)
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
        shown = sum(point[3] == kind for point in points)
        if counts.get(kind, shown) > shown:
            parts.append(f"{shown:,} of {counts[kind]:,} {what} are drawn, evenly picked.")
    told = "Where the model puts pictures by the emotion they evoke, flattened to two dimensions."
    _, seed = origin_of(run, "understanding")
    opening = said(told, len(points), seed, "points")
    return f"<h2>The emotion space</h2>{opening}{card('Emotion latents', svg, ' '.join(parts))}"


def mistakes(run: Run) -> str:
    """The readings that were wrong and sure of it, pictures first."""
    labelled = [r for r in run.test if r.get("label") and "error" not in r]
    wrong = [row for row in labelled if _wrong(row)]
    wrong.sort(key=lambda row: (not row.get("image"), -float(row.get("confidence") or 0.0)))
    if not wrong:
        return ""
    cards = "".join(reading(run.root, row, run.picture_side) for row in wrong[:MOST_MISTAKES])
    told = (
        f"The {min(MOST_MISTAKES, len(wrong))} most confident of {len(wrong):,} mistakes on the "
        "test split. In a drawn world some are not mistakes of reading: now and then a picture "
        "shows cues of another emotion than its label."
    )
    opening = said(told, len(labelled), origin_of(run, "understanding")[1], "readings")
    return f'<h2>Where it is wrong and sure of it</h2>{opening}<div class="readings">{cards}</div>'


def _wrong(row: Row) -> bool:
    shares = row["probabilities"]
    return bool(row["label"] != (row.get("emotion") or max(shares, key=lambda k: shares[k])))


def test_readings(run: Run) -> str:
    """The first readings of the test split, as they come."""
    shown = [row for row in run.test if row.get("image") or "error" in row][:MOST_READINGS]
    if not shown:
        return ""
    cards = "".join(reading(run.root, row, run.picture_side) for row in shown)
    told = f"What the model says of the first {len(shown)} test pictures kept here, not picked."
    opening = said(told, len(run.test), origin_of(run, "understanding")[1], "readings in all")
    return f'<h2>Readings of the test split</h2>{opening}<div class="readings">{cards}</div>'


def user_readings(run: Run) -> str:
    """The readings of the folder the user gave."""
    if not run.user:
        return ""
    outside = sum(bool(row.get("outside")) for row in run.user)
    broken = sum("error" in row for row in run.user)
    told = f"What the model says of {len(run.user)} files of yours"
    if outside:
        told += f"; {outside} outside what this preset has seen, so take no emotion from those"
    if broken:
        told += f"; {broken} could not be read"
    cards = "".join(reading(run.root, row, run.picture_side) for row in run.user[:MOST_USER])
    more = len(run.user) - MOST_USER
    tail = f'<p class="small">{more} more are in readings/user.jsonl.</p>' if more > 0 else ""
    return f'<h2>Your pictures</h2><p>{text(told)}.</p><div class="readings">{cards}</div>{tail}'
