"""Paintings as cards: the picture, what is read in it, and buttons to keep it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emosym.apps.ui.drawing import bars
from emosym.evaluation.report.palette import colour
from emosym.evaluation.report.pictures import shown_frame
from emosym.service.gallery import title_of
from emosym.service.sheet import caption

if TYPE_CHECKING:
    from emosym.pipelines.requests import PaintRequest
    from emosym.service.gallery import Painting
    from emosym.types import GenerationOutput

SIDE = 512
BARS = 3
EMPTY = (
    '<div class="empty"><p>Paintings will be shown here, each with what the model reads in it.'
    "</p></div>"
)


@dataclass(frozen=True, slots=True)
class Made:
    """One painting of the page: in the folder as the shell writes it, and as it was painted."""

    painting: Painting
    output: GenerationOutput
    picture: str
    kept: str = ""
    """The id of the bank's entry, or ""."""


def made_of(painting: Painting, output: GenerationOutput) -> Made:
    """Return a painting ready for the page."""
    return Made(painting, output, shown_frame(painting.image, SIDE).data)


def cards(made: Sequence[Made]) -> str:
    """Return paintings as cards."""
    if not made:
        return EMPTY
    return f'<div class="paintings">{"".join(map(_card, range(1, len(made) + 1), made))}</div>'


def _card(number: int, one: Made) -> str:
    reading = one.painting.reading
    told = f"Painting {number}"
    if one.painting.withheld:
        said = '<p class="notice">withheld by the safety checker</p>'
    elif reading is None:
        said = '<p class="small">not read</p>'
    else:
        above, _ = caption(reading)
        top = max(reading["probabilities"], key=reading["probabilities"].get)
        told = f"Painting {number}, read as {above}"
        said = (
            f'<p class="as" style="--c:{colour(top)}">{escape(above).replace(" %", "&nbsp;%")}</p>'
        )
        said += bars(reading["probabilities"], BARS, rest=False)
    keep = (
        '<p class="kept">kept in the bank</p>'
        if one.kept
        else f'<button type="button" class="keep" data-act="keep" data-place="{number - 1}" '
        f'aria-label="Keep painting {number} in the bank">Keep in bank</button>'
    )
    if reading is None or one.painting.withheld:
        keep = ""
    command = escape(str(one.painting.record["repaint"]))
    return (
        f'<figure class="card painting"><img src="{one.picture}" alt="{escape(told)}">'
        f"<figcaption>{said}{keep}<details><summary>in the shell</summary><code>{command}</code>"
        "</details></figcaption></figure>"
    )


def asked_for(request: PaintRequest) -> str:
    """Return what was asked for, in a line."""
    return title_of(request.asked, request.prompt)


def archive_name(request: PaintRequest) -> str:
    """Return the name of the archive of a request's paintings."""
    asked: Any = request.asked.get("emotion", "paintings")
    name = asked if isinstance(asked, str) else "paintings"
    return Path(f"{name}-seed{request.seed}.zip").name
