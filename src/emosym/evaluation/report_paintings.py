"""The report's sections on painting: the hero strip, every painting, the memory bank."""

from __future__ import annotations

from typing import Any

from emosym.evaluation import plots
from emosym.evaluation.report_common import PAINT_TABLE, meaning_table, space_of, values_of
from emosym.evaluation.report_html import card, dot, mark, number, percent, picture, table, text
from emosym.evaluation.report_words import word_of, written
from emosym.evaluation.run_folder import Row, Run

MOST_PAINTINGS = 24
MOST_ENTRIES = 16


def hero(run: Run) -> str:
    """One painting per emotion: the one the model itself is surest of."""
    best: dict[str, Row] = {}
    for row in run.paintings:
        asked = str(row["asked"])
        if asked not in best or _own_share(row) > _own_share(best[asked]):
            best[asked] = row
    figures = "".join(
        f"<figure>{picture(run.root, row['image'], f'painted to evoke {asked}')}"
        f'<figcaption style="color:{plots.colour(asked)}">{text(asked)}</figcaption></figure>'
        for asked, row in best.items()
    )
    if not figures:
        return ""
    note = "Of each emotion the painting the model itself is surest of; below, none is picked."
    return f'<div class="hero">{figures}</div><p class="small">{note}</p>'


def _own_share(row: Row) -> float:
    shares = (row.get("reading") or {}).get("probabilities") or {}
    return float(shares.get(row["asked"], 0.0))


def paintings(run: Run) -> str:
    """Every painting with what the model and the judges read in it, emotion by emotion."""
    if not run.paintings:
        return ""
    groups: dict[str, list[Row]] = {}
    for row in run.paintings:
        groups.setdefault(str(row["asked"]), []).append(row)
    blocks = []
    for asked, rows in groups.items():
        own = sum(_said(row) == asked for row in rows)
        tallies = [f"its own reading agrees on {own} of {len(rows)}"]
        judges: list[str] = sorted({name for row in rows for name in row.get("judges") or {}})
        for name in judges:
            agreed = sum((row.get("judges") or {}).get(name) == asked for row in rows)
            tallies.append(f"{name} on {agreed}")
        sheet = "".join(_painting(run, row) for row in rows[:MOST_PAINTINGS])
        more = len(rows) - MOST_PAINTINGS
        tail = f'<p class="small">{more} more are in the run folder.</p>' if more > 0 else ""
        blocks.append(
            f'<div class="emotion"><h3>{dot(asked)}{text(asked)}</h3>'
            f'<span class="small">{text(", ".join(tallies))}</span></div>'
            f'<div class="sheet">{sheet}</div>{tail}'
        )
    measured = meaning_table(values_of(run, "paintings"), PAINT_TABLE)
    return (
        f"<h2>What it painted</h2><p>{len(run.paintings)} paintings in the order they were made, "
        "none picked. Below each: what the model itself reads in it, then a tick or cross "
        f"for each independent judge.</p>{''.join(blocks)}{measured}"
    )


def _said(row: Row) -> str:
    return str((row.get("reading") or {}).get("emotion", ""))


def _painting(run: Run, row: Row) -> str:
    asked, said = str(row["asked"]), _said(row)
    shares = (row.get("reading") or {}).get("probabilities") or {}
    share = percent(shares[said], 0) if said in shares else ""
    cls = "yes" if said == asked else "no"
    own = f'<span class="{cls}">{text(said)}</span>' if said else ""
    judged = " ".join(mark(v == asked) for _, v in sorted((row.get("judges") or {}).items()))
    return (
        f"<figure>{picture(run.root, row['image'], f'painted to evoke {asked}')}"
        f"<figcaption>{own}<br>{share} {judged}</figcaption></figure>"
    )


def bank(run: Run) -> str:
    """The memory bank before and after the feedback stage."""
    before, after = run.bank_before, run.bank_after
    if before is None and after is None:
        return ""
    old, new = before or {}, after or {}
    svg = plots.bank_svg(
        old.get("per_emotion") or {}, new.get("per_emotion") or {}, space_of(run).labels
    )
    note = "Pale: before, full: after. Hatched: entries the model painted itself."
    names = ["entries", "real", "generated"]
    extra: dict[str, Any] = {**(old.get("values") or {}), **(new.get("values") or {})}
    rows = [
        [text(name.capitalize()), number(old.get(name)), number(new.get(name))] for name in names
    ]
    rows += [
        [
            text(word_of(name).title),
            *(text(written(name, (side.get("values") or {}).get(name))) for side in (old, new)),
        ]
        for name in extra
    ]
    figures = []
    for item in (new.get("thumbnails") or [])[:MOST_ENTRIES]:
        emotion = str(item.get("emotion", ""))
        score = item.get("score")
        kept = "" if score is None else f" {number(score)}"
        origin = f"<br>{text(item['origin'])}" if item.get("origin") else ""
        figures.append(
            f"<figure>{picture(run.root, item.get('image'), f'bank entry, {emotion}')}"
            f"<figcaption>{dot(emotion)}{text(emotion)}{kept}{origin}</figcaption></figure>"
        )
    sheet = f'<div class="sheet">{"".join(figures)}</div>' if figures else ""
    shown = "<h3>What it holds now</h3>" if figures else ""
    tables = card("In numbers", table(["", "Before", "After"], rows))
    return (
        "<h2>The memory bank</h2><p>What the model keeps to learn from: real pictures, and "
        "paintings of its own that passed selection.</p>"
        f'<div class="pair">{card("Entries per emotion", svg, note)}{tables}</div>{shown}{sheet}'
    )
