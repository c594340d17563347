"""Levels on disk: written, found again, opened with what is told, and never mixed up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from emosym.apps.cli.main import app
from emosym.config.schema import DataSection
from emosym.data.sources.open import open_dataset
from emosym.data.storybook import draw_many, write_storybook
from emosym.data.storybook.appraisal.tales import tale_of
from emosym.data.storybook.drawing.geometry import stories_of
from emosym.data.storybook.levels import LEVELS, level_of_folder, require_level
from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.evaluation.storybook.oracle import oracle_of
from emosym.training.stages.feed import open_split
from emosym.types import IMAGE_EMOTION

COUNTS = {"train": 12, "val": 2, "test": 12}


@pytest.fixture(scope="module", params=list(LEVELS))
def book(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("levels") / request.param
    assert write_storybook(out, COUNTS, 32, 5, level=request.param)
    return out


def test_a_level_is_written_once_and_its_stories_are_found_again(book: Path) -> None:
    level = book.name
    assert level_of_folder(book) == level
    assert not write_storybook(book, COUNTS, 32, 5, level=level)
    dataset = open_dataset("storybook", book, "test")
    found = stories_of(book, "test", dataset.ids())
    assert found == [LEVELS[level].draw(5, index, "test") for index in range(12)]
    oracle = oracle_of(dataset)
    assert oracle is not None and oracle.level == level
    assert oracle.posterior == pytest.approx(np.stack([LEVELS[level].posterior(s) for s in found]))
    assert bool(oracle.belongs({"scene": ("cave",)})) == (level == "cues")
    stories, pictures = draw_many(5, "test", 0, 2, 32, level=level)
    assert stories == found[:2] and pictures.shape == (2, 32, 32, 3)


def test_samples_hold_the_exact_truth(book: Path) -> None:
    dataset = open_dataset("storybook", book, "test")
    for sample, story in zip(dataset, stories_of(book, "test", dataset.ids()) or [], strict=True):
        assert sample.label_of(IMAGE_EMOTION) == MIKELS8.labels[story.label]
        assert sample.rationale == LEVELS[book.name].rationale(story)
        assert sample.is_picture == (book.name != "tales")
        if book.name != "tales":
            continue
        tale = tale_of(story)
        assert sample.attributes["tale"] == list(tale.sentences)
        assert sample.attributes["states"] == [list(bits) for bits in tale.states]
        assert (sample.turns[0].text or "") == " ".join(tale.sentences)
        assert len(sample.images) == 1 and Path(str(sample.images[0])).is_file()


def test_a_recipe_gets_the_level_it_asks_for(book: Path) -> None:
    section = DataSection(root=book, level=book.name)
    assert len(open_split(section, MIKELS8, 0, training=True)) == 12
    other = "appraisal" if book.name != "appraisal" else "tales"
    with pytest.raises(UsageError, match=f"asks for the level '{other}'"):
        open_split(DataSection(root=book, level=other), MIKELS8, 0, training=True)
    with pytest.raises(UsageError, match="another storybook"):
        write_storybook(book, COUNTS, 32, 5, level=other)


def test_levels_that_are_not(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'appraisal'"):
        write_storybook(tmp_path / "out", COUNTS, 32, level="apraisal")
    with pytest.raises(UsageError, match="no storybook"):
        require_level(tmp_path, "tales")
    (tmp_path / "storybook.json").write_text(json.dumps({"level": 7}))
    with pytest.raises(UsageError, match="names no level"):
        level_of_folder(tmp_path)
    with pytest.raises(UsageError, match="is of storybooks"):
        open_split(DataSection(source="folder", root=tmp_path, level="cues"), MIKELS8, 0, True)


def test_the_command_prints_what_can_be_known(tmp_path: Path) -> None:
    few = [str(tmp_path / "out"), "--count", "10", "--level", "appraisal", "--table"]
    done = CliRunner().invoke(app, ["data", "storybook", *few])
    assert done.exit_code == 0, done.output
    assert "Best possible accuracy of these pictures: 94.1% (exact)." in done.stdout
    assert "light + scene (valence)" in done.stdout and "24.5%" in done.stdout
    refused = CliRunner().invoke(app, ["data", "storybook", str(tmp_path / "x"), "--simulate"])
    assert isinstance(refused.exception, UsageError)
