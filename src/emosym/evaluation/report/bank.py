"""The report's section on the memory bank: how it grew, what was refused, what it holds."""

from __future__ import annotations

from typing import Any

from emosym.evaluation.report import plots_bank
from emosym.evaluation.report.common import space_of
from emosym.evaluation.report.html import card, dot, number, picture, said, table, text
from emosym.evaluation.report.words import word_of, written
from emosym.evaluation.results.run_folder import Row, Run

MOST_ENTRIES = 16
GROWTH = "One piece of a bar is what a round left in the bank; the newest is darkest."
BEFORE_AFTER = "Pale: before, full: after. Hatched: entries the model painted itself."


def bank(run: Run) -> str:
    """Growth of the memory bank in the feedback stage, round by round, and its best entries."""
    before, after = run.bank_before, run.bank_after
    if before is None and after is None and not run.rounds:
        return ""
    old, new = before or {}, after or {}
    cards: list[str] = []
    if new.get("per_round"):
        svg = plots_bank.growth_svg(new["per_round"], space_of(run).labels)
        cards.append(card("Painted entries of each emotion", svg, GROWTH))
    elif old or new:
        counts = (old.get("per_emotion") or {}, new.get("per_emotion") or {})
        svg = plots_bank.bank_svg(*counts, space_of(run).labels)
        cards.append(card("Entries per emotion", svg, BEFORE_AFTER))
    if old or new:
        cards.append(card("In numbers", _counts(old, new)))
    told = (
        "What the model keeps to learn from: real pictures, and paintings of its own that passed "
        "selection; here is what each round added, and what it refused and why."
    )
    painted = sum(int(row["painted"]) for row in run.rounds) if run.rounds else None
    opening = said(told, painted, run.about.get("seed"), "paintings offered to it")
    pair = f'<div class="pair">{"".join(cards)}</div>' if cards else ""
    return f"<h2>The memory bank</h2>{opening}{pair}{_rounds(run)}{_entries(run, new)}"


def _counts(old: Row, new: Row) -> str:
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
    return table(["", "Before", "After"], rows)


def _rounds(run: Run) -> str:
    if not run.rounds:
        return ""
    measured: list[str] = []
    for row in run.rounds:
        measured += [name for name in row.get("held_out") or {} if name not in measured]
    rows = []
    for row in run.rounds:
        refused = [f"{count} {_reason(why)}" for why, count in (row.get("refused") or {}).items()]
        held_out = row.get("held_out") or {}
        rows.append(
            [
                text("start" if not row["number"] else f"round {row['number']}"),
                number(row["painted"]),
                number(row["admitted"]),
                text("; ".join(refused) or "none"),
                number(row.get("bank")),
                *(text(written(name, held_out.get(name))) for name in measured),
                "best so far" if row.get("kept") else "not better",
            ]
        )
    head = ["Round", "Painted", "Admitted", "Refused, and why", "In the bank"]
    head += [word_of(name).title for name in measured]
    kept = (
        "Measured on held-out real pictures after each round; the last round that was best so far "
        "is the model that is kept."
    )
    shown = table([*head, "Verdict"], rows, numeric=False)
    return f'<h3 class="next">Round by round</h3>{shown}<p class="small">{kept}</p>'


def _reason(why: str) -> str:
    policy = why.removeprefix("not ")
    return why if policy == why else f"not chosen by the policy {policy}"


def _entries(run: Run, new: Row) -> str:
    figures = []
    for item in (new.get("thumbnails") or [])[:MOST_ENTRIES]:
        emotion = str(item.get("emotion", ""))
        score = item.get("score")
        kept = "" if score is None else f" {number(score)}"
        origin = f"<br>{text(item['origin'])}" if item.get("origin") else ""
        shown = picture(
            run.root, item.get("image"), f"bank entry painted for {emotion}", run.picture_side
        )
        figures.append(
            f"<figure>{shown}<figcaption>{dot(emotion)}{text(emotion)}{kept}{origin}</figcaption>"
            "</figure>"
        )
    if not figures:
        return ""
    sheet = f'<div class="sheet">{"".join(figures)}</div>'
    note = "The surest of each emotion, with the share the model gave it."
    return f'<h3 class="next">What it holds now</h3><p class="small">{note}</p>{sheet}'
