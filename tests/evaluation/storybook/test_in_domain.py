"""The in_domain score as a detector: made pictures, AUCs by hand, and a whole tiny model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emosym.data.sources.open import open_dataset
from emosym.data.storybook.drawing.draw import paint_story
from emosym.data.storybook.world import draw_story
from emosym.data.storybook.writer import write_storybook
from emosym.errors import UsageError
from emosym.evaluation.results.result import validate_result
from emosym.evaluation.storybook.in_domain import (
    KINDS,
    MAKERS,
    evaluate_in_domain,
    in_domain_values,
    made_pictures,
    told_apart,
)
from emosym.metrics.calibration import roc_auc
from emosym.pipelines.trained import EmoSymPipeline


def test_auc_by_hand() -> None:
    # pairs known > other: .9 > .8, .9 > .1, .5 > .1 of four, none tied
    known = np.array([0.9, 0.5])
    values = in_domain_values({"known": known, "noise": np.array([0.8, 0.1])}, seed=0)
    assert values["in_domain_auc_noise"] == 0.75
    low, high = values["in_domain_auc_noise_interval"]
    assert 0.0 <= low <= 0.75 <= high <= 1.0
    tied = in_domain_values({"known": known, "text": known}, seed=0)
    assert tied["in_domain_auc_text"] == 0.5
    assert set(tied) == {"in_domain_auc_text", "in_domain_auc_text_interval"}


def test_auc_is_the_librarys() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        known, others = rng.integers(0, 8, 30) / 8, rng.integers(0, 6, 20) / 8  # many ties
        seen = np.repeat([1, 0], [30, 20])
        assert told_apart(known, others) == pytest.approx(
            roc_auc(np.concatenate([known, others]), seen)
        )


@pytest.mark.parametrize("kind", list(MAKERS))
def test_pictures_are_varied_and_the_same_for_a_seed(kind: str) -> None:
    nine = made_pictures(kind, 9, 48, 7)
    assert all(picture.size == (48, 48) and picture.mode == "RGB" for picture in nine)
    arrays = [np.asarray(picture, int) for picture in nine]
    for i, one in enumerate(arrays):
        assert one.std() > 3  # something to see
        assert all(np.abs(one - other).mean() > 5 for other in arrays[i + 1 :])
    again = made_pictures(kind, 4, 48, 7)
    assert all(np.array_equal(np.asarray(a), b) for a, b in zip(again, arrays, strict=False))
    other = made_pictures(kind, 1, 48, 8)[0]
    assert not np.array_equal(np.asarray(other), arrays[0])


def test_each_kind_is_what_it_says() -> None:
    def steps(kind: str) -> np.ndarray:
        """Mean step between neighbouring pixels, of each picture."""
        rows = [np.asarray(p, float) for p in made_pictures(kind, 12, 64, 0)]
        return np.array([np.abs(np.diff(row, axis=1)).mean() for row in rows])

    assert steps("gradient").max() < 8
    assert steps("noise")[::3].min() > 70  # white: the mean step of two uniform values is 85
    assert steps("noise")[1::3].max() < 70
    # a page is paper and ink: its two shades hold most of it
    for page in made_pictures("text", 12, 64, 0):
        grey = np.asarray(page.convert("L"), int)
        paper = int(np.bincount(grey.ravel()).argmax())
        away = np.abs(grey - paper)
        assert (away < 8).mean() > 0.5 and (paper > 200 or paper < 80)
        assert 0.05 < (away > 60).mean() < 0.4  # strokes, thin ones softened


def test_line_draws_the_given_stories_and_others_are_refused() -> None:
    stories = [draw_story(5, i, "test") for i in range(2)]
    drawn = made_pictures("line", 2, 64, 0, stories)
    assert np.array_equal(np.asarray(drawn[1]), np.asarray(paint_story(stories[1], 64, "line")))
    with pytest.raises(UsageError, match="line, noise, gradient, text"):
        made_pictures("photographs", 1, 64, 0)


@pytest.fixture(scope="module")
def pipeline(tiny_checkpoint: Path) -> EmoSymPipeline:
    return EmoSymPipeline.from_pretrained(tiny_checkpoint, "cpu")


def test_a_model_on_a_storybook(pipeline: EmoSymPipeline, tmp_path: Path) -> None:
    # the tiny model's domain was fitted to storybook pictures of the same size
    write_storybook(tmp_path / "book", {"train": 1, "val": 1, "test": 30}, 64, 5)
    dataset = open_dataset("storybook", tmp_path / "book", "test")
    steps: list[int] = []
    result = evaluate_in_domain(
        pipeline, dataset, limit=24, batch_size=10, progress=steps.append, model_sha256="a"
    )
    assert validate_result(result, "it") and result["name"] == "in_domain"
    assert result["n"] == sum(steps) == 5 * 24
    assert result["subject"]["n"] == 24 and result["subject"]["model"] == "a"
    values = result["values"]
    for kind in KINDS:
        assert 0.0 <= values[f"in_domain_auc_{kind}"] <= 1.0
        assert 0.0 <= values[f"in_domain_outside_{kind}"] <= 1.0
    # white noise and pages are unlike anything that even random weights have seen
    assert values["in_domain_auc_text"] > 0.9 and values["in_domain_auc_noise"] > 0.9
    assert values["in_domain_outside_text"] > values["in_domain_outside_known"]
    again = evaluate_in_domain(pipeline, dataset, limit=24, batch_size=24)["values"]
    for kind in KINDS:
        assert again[f"in_domain_auc_{kind}"] == pytest.approx(
            values[f"in_domain_auc_{kind}"], abs=0.02
        )


def test_other_pictures_meet_the_test_streams_stories(
    pipeline: EmoSymPipeline, tmp_path: Path
) -> None:
    for label in ("awe", "fear"):
        (tmp_path / "all" / label).mkdir(parents=True)
        for i in range(3):
            picture = Image.fromarray(np.full((40, 40, 3), 40 * i + len(label), np.uint8))
            picture.save(tmp_path / "all" / label / f"{i}.png")
    dataset = open_dataset("folder", tmp_path / "all", "all")
    result = evaluate_in_domain(pipeline, dataset, limit=None)
    assert result["n"] == 5 * 6 and "in_domain_auc_line" in result["values"]


def test_a_model_without_a_domain_is_refused(pipeline: EmoSymPipeline, tmp_path: Path) -> None:
    write_storybook(tmp_path / "book", {"train": 1, "val": 1, "test": 2}, 64, 5)
    dataset = open_dataset("storybook", tmp_path / "book", "test")
    bare = EmoSymPipeline(replace(pipeline.model, domain=None))
    with pytest.raises(UsageError, match="no in_domain score"):
        evaluate_in_domain(bare, dataset)
