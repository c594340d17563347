"""Where things are in a picture, and which stories a folder's pictures were painted from.

A box is (x0, y0, x1, y1) in units of the picture's side, y downwards, cut to the picture.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from emosym.data.storybook.drawing.character import HEAD, POSES
from emosym.data.storybook.drawing.objects import HALF
from emosym.data.storybook.levels import REQUEST_FILE, level_named, level_of_folder
from emosym.data.storybook.world import SIDE_X, Story
from emosym.data.storybook.writer import image_id
from emosym.files import read_json

Box = tuple[float, float, float, float]
OUTLINE_TOO = 1.15  # a box is this much wider than its object's square


def object_box(story: Story, index: int) -> Box:
    """Return the box of a story's object `index`, its outline included."""
    x, y = story.places[index]
    half = HALF * OUTLINE_TOO
    return _cut(x - half, y - half, x + half, y + half)


def face_box(story: Story) -> Box:
    """Return the box of brows, eyes and mouth of the child in the painted style."""
    x, y = POSES[story.action].head
    x = SIDE_X[story.side] + story.facing * x
    return _cut(x - 0.72 * HEAD, y - 0.56 * HEAD, x + 0.72 * HEAD, y + HEAD)


def without_objects(story: Story, names: Collection[str]) -> Story:
    """Return the same story without some of its objects; all else stays where it is."""
    kept = [i for i, name in enumerate(story.objects) if name not in names]
    return replace(
        story,
        objects=tuple(story.objects[i] for i in kept),
        places=tuple(story.places[i] for i in kept),
        colours=tuple(story.colours[i] for i in kept),
    )


def stories_of(root: Path, split: str, ids: Sequence[str]) -> list[Story] | None:
    """Draw the stories of a storybook's pictures again, in the order of their ids.

    None where the folder is no storybook, or its pictures do not bear the names of its seed.
    """
    level = level_of_folder(root)
    if level is None:
        return None
    draw = level_named(level).draw
    seed = read_json(root / REQUEST_FILE, "storybook request").get("seed")
    stories: list[Story] = []
    for name in ids:
        index = name.rpartition("_")[2]
        if not (isinstance(seed, int) and index.isdigit()):
            return None
        story = draw(seed, int(index), split)
        if image_id(story) != name:
            return None
        stories.append(story)
    return stories


def _cut(x0: float, y0: float, x1: float, y1: float) -> Box:
    return max(x0, 0.0), max(y0, 0.0), min(x1, 1.0), min(y1, 1.0)
