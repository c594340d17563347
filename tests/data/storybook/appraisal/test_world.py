"""The appraisal level: what can be known is what the probabilities say, by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from emosym.annotate.emotion_words import emotion_words
from emosym.data.storybook.appraisal.information import (
    CUES,
    additive_accuracy,
    best_accuracy,
    information_rows,
    joint,
    threshold_accuracy,
)
from emosym.data.storybook.appraisal.words import (
    GOES,
    HOLDS,
    STANDS,
    appraisal_rationale_of,
    appraisal_sentences,
    state_in_words,
)
from emosym.data.storybook.appraisal.world import (
    APPRAISALS,
    BITS_OF,
    FLIP,
    LABEL_OF,
    appraisal_posterior_of,
    cues_of,
    draw_appraisal_story,
    in_missing_cell,
    is_missing_cell,
    posterior_of_bits,
    shown_bits,
)
from emosym.data.storybook.words import caption_of
from emosym.emotions import MIKELS8
from emosym.errors import UsageError

STORIES = [draw_appraisal_story(7, index) for index in range(4000)]


def test_the_best_of_all_readers_and_of_those_that_see_less() -> None:
    assert joint().sum() == pytest.approx(1.0)
    assert best_accuracy() == pytest.approx(0.98**3)  # .9412
    for cue in CUES:
        assert best_accuracy((cue,)) == pytest.approx(1 / 8)
    assert best_accuracy(("light", "scene")) == pytest.approx(0.98 / 4)
    assert best_accuracy(("light", "action")) == pytest.approx(1 / 8)
    four = ("light", "scene", "object", "action")
    assert best_accuracy(four) == pytest.approx(0.98**2 / 2)
    assert additive_accuracy() == pytest.approx(1 / 8)
    # "or" gets three of four combinations of a pair right
    assert threshold_accuracy() == pytest.approx((0.75 * 0.98 + 0.25 * 0.02) ** 3)
    assert len(information_rows()) == 1 + 6 + 3 + 4


def test_an_emotion_is_three_bits_and_polarity_is_the_first() -> None:
    assert sorted(LABEL_OF.values()) == list(range(8))
    for label, bits in BITS_OF.items():
        polarity = MIKELS8.polarity(MIKELS8.labels[label])
        assert polarity == ("positive" if bits[0] else "negative")


def test_what_is_drawn_is_what_the_probabilities_say() -> None:
    labels = np.array([story.label for story in STORIES])
    assert min(Counter(labels.tolist()).values()) > 400  # of 500
    cues = np.array([[cues_of(story)[cue] for cue in CUES] for story in STORIES])  # (N, 6)
    bits = np.array([BITS_OF[label] for label in labels])
    for label in range(8):  # 500 each: a standard error of 2.2 points
        assert np.abs(cues[labels == label].mean(axis=0) - 0.5).max() < 0.1
    flipped = np.array([shown_bits(story) for story in STORIES]) != bits
    assert flipped.mean() == pytest.approx(FLIP, abs=0.005)
    posterior = np.stack([appraisal_posterior_of(story) for story in STORIES])
    assert (posterior.argmax(axis=1) == labels).mean() == pytest.approx(0.9412, abs=0.012)
    assert posterior.sum(axis=1) == pytest.approx(1.0)


def test_the_posterior_by_hand() -> None:
    found = posterior_of_bits((1, 0, 1))
    assert found[LABEL_OF[(1, 0, 1)]] == pytest.approx(0.98**3)
    assert found[LABEL_OF[(0, 0, 1)]] == pytest.approx(0.02 * 0.98**2)
    assert found[LABEL_OF[(0, 1, 0)]] == pytest.approx(0.02**3)


def test_cues_are_the_values_of_the_picture() -> None:
    story = replace(
        STORIES[0],
        light="grey rain",
        scene="cave",
        objects=("cake", "ball"),
        action="sitting",
        face="mouth round, brows raised",
    )
    assert cues_of(story) == {
        **{"light": 0, "scene": 1},  # rain, under a roof: well
        **{"object": 1, "action": 1},  # nice, and away from it: beyond control
        **{"count": 1, "mouth": 0},  # several, and calling: together
    }
    assert shown_bits(story) == (1, 0, 1)
    first, second, third = appraisal_sentences(story)
    assert "rain" in first and first.startswith(f"{GOES[1]}: ")
    assert "cake" in second and second.startswith(f"{HOLDS[0]}: ")
    assert "mouth round" in third and third.startswith(f"{STANDS[1]}: ")
    assert state_in_words((1, 0, 1)) == "well, beyond control, together"


def test_stories_are_functions_of_their_number_and_fit_the_picture() -> None:
    assert draw_appraisal_story(7, 3) == STORIES[3]
    assert draw_appraisal_story(7, 3, "test") != STORIES[3]
    for story in STORIES[:500]:
        assert len(story.objects) == len(story.places) == len(set(story.places))
        assert list(story.objects) == sorted(set(story.objects), key=story.objects.index)
    for arguments in ((0, -1, "train"), (0, 0, "dev")):
        with pytest.raises(UsageError):
            draw_appraisal_story(*arguments)


def test_words_are_blind_to_the_label_and_captions_name_no_appraisal() -> None:
    told = {word for phrase in (*GOES, *HOLDS, *STANDS) for word in phrase.split()[2:]}
    assert told >= {"well", "control", "together"}
    for story in STORIES[:400]:
        text = appraisal_rationale_of(story)
        assert text == appraisal_rationale_of(replace(story, label=(story.label + 1) % 8))
        assert emotion_words(text) == ()
        caption = caption_of(story)
        for phrase in ("goes", "control", "apart", "together", "reach"):
            assert phrase not in caption


def test_missing_cells_are_a_quarter_and_tell_nothing() -> None:
    (rough, bright), (open_land, roofed) = APPRAISALS[0].groups
    for lights in (rough, bright):
        for scenes in (open_land, roofed):
            cells = [is_missing_cell(light, scene) for light in lights for scene in scenes]
            assert sum(cells) == 4  # of 16
    for light in (*rough, *bright):
        assert sum(is_missing_cell(light, scene) for scene in (*open_land, *roofed)) == 2
    assert np.mean([in_missing_cell(story) for story in STORIES]) == pytest.approx(0.25, abs=0.03)
