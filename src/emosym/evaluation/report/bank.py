"""What the report shows of the memory bank: how it grew, what was refused, what it holds."""

from __future__ import annotations

from typing import Any

from emosym.evaluation.report import figures
from emosym.evaluation.report.common import space_of
from emosym.evaluation.report.drawing import inline
from emosym.evaluation.report.pictures import shown
from emosym.evaluation.report.words import number, word_of, written
from emosym.evaluation.results.run_folder import Row, Run

MOST_ENTRIES = 16
GROWTH = "One piece of a bar is what a round left in the bank; the newest is darkest."
BEFORE_AFTER = "Pale: before, full: after. Hatched: entries the model painted itself."


def bank(run: Run) -> dict[str, Any] | None:
    """Return the growth of the memory bank, round by round, and its best entries."""
    before, after = run.bank_before, run.bank_after
    if before is None and after is None and not run.rounds:
        return None
    old, new, labels = before or {}, after or {}, space_of(run).labels
    found: dict[str, Any] = {
        "n": sum(int(row["painted"]) for row in run.rounds) if run.rounds else None,
        "seed": run.about.get("seed"),
        "counts": _counts(old, new) if old or new else [],
        "figure": None,
        "entries": [_entry(run, item) for item in (new.get("thumbnails") or [])[:MOST_ENTRIES]],
        **_rounds(run),
    }
    if new.get("per_round"):
        plot, title, note = (
            figures.bank_growth(new["per_round"], labels),
            "Painted entries of each emotion",
            GROWTH,
        )
    elif old or new:
        plot, title, note = (
            figures.bank_sizes(old.get("per_emotion") or {}, new.get("per_emotion") or {}, labels),
            "Entries per emotion",
            BEFORE_AFTER,
        )
    else:
        return found
    return found | {"figure": inline(plot), "figure_title": title, "figure_note": note}


def _counts(old: Row, new: Row) -> list[list[str]]:
    extra: dict[str, Any] = {**(old.get("values") or {}), **(new.get("values") or {})}
    rows = [
        [name.capitalize(), number(old.get(name)), number(new.get(name))]
        for name in ("entries", "real", "generated")
    ]
    for name in extra:
        before, after = ((side.get("values") or {}).get(name) for side in (old, new))
        rows.append([word_of(name).title, written(name, before), written(name, after)])
    return rows


def _rounds(run: Run) -> dict[str, Any]:
    measured: list[str] = []
    for row in run.rounds:
        measured += [name for name in row.get("held_out") or {} if name not in measured]
    rows = []
    for row in run.rounds:
        refused = [f"{count} {_reason(why)}" for why, count in (row.get("refused") or {}).items()]
        held_out = row.get("held_out") or {}
        rows.append(
            [
                "start" if not row["number"] else f"round {row['number']}",
                number(row["painted"]),
                number(row["admitted"]),
                "; ".join(refused) or "none",
                number(row.get("bank")),
                *(written(name, held_out.get(name)) for name in measured),
                "best so far" if row.get("kept") else "not better",
            ]
        )
    head = ["Round", "Painted", "Admitted", "Refused, and why", "In the bank"]
    head += [word_of(name).title for name in measured]
    return {"rounds_head": [*head, "Verdict"], "rounds": rows}


def _reason(why: str) -> str:
    policy = why.removeprefix("not ")
    return why if policy == why else f"not chosen by the policy {policy}"


def _entry(run: Run, item: Row) -> dict[str, Any]:
    score = item.get("score")
    return {
        "emotion": str(item.get("emotion", "")),
        "score": "" if score is None else number(score),
        "origin": item.get("origin"),
        "picture": shown(run.root, item.get("image"), run.picture_side),
    }
