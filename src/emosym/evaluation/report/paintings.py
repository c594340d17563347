"""What the report shows of paintings: the strip on top, and every painting with its readings."""

from __future__ import annotations

from typing import Any

from emosym.evaluation.report.common import PAINT_TABLE, origin_of, values_of
from emosym.evaluation.report.pictures import shown
from emosym.evaluation.report.words import percent
from emosym.evaluation.results.run_folder import Row, Run

MOST_PAINTINGS = 24


def hero(run: Run) -> list[dict[str, Any]]:
    """Return one painting per emotion: the one the model itself is surest of."""
    best: dict[str, Row] = {}
    for row in run.paintings:
        asked = str(row["asked"])
        if asked not in best or _own_share(row) > _own_share(best[asked]):
            best[asked] = row
    return [_painting(run, row) for row in best.values()]


def _own_share(row: Row) -> float:
    shares = (row.get("reading") or {}).get("probabilities") or {}
    return float(shares.get(row["asked"], 0.0))


def paintings(run: Run) -> dict[str, Any] | None:
    """Return every painting with what the model and the judges read in it, by emotion."""
    if not run.paintings:
        return None
    groups: dict[str, list[Row]] = {}
    for row in run.paintings:
        groups.setdefault(str(row["asked"]), []).append(row)
    blocks = []
    for asked, rows in groups.items():
        own = sum(_said(row) == asked for row in rows)
        tallies = [f"its own reading agrees on {own} of {len(rows)}"]
        for name in sorted({name for row in rows for name in row.get("judges") or {}}):
            agreed = sum((row.get("judges") or {}).get(name) == asked for row in rows)
            tallies.append(f"{name} on {agreed}")
        blocks.append(
            {
                "asked": asked,
                "tally": ", ".join(tallies),
                "shown": [_painting(run, row) for row in rows[:MOST_PAINTINGS]],
                "more": len(rows) - MOST_PAINTINGS,
            }
        )
    return {
        "n": len(run.paintings),
        "seed": origin_of(run, "paintings")[1],
        "groups": blocks,
        "measured": values_of(run, "paintings"),
        "metrics": PAINT_TABLE,
    }


def _said(row: Row) -> str:
    return str((row.get("reading") or {}).get("emotion", ""))


def _painting(run: Run, row: Row) -> dict[str, Any]:
    asked, said = str(row["asked"]), _said(row)
    shares = (row.get("reading") or {}).get("probabilities") or {}
    alt = f"painted to evoke {asked}" + (f", read as {said}" if said else "")
    return {
        "asked": asked,
        "said": said,
        "share": percent(shares[said], 0) if said in shares else "",
        "judges": sorted((row.get("judges") or {}).items()),
        "alt": alt,
        "picture": shown(run.root, row["image"], run.picture_side),
    }
