"""Words that are wrong by one thing, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from emosym.data.storybook import OBJECTS, draw_story, rationale_of
from emosym.data.storybook.facts import (
    absent_objects,
    companions,
    facts_of,
    spoken,
    wrong_by_companion,
    wrong_by_one,
)
from emosym.errors import UsageError
from emosym.types import Sample


def sample_of(index: int) -> Sample:
    story = draw_story(11, index)
    attributes = {
        "scene": story.scene,
        "object": list(story.objects),
        "facial_expression": story.face,
        "human_action": story.action,
    }
    return Sample(str(index), attributes=attributes, rationale=rationale_of(story))


def test_wrong_by_one_names_one_object_that_is_not_there() -> None:
    rng = np.random.default_rng(0)
    for index in range(60):
        sample = sample_of(index)
        assert sample.rationale and not absent_objects(sample.rationale, sample)
        wrong = wrong_by_one(sample.rationale, sample, rng)
        assert wrong is not None and len(absent_objects(wrong, sample)) == 1
        before, after = spoken(sample.rationale), spoken(wrong)
        assert len(after["object"]) == len(before["object"])
        for kind in ("scene", "face", "action"):
            assert after[kind] == before[kind]
        assert wrong[0].isupper()


def test_wrong_by_companion_adds_what_often_stands_beside() -> None:
    rng = np.random.default_rng(0)
    samples = [sample_of(index) for index in range(60)]
    together = companions(samples)
    short = 0
    for sample in samples:
        wrong = wrong_by_companion(sample.rationale or "", sample, rng, together)
        assert wrong is not None
        added, there = absent_objects(wrong, sample), facts_of(sample)["object"]
        named = spoken(wrong)["object"]
        if added:
            assert any(together[next(iter(added)), item] for item in there)
            assert len(added) == 1 and len(named) == min(len(there) + 1, 3)
        else:
            short += 1
            assert named < there and len(named) == len(there) - 1
        for kind in ("scene", "face", "action"):
            assert spoken(wrong)[kind] == spoken(sample.rationale or "")[kind]
    assert 15 <= short <= 45
    given = {**sample_of(0).attributes, "object": ["balloon", "ball"]}
    two = Sample("x", attributes=given)
    told = ("balloon", "cake"), ("ball", "cake")
    known = {pair[::-1]: 1 for pair in told}
    said = {
        wrong_by_companion("A balloon and a ball in a cave.", two, rng, known) for _ in range(40)
    }
    assert said == {
        "A balloon, a cake and a ball in a cave.",
        "A balloon in a cave.",
        "A ball in a cave.",
    }
    assert wrong_by_companion("A balloon and a ball in a cave.", two, rng, {}) is None
    assert wrong_by_companion("A cave.", two, rng, known) is None


def test_a_scene_keeps_its_words_and_silence_stays() -> None:
    sample = Sample("x", attributes={**sample_of(0).attributes, "object": ["flower"]})
    rng = np.random.default_rng(1)
    wrong = wrong_by_one("A flower in a flower meadow.", sample, rng)
    assert wrong is not None and wrong.endswith(" in a flower meadow.")
    assert wrong_by_one("In a flower meadow.", sample, rng) is None
    assert facts_of(sample)["object"] == {"flower"} and "flower" in OBJECTS
    with pytest.raises(UsageError, match="no storybook attributes"):
        wrong_by_one("A flower.", Sample("y"), rng)
