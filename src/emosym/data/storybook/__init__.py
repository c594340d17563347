"""Storybook: picture-book scenes drawn by this project, a small world with exact answers."""

from __future__ import annotations

from emosym.data.storybook.drawing.draw import STYLES, draw_many, paint_story, stream
from emosym.data.storybook.words import caption_of, questions_of, rationale_of
from emosym.data.storybook.world import (
    ACTIONS,
    CUES,
    FACES,
    LIGHTS,
    OBJECTS,
    SCENES,
    Story,
    attribute_targets,
    draw_story,
    held_out_pair,
    information_table,
    is_held_out,
    posterior_of,
)
from emosym.data.storybook.writer import write_storybook

__all__ = [
    "ACTIONS",
    "CUES",
    "FACES",
    "LIGHTS",
    "OBJECTS",
    "SCENES",
    "STYLES",
    "Story",
    "attribute_targets",
    "caption_of",
    "draw_many",
    "draw_story",
    "held_out_pair",
    "information_table",
    "is_held_out",
    "paint_story",
    "posterior_of",
    "questions_of",
    "rationale_of",
    "stream",
    "write_storybook",
]
