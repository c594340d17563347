"""Pages from the templates beside this file: escaped, self-contained, loading nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from emosym.evaluation.report.palette import CYCLE, ROLES, colour, css_name, places_of
from emosym.evaluation.report.words import number, percent, word_of, written

if TYPE_CHECKING:
    from jinja2 import Environment

ROOM = "emosym.evaluation.report"


def render(template: str, labels: Iterable[str] = (), room: str = ROOM, **context: Any) -> str:
    """Return a template filled in; `labels` are the emotions that the page's colours are for.

    `room` is the package whose templates are looked at first, then come this one's. Text is escaped
    unless it is markup already.
    """
    places = places_of(labels)
    colours = {css_name(label): place for label, place in places.items()}
    settings: Mapping[str, Any] = {"roles": ROLES, "cycle": CYCLE, "colours": colours}
    return _environment(room).get_template(template).render(**settings, **context)


@cache
def _environment(room: str) -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((room, ROOM))]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"percent": percent, "number": number, "colour": colour}
    made.globals |= {"word_of": word_of, "written": written}
    return made
