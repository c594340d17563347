"""The levels of the storybook world: what is drawn, said and known of a picture of each.

All levels share scenes, lights, objects, faces and actions, and so the painters of pictures, the
captions, and whatever judges attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emosym.data.storybook.appraisal.tales import (
    draw_tale_story,
    steps_of_tale,
    tale_of,
    tale_posterior_of,
    tale_rationale_of,
)
from emosym.data.storybook.appraisal.words import appraisal_rationale_of, appraisal_sentences
from emosym.data.storybook.appraisal.world import (
    appraisal_posterior_of,
    draw_appraisal_story,
    in_missing_cell,
    shown_bits,
)
from emosym.data.storybook.words import rationale_of
from emosym.data.storybook.world import Story, draw_story, is_held_out, posterior_of
from emosym.errors import UsageError, unknown_name
from emosym.files import read_json

CUES_LEVEL = "cues"
REQUEST_FILE = "storybook.json"


@dataclass(frozen=True, slots=True)
class Level:
    """A kind of storybook.

    `draw(seed, index, split)` gives a story, `posterior` its exact emotions (8,), `more` what its
    annotation says beside what pictures of every level have.
    """

    draw: Callable[[int, int, str], Story]
    rationale: Callable[[Story], str]
    posterior: Callable[[Story], np.ndarray]
    held_out: Callable[[Story], bool]
    more: Callable[[Story], dict[str, Any]]


def _more_of_appraisal(story: Story) -> dict[str, Any]:
    return {"shown_state": list(shown_bits(story)), "steps": list(appraisal_sentences(story))}


def _more_of_tale(story: Story) -> dict[str, Any]:
    tale = tale_of(story)
    told = {"text": " ".join(tale.sentences)} if tale.sentences else {}
    return {
        **told,
        "tale": list(tale.sentences),
        "states": [list(bits) for bits in tale.states],
        "shown_states": [list(bits) for bits in tale.shown],
        "steps": list(steps_of_tale(story)),
    }


LEVELS: dict[str, Level] = {
    CUES_LEVEL: Level(draw_story, rationale_of, posterior_of, is_held_out, lambda _: {}),
    "appraisal": Level(
        draw_appraisal_story,
        appraisal_rationale_of,
        appraisal_posterior_of,
        in_missing_cell,
        _more_of_appraisal,
    ),
    "tales": Level(
        draw_tale_story, tale_rationale_of, tale_posterior_of, in_missing_cell, _more_of_tale
    ),
}


def level_named(name: str) -> Level:
    """Return a level by its name.

    Raises:
        UsageError: for an unknown one; names the nearest.
    """
    if name not in LEVELS:
        raise unknown_name("storybook level", name, LEVELS)
    return LEVELS[name]


def level_of_folder(root: Path) -> str | None:
    """Return the level of the storybook in a folder; None where there is no storybook's request.

    Raises:
        UsageError: when its request names a level that this version does not know.
    """
    if not (root / REQUEST_FILE).is_file():
        return None
    found = read_json(root / REQUEST_FILE, "storybook request")
    name = found.get("level", CUES_LEVEL) if isinstance(found, dict) else None
    if not isinstance(name, str):
        raise UsageError(f"{root / REQUEST_FILE} names no level of a storybook. Draw it again.")
    level_named(name)
    return name


def require_level(root: Path, level: str) -> None:
    """Refuse a folder whose storybook is of another level.

    Raises:
        UsageError: names both, and the command that draws the one that is wanted.
    """
    level_named(level)
    found = level_of_folder(root)
    if found != level:
        held = "no storybook" if found is None else f"a storybook of the level {found!r}"
        raise UsageError(
            f"{root} holds {held}, and the recipe asks for the level {level!r}: draw it with "
            f"`emosym data storybook FOLDER --level {level}`."
        )
