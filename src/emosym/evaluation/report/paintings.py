"""The report's sections on painting: the hero strip and the contact sheet with readings."""

from __future__ import annotations

from emosym.evaluation.report import plots
from emosym.evaluation.report.common import PAINT_TABLE, meaning_table, origin_of, values_of
from emosym.evaluation.report.html import dot, mark, percent, picture, said, text
from emosym.evaluation.results.run_folder import Row, Run

MOST_PAINTINGS = 24


def hero(run: Run) -> str:
    """One painting per emotion: the one the model itself is surest of."""
    best: dict[str, Row] = {}
    for row in run.paintings:
        asked = str(row["asked"])
        if asked not in best or _own_share(row) > _own_share(best[asked]):
            best[asked] = row
    figures = "".join(
        f"<figure>{_shown(run, row)}"
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
    told = (
        "Every painting in the order it was made, none picked. Below each: what the model itself "
        "reads in it, then a tick or cross for each independent judge."
    )
    _, seed = origin_of(run, "paintings")
    opening = said(told, len(run.paintings), seed, "paintings")
    return f"<h2>What it painted</h2>{opening}{''.join(blocks)}{measured}"


def _shown(run: Run, row: Row) -> str:
    alt = f"painted to evoke {row['asked']}"
    if _said(row):
        alt += f", read as {_said(row)}"
    return picture(run.root, row["image"], alt, run.picture_side)


def _said(row: Row) -> str:
    return str((row.get("reading") or {}).get("emotion", ""))


def _painting(run: Run, row: Row) -> str:
    asked, said = str(row["asked"]), _said(row)
    shares = (row.get("reading") or {}).get("probabilities") or {}
    share = percent(shares[said], 0) if said in shares else ""
    cls = "yes" if said == asked else "no"
    own = f'<span class="{cls}">{text(said)}</span>' if said else ""
    judged = " ".join(
        f'<span title="{text(name)} says {text(v)}">{mark(v == asked)}</span>'
        for name, v in sorted((row.get("judges") or {}).items())
    )
    return f"<figure>{_shown(run, row)}<figcaption>{own}<br>{share} {judged}</figcaption></figure>"
