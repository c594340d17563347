"""Stories and their pictures, in a style, one or many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count as count_up
from typing import Any

import numpy as np
from PIL import Image

from emosym.data.storybook.drawing.line import paint_line_array
from emosym.data.storybook.drawing.render import check_size, paint_array
from emosym.data.storybook.levels import CUES_LEVEL, level_named
from emosym.data.storybook.pool import run_pieces
from emosym.data.storybook.world import Story, draw_story
from emosym.errors import UsageError, unknown_name

PICTURE = "picture"
STYLES: dict[str, Callable[[Story, int], np.ndarray]] = {
    PICTURE: paint_array,
    "line": paint_line_array,
}
CHUNK = 64  # pictures a worker draws at a time


def painter_of(style: str) -> Callable[[Story, int], np.ndarray]:
    """Return the function (story, size) -> (size, size, 3) uint8 of a style.

    Raises:
        UsageError: for an unknown style.
    """
    if style not in STYLES:
        raise unknown_name("storybook style", style, STYLES)
    return STYLES[style]


def paint_story(story: Story, size: int, style: str = PICTURE) -> Image.Image:
    """Paint a story as an RGB picture of size x size pixels.

    Raises:
        UsageError: for an unknown style, or a size outside 32..1024.
    """
    return Image.fromarray(painter_of(style)(story, size))


def stream(
    seed: int, size: int, split: str = "train", start: int = 0, style: str = PICTURE
) -> Iterator[tuple[Story, Image.Image]]:
    """Yield stories with their pictures for ever, from index `start` on."""
    for index in count_up(start):
        story = draw_story(seed, index, split)
        yield story, paint_story(story, size, style)


def draw_chunk(
    seed: int,
    split: str,
    start: int,
    count: int,
    size: int,
    style: str = PICTURE,
    level: str = CUES_LEVEL,
) -> tuple[list[Story], np.ndarray]:
    """Draw `count` stories from `start` on in this process: stories, (count, size, size, 3)."""
    draw = level_named(level).draw
    stories = [draw(seed, start + i, split) for i in range(count)]
    pictures = np.empty((count, size, size, 3), np.uint8)
    paint = painter_of(style)
    for i, story in enumerate(stories):
        pictures[i] = paint(story, size)
    return stories, pictures


def draw_many(
    seed: int,
    split: str,
    start: int,
    count: int,
    size: int,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
    style: str = PICTURE,
    level: str = CUES_LEVEL,
) -> tuple[list[Story], np.ndarray]:
    """Draw `count` stories of a level and their pictures, uint8 (count, size, size, 3).

    The same bytes for any number of workers (spawned processes). `progress` is told how many
    pictures came with each chunk.

    Raises:
        UsageError: for a bad size, style, level, count, split or number of workers.
    """
    check_size(size)
    painter_of(style)
    level_named(level)
    if count < 0 or workers < 1:
        raise UsageError(f"count must be 0 or more and workers 1 or more, got {count}, {workers}.")
    pieces: list[tuple[Any, ...]] = [
        (seed, split, start + at, min(CHUNK, count - at), size, style, level)
        for at in range(0, count, CHUNK)
    ]
    stories: list[Story] = []
    pictures = np.empty((count, size, size, 3), np.uint8)
    for some, drawn in run_pieces(draw_chunk, pieces, workers):
        pictures[len(stories) : len(stories) + len(some)] = drawn
        stories += some
        if progress is not None:
            progress(len(some))
    return stories, pictures
