"""Entries of the memory bank as the page shows them: tiles, one with its provenance, totals."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from emosym.apps.ui.drawing import alike, bars
from emosym.evaluation.report.palette import colour
from emosym.evaluation.report.pictures import shown_frame

if TYPE_CHECKING:
    from emosym.emotions import LabelSpace
    from emosym.memory.schema import BankEntry

TILE = 192
EMPTY = '<div class="empty"><p>{}</p></div>'


def tiles(entries: Sequence[BankEntry], space: LabelSpace) -> str:
    """Return entries as tiles, each a button that shows all of it."""
    if not entries:
        return EMPTY.format("No entry is like that.")
    return f'<div class="tiles">{"".join(_tile(entry, space) for entry in entries)}</div>'


def _tile(entry: BankEntry, space: LabelSpace) -> str:
    read = space.labels[int(entry.probabilities.argmax())]
    picture = shown_frame(entry.image, TILE).data
    other = f' <span class="notice">read as {escape(read)}</span>'
    told = f"Show the entry: asked for {entry.intent}, read as {read}"
    return (
        f'<button type="button" class="tile" data-act="show" data-id="{escape(entry.id)}" '
        f'aria-label="{escape(told)}"><img src="{picture}" alt="" loading="lazy">'
        f'<span class="of" style="--c:{colour(entry.intent)}">{escape(entry.intent)}</span>'
        f'<span class="small">{100 * entry.confidence:.0f} % sure, round '
        f"{entry.provenance.round}{other if read != entry.intent else ''}</span></button>"
    )


def whole(entry: BankEntry, space: LabelSpace, near: Sequence[tuple[BankEntry, float]]) -> str:
    """Return one entry: its picture, its reading, where it came from, what is like it."""
    made = entry.provenance
    shares = dict(zip(space.labels, map(float, entry.probabilities), strict=True))
    weights = dict(zip(space.labels, map(float, entry.intent_weights), strict=True))
    asked = ", ".join(f"{k} {100 * w:.0f} %" for k, w in weights.items() if w >= 0.005)
    rows = {
        "asked for": asked,
        "agreement": f"{entry.agreement:.2f}",
        "informativeness": f"{entry.informativeness:.2f}",
        "prompt": made.prompt,
        "painted": f"run {made.run}, round {made.round}, seed {made.seed}, {made.steps} steps, "
        f"guidance {made.guidance_scale:g}",
        "when": f"{made.created[:10]} {made.created[11:19]} UTC, by emosym {made.version}",
        "model": made.checkpoint[:16],
        "policies": ", ".join(entry.policies) or "none",
        "id": entry.id,
    }
    listed = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows.items())
    others = [(e, cosine) for e, cosine in near if e.id != entry.id]
    figures = "".join(
        f'<figure><img src="{shown_frame(e.image, 128).data}" alt=""><figcaption>'
        f"{escape(e.intent)}, {alike(cosine)}</figcaption></figure>"
        for e, cosine in others
    )
    like = f'<div class="near"><h3>Like it in the bank</h3><div>{figures}</div></div>'
    full = f"data:image/png;base64,{base64.b64encode(entry.image).decode()}"
    return (
        f'<article class="card reading"><img class="subject" src="{full}" '
        f'alt="A painting of {escape(entry.intent)}"><div class="said">'
        f'<h2 style="--c:{colour(entry.intent)}"><span class="emotion">{escape(entry.intent)}'
        f'</span> <span class="sure">was asked for; it was read as</span></h2>{bars(shares)}</div>'
        f"<dl>{listed}</dl>{like if others else ''}</article>"
    )


def counted(number: int) -> str:
    """Return '1 entry' or '8 entries'."""
    return f"{number:,} {'entry' if number == 1 else 'entries'}"


def totals(found: Mapping[str, Any]) -> str:
    """Return a bank's counts and means by emotion as a table; `found` is of `Bank.stats`."""
    rows = []
    for name, row in found["emotions"].items():
        means = (row["confidence"], row["agreement"], row["informativeness"])
        cells = "".join("<td>–</td>" if v is None else f"<td>{v:.2f}</td>" for v in means)
        dot = f'<span class="dot" style="--c:{colour(name)}" aria-hidden="true"></span>'
        rows.append(
            f'<tr><th scope="row">{dot}{escape(name)}</th><td>{row["count"]}</td>{cells}</tr>'
        )
    names = ("emotion", "entries", "confidence", "agreement", "informative")
    heads = "".join(f'<th scope="col">{name}</th>' for name in names)
    size = max(found["bytes"] / 2**20, 0.1)
    told = f"{counted(found['entries'])} in {found['label_space']}, {size:.1f} MiB on disk"
    return (
        f'<details class="totals"><summary>{escape(told)}</summary><div class="scroll" '
        f'tabindex="0" role="region" aria-label="The bank by emotion">'
        f'<table class="readings"><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody>'
        "</table></div></details>"
    )
