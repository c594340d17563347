"""Pictures: the same bytes always, large heads and objects, every value visible."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from emosym.data.storybook.drawing.character import HEAD
from emosym.data.storybook.drawing.draw import draw_many, paint_story, stream
from emosym.data.storybook.drawing.light import LIGHT_LOOKS
from emosym.data.storybook.drawing.objects import draw_object
from emosym.data.storybook.drawing.pen import new_pen, reduced
from emosym.data.storybook.drawing.render import paint_array
from emosym.data.storybook.world import ACTIONS, FACES, LIGHTS, OBJECTS, SCENES, draw_story
from emosym.errors import UsageError


def test_same_bytes_for_any_number_of_workers() -> None:
    stories, alone = draw_many(5, "val", 3, 70, 32, workers=1)
    again, shared = draw_many(5, "val", 3, 70, 32, workers=2)
    assert alone.shape == (70, 32, 32, 3) and alone.dtype == np.uint8
    assert stories == again == [draw_story(5, 3 + i, "val") for i in range(70)]
    np.testing.assert_array_equal(alone, shared)


def test_stream_continues_where_it_is_told() -> None:
    first = list(itertools.islice(stream(5, 32, "val", start=3), 2))
    _, pictures = draw_many(5, "val", 3, 2, 32)
    for (_, image), picture in zip(first, pictures, strict=True):
        np.testing.assert_array_equal(np.asarray(image), picture)


def test_head_and_objects_are_large_at_64_pixels() -> None:
    assert 2 * HEAD * 64 >= 16
    for name in OBJECTS:
        pen = new_pen(64)
        draw_object(pen, name, 0, 0.5, 0.5)
        solid = reduced(pen.image)[..., 3] > 0.5
        height, width = np.ptp(np.flatnonzero(solid.any(1))), np.ptp(np.flatnonzero(solid.any(0)))
        assert max(height, width) + 1 >= 13 and min(height, width) + 1 >= 7, name


@pytest.mark.parametrize(
    ("field", "values"),
    [("scene", SCENES), ("light", LIGHTS), ("face", FACES), ("action", ACTIONS)],
)
def test_every_value_of_a_cue_changes_the_picture(field: str, values: tuple[str, ...]) -> None:
    story = draw_story(0, 0)
    painted = [paint_array(replace(story, **{field: value}), 64) for value in values]  # type: ignore[arg-type]
    for one, other in itertools.combinations(painted, 2):
        changed = np.abs(one.astype(int) - other).max(axis=2) > 40
        assert changed.sum() >= 12


def test_every_object_changes_the_picture_in_every_light() -> None:
    story = replace(draw_story(0, 0), side="right", places=((0.12, 0.17),), colours=(0,))
    for light in LIGHT_LOOKS:
        painted = [
            paint_array(replace(story, light=light, objects=(item,)), 64)[:22, :18].astype(int)
            for item in OBJECTS
        ]
        for one, other in itertools.combinations(painted, 2):
            assert (np.abs(one - other).max(axis=2) > 40).sum() >= 30


def test_sizes_and_counts_are_checked() -> None:
    assert paint_story(draw_story(0, 1), 97).size == (97, 97)
    for size in (8, 5000):
        with pytest.raises(UsageError, match="size"):
            paint_story(draw_story(0, 0), size)
    with pytest.raises(UsageError, match="workers"):
        draw_many(0, "train", 0, 4, 64, workers=0)
