"""The probabilities of the storybook world, checked against hand-computed and counted values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emosym.data.storybook import world
from emosym.data.storybook.world import (
    CUE_VALUES,
    CUES,
    EMOTION_GROUPS,
    OBJECTS,
    SCENES,
    attribute_targets,
    bayes_accuracy,
    draw_story,
    group_of,
    groups_of,
    held_out_pair,
    information_table,
    is_held_out,
    posterior_of,
    values_of_group,
)
from emosym.errors import UsageError

STORIES = [draw_story(0, index) for index in range(1500)]


def test_every_single_cue_matches_the_hand_computed_accuracy() -> None:
    # Three groups, each holding 2 or 3 of 8 equally likely emotions: 3 * 0.95 / 8.
    for cue in CUES:
        assert bayes_accuracy([cue]) == pytest.approx(3 * 0.95 / 8)


def test_information_rises_from_about_36_to_about_97_percent() -> None:
    table = dict(information_table())
    assert len(table) == 31
    assert all(0.35 <= table[(cue,)] <= 0.40 for cue in CUES)
    pairs = [accuracy for cues, accuracy in table.items() if len(cues) == 2]
    assert min(pairs) >= 0.65 and max(pairs) <= 0.80
    assert 0.68 <= np.mean(pairs) <= 0.73
    assert 0.96 <= table[CUES] <= 0.98


def test_groups_are_thirds_of_the_values_and_cover_all() -> None:
    for cue, values in CUE_VALUES.items():
        assert sum((values_of_group(cue, group) for group in range(3)), ()) == values
        for group in range(3):
            assert all(group_of(cue, value) == group for value in values_of_group(cue, group))


def test_posterior_is_bayes_rule_by_hand() -> None:
    story = replace(STORIES[0], scene="swamp", light="grey rain")
    # Scene group 2: disgust, fear, sadness. Light group 2: disgust, sadness.
    scores = np.full(8, 0.025 * 0.025)
    scores[6] = 0.95 * 0.025
    scores[[5, 7]] = 0.95 * 0.95
    np.testing.assert_allclose(posterior_of(story, ("scene", "light")), scores / scores.sum())


def test_counts_of_groups_match_the_channel() -> None:
    stories = [story for story in STORIES if not story.mixed]
    for cue in CUES:
        hits = np.mean([groups_of(s)[cue] == EMOTION_GROUPS[cue][s.label] for s in stories])
        assert abs(hits - 0.95) < 0.025
    found = np.mean([posterior_of(s).argmax() == s.label for s in stories])
    assert abs(found - bayes_accuracy(CUES)) < 0.02


def test_all_objects_of_a_picture_come_from_one_group() -> None:
    for story in STORIES:
        assert 1 <= len(set(story.objects)) == len(story.objects) <= 3
        assert len({group_of("object", item) for item in story.objects}) == 1


def test_held_out_pairs_are_a_fifth_and_never_in_train() -> None:
    pairs = [(scene, item) for scene in SCENES for item in OBJECTS if held_out_pair(scene, item)]
    assert 0.19 <= len(pairs) / (len(SCENES) * len(OBJECTS)) <= 0.21
    assert not any(is_held_out(story) for story in STORIES)
    test = [draw_story(0, index, "test") for index in range(4000)]
    shown = {(s.scene, item) for s in test for item in s.objects if held_out_pair(s.scene, item)}
    assert shown == set(pairs)


def test_mixed_pictures_carry_votes() -> None:
    share = np.mean([story.mixed for story in STORIES])
    assert abs(share - world.MIXED_SHARE) < 0.03
    for story in STORIES:
        assert sum(story.votes) == pytest.approx(1.0)
        assert max(story.votes) == story.votes[story.label]
        assert (max(story.votes) < 1.0) == story.mixed


def test_objects_and_child_stand_apart() -> None:
    for story in STORIES:
        for i, (x, y) in enumerate(story.places):
            assert abs(x - world.SIDE_X[story.side]) > 0.3
            for other_x, other_y in story.places[:i]:
                assert max(abs(x - other_x), abs(y - other_y)) >= 0.235


def test_streams_are_pure_and_differ_between_splits_and_seeds() -> None:
    assert draw_story(3, 7, "val") == draw_story(3, 7, "val")
    drawn = [draw_story(3, 7, "val"), draw_story(3, 7, "test"), draw_story(4, 7, "val")]
    assert len({story.wording for story in drawn}) == 3


def test_bad_requests_are_refused() -> None:
    with pytest.raises(UsageError, match="split"):
        draw_story(0, 0, "dev")
    with pytest.raises(UsageError, match="index"):
        draw_story(0, -1)


def test_attribute_targets_name_what_is_there() -> None:
    targets = attribute_targets(STORIES[:5])
    assert targets["object"].shape == (5, 12) and targets["object"].dtype == np.float32
    for row, story in enumerate(STORIES[:5]):
        assert SCENES[targets["scene"][row]] == story.scene
        assert {OBJECTS[i] for i in np.flatnonzero(targets["object"][row])} == set(story.objects)
