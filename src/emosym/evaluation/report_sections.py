"""The report's sections on reading: each takes a run and returns HTML, "" if it has nothing."""

from __future__ import annotations

from emosym.evaluation import plots
from emosym.evaluation.report_common import READ_TABLE, meaning_table, space_of, values_of
from emosym.evaluation.report_html import card, percent, reading, table, text, tile
from emosym.evaluation.report_words import word_of, written
from emosym.evaluation.run_folder import Row, Run

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
    names: list[str] = []
    for row in run.stages:
        names += [name for name in row.get("metrics", {}) if name not in names]
    rows = []
    for row in run.stages:
        note = f'<div class="small">{text(row["note"])}</div>' if row.get("note") else ""
        cells = [text(written(name, row.get("metrics", {}).get(name))) for name in names]
        minutes = row.get("minutes")
        spent = "–" if minutes is None else f"{float(minutes):.1f}"
        rows.append([f"<b>{text(row['stage'])}</b>{note}", spent, *cells])
    total = sum(float(row.get("minutes") or 0) for row in run.stages)
    head = ["Stage", "Minutes", *[word_of(name).title for name in names]]
    return (
        "<h2>How it got there</h2>"
        f"<p>{len(run.stages)} parts in {total:.1f} minutes; a training stage's figures are on "
        f"validation pictures when it was done.</p>{table(head, rows)}"
    )


def reading_quality(run: Run) -> str:
    """Confusion matrix, reliability diagram and every reading metric."""
    values = values_of(run, "understanding")
    if not values:
        return ""
    result = run.results.get("understanding")
    count = result["n"] if result else sum(map(sum, values["confusion"]))
    cards = []
    if "confusion" in values:
        svg = plots.confusion_svg(space_of(run).labels, values["confusion"])
        note = "Rows: what the label says. Columns: what was read. Percent of each row."
        cards.append(card("What is taken for what", svg, note))
    if "reliability_count" in values:
        drawn = [values[f"reliability_{k}"] for k in ("count", "confidence", "accuracy")]
        svg = plots.reliability_svg(*drawn)
        note = (
            "Bars on the dashed line keep their word: of readings that say 80 percent, "
            "80 percent come true. Red is the gap; the grey bars below count the readings."
        )
        cards.append(card("Whether confidence can be believed", svg, note))
    return (
        f"<h2>How well it reads</h2><p>{count:,} held-out pictures that no stage trained on.</p>"
        f'<div class="pair">{"".join(cards)}</div>{meaning_table(values, READ_TABLE)}'
    )


def emotion_space(run: Run) -> str:
    """The 2-D map of emotion latents."""
    if not run.space or not run.space.get("points"):
        return ""
    svg = plots.space_svg(run.space["points"], space_of(run).labels)
    painted = any(point[3] == "painted" for point in run.space["points"])
    rings = " Rings are paintings, read by the same model." if painted else ""
    note = f"{run.space.get('note', '')} Each dot is the emotion latent of a real picture.{rings}"
    return f"<h2>The emotion space</h2>{card('Where the model puts pictures', svg, note)}"


def mistakes(run: Run) -> str:
    """The readings that were wrong and sure of it, pictures first."""
    wrong = [r for r in run.test if r.get("label") and "error" not in r and _wrong(r)]
    wrong.sort(key=lambda row: (not row.get("image"), -float(row.get("confidence") or 0.0)))
    if not wrong:
        return ""
    cards = "".join(reading(run.root, row) for row in wrong[:MOST_MISTAKES])
    return (
        "<h2>Where it is wrong and sure of it</h2><p>The most confident mistakes on the test "
        "split. In a drawn world some are not mistakes of reading: now and then a picture shows "
        f'cues of another emotion than its label.</p><div class="readings">{cards}</div>'
    )


def _wrong(row: Row) -> bool:
    shares = row["probabilities"]
    return bool(row["label"] != (row.get("emotion") or max(shares, key=lambda k: shares[k])))


def test_readings(run: Run) -> str:
    """The first readings of the test split, as they come."""
    shown = [row for row in run.test if row.get("image") or "error" in row][:MOST_READINGS]
    if not shown:
        return ""
    cards = "".join(reading(run.root, row) for row in shown)
    return (
        f"<h2>Readings of the test split</h2><p>The first {len(shown)} with a picture, not picked."
        f'</p><div class="readings">{cards}</div>'
    )


def user_readings(run: Run) -> str:
    """The readings of the folder the user gave."""
    if not run.user:
        return ""
    outside = sum(bool(row.get("outside")) for row in run.user)
    broken = sum("error" in row for row in run.user)
    told = f"{len(run.user)} files"
    if outside:
        told += f"; {outside} outside what this preset has seen, so take no emotion from those"
    if broken:
        told += f"; {broken} could not be read"
    cards = "".join(reading(run.root, row) for row in run.user[:MOST_USER])
    more = len(run.user) - MOST_USER
    tail = f'<p class="small">{more} more are in readings/user.jsonl.</p>' if more > 0 else ""
    return f'<h2>Your pictures</h2><p>{text(told)}.</p><div class="readings">{cards}</div>{tail}'
