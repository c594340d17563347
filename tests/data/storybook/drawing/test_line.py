"""The second style: the same stories in ink, the same bytes for any number of workers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from emosym.data.sources.open import open_dataset
from emosym.data.storybook.drawing.draw import STYLES, draw_many, paint_story
from emosym.data.storybook.world import FACES, LIGHTS, draw_story
from emosym.data.storybook.writer import write_storybook
from emosym.errors import UsageError


def test_a_story_looks_different_in_each_style_and_stays_a_story() -> None:
    stories, painted = draw_many(5, "test", 0, 8, 64)
    same, inked = draw_many(5, "test", 0, 8, 64, style="line")
    assert stories == same
    assert inked.shape == painted.shape == (8, 64, 64, 3) and inked.dtype == np.uint8
    apart = np.abs(inked.astype(int) - painted).mean(axis=(1, 2, 3))
    assert (apart > 15).all()
    again = paint_story(stories[3], 64, "line")
    assert np.array_equal(np.asarray(again), inked[3])


def test_the_bytes_do_not_depend_on_workers() -> None:
    one = draw_many(5, "val", 0, 70, 64, 1, style="line")[1]
    two = draw_many(5, "val", 0, 70, 64, 2, style="line")[1]
    assert np.array_equal(one, two)


@pytest.mark.parametrize(
    ("field", "values"), [("face", FACES), ("light", LIGHTS), ("objects", ("cake", "skull"))]
)
def test_every_cue_shows(field: str, values: tuple[str, ...]) -> None:
    """Two stories that differ in one cue differ in the picture, by more than a few pixels."""
    from dataclasses import replace

    story = draw_story(5, 0, "test")
    drawn = []
    for value in values:
        change = {field: (value,), "places": story.places[:1], "colours": (0,)}
        if field != "objects":
            change = {field: value}
        drawn.append(np.asarray(paint_story(replace(story, **change), 64, "line"), int))
    for i, first in enumerate(drawn):
        for second in drawn[i + 1 :]:
            assert (np.abs(first - second).max(axis=-1) > 20).sum() >= 8


@pytest.mark.parametrize("size", [32, 128, 256])
def test_it_is_drawn_at_any_size(size: int) -> None:
    picture = paint_story(draw_story(5, 1, "test"), size, "line")
    small = paint_story(draw_story(5, 1, "test"), 64, "line").resize((size, size))
    difference = np.abs(np.asarray(picture, int) - np.asarray(small, int)).mean()
    assert picture.size == (size, size) and difference < 30


def test_a_storybook_in_ink_is_a_data_set_that_names_its_style(tmp_path: Path) -> None:
    counts = {"train": 2, "val": 1, "test": 3}
    assert write_storybook(tmp_path / "ink", counts, 64, 5, style="line")
    assert json.loads((tmp_path / "ink" / "storybook.json").read_text())["style"] == "line"
    assert len(open_dataset("storybook", tmp_path / "ink", "test")) == 3
    write_storybook(tmp_path / "usual", counts, 64, 5)
    assert "style" not in json.loads((tmp_path / "usual" / "storybook.json").read_text())
    with pytest.raises(UsageError, match="another storybook"):
        write_storybook(tmp_path / "ink", counts, 64, 5)


def test_an_unknown_style_names_the_nearest(tmp_path: Path) -> None:
    assert set(STYLES) == {"picture", "line"}
    with pytest.raises(UsageError, match="Did you mean 'line'"):
        paint_story(draw_story(5, 0, "test"), 64, "lines")
    with pytest.raises(UsageError, match="Did you mean 'line'"):
        write_storybook(tmp_path, {"train": 1, "val": 1, "test": 1}, style="lin")
