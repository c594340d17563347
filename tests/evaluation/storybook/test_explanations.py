"""Explanations: what counts as named, what is taken away, and the shares worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from emosym.data.dataset import Dataset
from emosym.data.sources.open import open_dataset
from emosym.data.storybook import OBJECTS, draw_story, paint_story, rationale_of, write_storybook
from emosym.data.storybook.drawing.geometry import face_box, object_box, stories_of, without_objects
from emosym.data.storybook.writer import image_id
from emosym.errors import UsageError
from emosym.evaluation.storybook.explanations import (
    count,
    evaluate_explanations,
    explanations,
    facts_of,
    spoken,
)
from emosym.evaluation.storybook.faithfulness import cover, divergence, free_boxes, overlaps
from emosym.pipelines.trained import EmoSymPipeline
from emosym.types import Sample

SAMPLE = Sample(
    id="x",
    attributes={
        "scene": "sea beach",
        "object": ["ball", "star"],
        "facial_expression": "mouth wavy, brows slanted",
        "human_action": "lying",
    },
)


@pytest.fixture(scope="module")
def storybook(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("explained") / "data"
    write_storybook(root, {"train": 2, "val": 2, "test": 12}, size=64, seed=5, workers=1)
    return open_dataset("storybook", root, "test")


def test_what_a_rationale_names() -> None:
    right = "A ball and a star on a sea beach; mouth wavy under slanted brows. It is lying down."
    assert spoken(right) == facts_of(SAMPLE)
    less = spoken("A balloon, while stars stand in a deep blue sky; mouth wavy, brows raised.")
    assert less["object"] == {"balloon"}  # stars of the night are no star
    assert not less["scene"] and not less["face"] and not less["action"]
    assert spoken("a cake in a flower meadow")["object"] == {"cake"}
    # "turned up" is within "turned up and open", and "lies" is said of light too
    wider = spoken("mouth turned up and open, brows level; warm light lies over everything")
    assert not wider["face"] and not wider["action"]


@pytest.mark.parametrize("index", range(40))
def test_the_written_rationale_names_exactly_what_is_there(index: int) -> None:
    story = draw_story(9, index, "test")
    found = spoken(rationale_of(story))
    assert found == {
        "scene": {story.scene},
        "object": set(story.objects),
        "face": {story.face},
        "action": {story.action},
    }


def test_counts_by_hand() -> None:
    counted = count(["A ball and a kite on a sea beach, in a village.", ""], [SAMPLE, SAMPLE])
    assert counted["object"].tolist() == [[1, 0], [2, 0], [2, 2]]  # hits, named, there
    assert counted["scene"].tolist() == [[1, 0], [2, 0], [1, 1]]
    assert counted["face"].tolist() == [[0, 0], [0, 0], [1, 1]]


@pytest.mark.parametrize("missing", ["scene", "object", "facial_expression", "human_action"])
def test_pictures_without_attributes_are_refused(missing: str) -> None:
    given = {k: v for k, v in SAMPLE.attributes.items() if k != missing}
    with pytest.raises(UsageError, match="x has no storybook attributes"):
        facts_of(replace(SAMPLE, attributes=given))


def test_shares_of_what_explanations_name(storybook: Dataset) -> None:
    """Two pictures: one named in full, one with one of its two objects and a wrong one."""
    two = [i for i, s in enumerate(storybook) if len(set(s.attributes["object"])) == 2][:2]
    pictures = storybook.subset(np.array(two))
    full, other = list(pictures)
    kept = other.attributes["object"][0]
    wrong = next(o for o in OBJECTS if o not in other.attributes["object"])
    told = [str(full.rationale), f"A {kept} and a {wrong}."]

    class Speaker:
        """Says the two sentences to pictures, and nothing to blank ones."""

        def understand(self, images: list[Image.Image], explain: bool) -> list[Any]:
            blank = np.asarray(images[0]).std() == 0
            return [SimpleNamespace(rationale="" if blank else text) for text in told]

    values = explanations(cast(Any, Speaker()), pictures)
    assert values["explained_objects"] == 0.5
    assert values["explained_object_recall"] == values["explained_object_precision"] == 3 / 4
    for kind in ("scene", "face", "action"):
        assert values[f"explained_{kind}"] == 0.5  # one of two pictures
        assert values[f"explained_{kind}_precision"] == 1.0  # what was named is there
        assert values[f"blank_{kind}"] == values[f"blank_{kind}_precision"] == 0
    assert values["blank_object_recall"] == 0


def test_boxes_hold_what_they_should_and_removing_leaves_the_rest() -> None:
    for index in range(30):
        story = draw_story(3, index, "test")
        whole = np.asarray(paint_story(story, 64)).astype(int)
        for i, item in enumerate(story.objects):
            if item == "lantern":  # its light reaches further than its box
                continue
            gone = np.asarray(paint_story(without_objects(story, [item]), 64)).astype(int)
            change = np.abs(whole - gone).sum(axis=2)
            x0, y0, x1, y1 = (round(64 * edge) for edge in object_box(story, i))
            assert change.sum() > 0
            assert change[y0:y1, x0:x1].sum() > 0.85 * change.sum()  # the rest is its shadow
        others = ("mouth round, brows raised", "mouth wavy, brows slanted")
        other = next(f for f in others if f != story.face)
        changed = np.asarray(paint_story(replace(story, face=other), 64)).astype(int)
        change = np.abs(whole - changed).sum(axis=2)
        x0, y0, x1, y1 = (round(64 * edge) for edge in face_box(story))
        assert change[y0:y1, x0:x1].sum() > 0.95 * change.sum() > 0


def test_a_cover_is_the_mean_of_its_rim() -> None:
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[4:8, 4:8] = 255  # what is covered
    picture[3, :] = 80  # part of the rim: 6 of its 20 pixels
    covered = cover(picture, [(0.25, 0.25, 0.5, 0.5)])
    assert (covered[4:8, 4:8] == 24).all()  # 6 * 80 / 20
    covered[4:8, 4:8] = 255
    assert np.array_equal(covered, picture)  # and nothing else


def test_control_boxes_hold_no_object_and_no_face() -> None:
    for index in range(30):
        story = draw_story(4, index, "test")
        boxes = [object_box(story, i) for i in range(len(story.objects))]
        found = free_boxes(story, boxes, np.random.default_rng(index))
        if found is None:
            continue
        for number, (box, like) in enumerate(zip(found, boxes, strict=True)):
            assert np.isclose(box[2] - box[0], like[2] - like[0])
            taken = [*boxes, face_box(story), *found[:number]]
            assert not any(overlaps(box, other) for other in taken)
            assert 0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1
    story = draw_story(4, 0, "test")
    assert free_boxes(story, [(0.0, 0.0, 0.9, 0.9)], np.random.default_rng(0)) is None


def test_divergence_by_hand() -> None:
    one, other = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[0.25, 0.75], [0.5, 0.5]])
    wanted = [0.5 * np.log(2) + 0.5 * np.log(2 / 3), np.log(2)]
    np.testing.assert_allclose(divergence(one, other), wanted)


def test_stories_are_found_again_or_not_at_all(storybook: Dataset, tmp_path: Path) -> None:
    stories = stories_of(storybook.root, "test", storybook.ids())
    assert stories is not None and [image_id(s) for s in stories] == list(storybook.ids())
    assert stories_of(storybook.root, "test", ["awe_test_000000x"]) is None
    assert stories_of(tmp_path, "test", storybook.ids()) is None


def test_every_measure_is_computed(tiny_checkpoint: Path, storybook: Dataset) -> None:
    """An untrained model names nothing, so what it names cannot be taken away: null, no number."""
    done: list[int] = []
    pipeline = EmoSymPipeline.from_pretrained(tiny_checkpoint)
    result = evaluate_explanations(pipeline, storybook, seed=1, progress=done.append)
    values = result["values"]
    assert result["name"] == "explanations" and result["n"] == 12 and sum(done) >= 24
    low, high = values["explained_scene_interval"]
    assert low <= values["explained_scene"] <= high
    assert values["faithful_object_n"] <= 12
    if not values["faithful_object_n"]:
        assert values["faithful_object_exact_delta"] is None


def test_what_is_named_is_taken_away(
    tiny_checkpoint: Path, storybook: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiny model reads; its rationales are the written ones."""
    pipeline = EmoSymPipeline.from_pretrained(tiny_checkpoint)
    told = {s.id: s.rationale for s in storybook}
    plain = EmoSymPipeline.understand

    def understand(self: EmoSymPipeline, images: Any, explain: bool = False) -> Any:
        found = plain(self, images)
        said = told.values() if explain else [None] * len(found)
        return [replace(r, rationale=text) for r, text in zip(found, said, strict=True)]

    monkeypatch.setattr(EmoSymPipeline, "understand", understand)
    values = evaluate_explanations(pipeline, storybook, seed=1)["values"]
    assert values["explained_objects"] == 1.0 and values["explained_minus_blank_scene"] == 0.0
    assert values["faithful_face_n"] == 12 and values["faithful_object_n"] >= 8
    for way in ("removed", "covered", "random"):
        assert values[f"faithful_object_{way}_delta"] > 0
        assert values[f"faithful_object_{way}_kl"] > 0
    gap = values["faithful_object_removed_delta"] - values["faithful_object_random_delta"]
    assert values["faithful_object_removed_minus_random_delta"] == pytest.approx(gap)


def test_another_style_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    counts = {"train": 1, "val": 1, "test": 2}
    write_storybook(tmp_path, counts, size=64, seed=5, workers=1, style="line")
    dataset = open_dataset("storybook", tmp_path, "test")
    pipeline = EmoSymPipeline.from_pretrained(tiny_checkpoint)
    with pytest.raises(UsageError, match="no storybook in the painted style"):
        evaluate_explanations(pipeline, dataset)
