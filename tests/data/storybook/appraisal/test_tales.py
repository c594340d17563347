"""Tales: sentences act on three bits, can be undone, and do not commute."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from emosym.annotate.emotion_words import emotion_words
from emosym.data.storybook.appraisal.tales import (
    OPERATIONS,
    after,
    before,
    draw_tale_story,
    steps_of_tale,
    tale_of,
    tale_posterior_of,
    tale_rationale_of,
)
from emosym.data.storybook.appraisal.words import appraisal_rationale_of, state_in_words
from emosym.data.storybook.appraisal.world import BITS_OF, Bits, posterior_of_bits, shown_bits

STATES: list[Bits] = [(a, b, c) for a, b, c in itertools.product((0, 1), repeat=3)]
NAMED = {operation.name: operation for operation in OPERATIONS}
TALES = [draw_tale_story(3, index, "test") for index in range(1500)]


def test_what_a_sentence_does_by_hand() -> None:
    assert after(NAMED["valence turns"], (1, 0, 1)) == (0, 0, 1)
    assert after(NAMED["people turns"], (1, 0, 1)) == (1, 0, 0)
    assert after(NAMED["valence and control change round"], (1, 0, 1)) == (0, 1, 1)
    assert after(NAMED["control and people change round"], (1, 0, 1)) == (1, 1, 0)
    assert after(NAMED["valence and people change round"], (1, 0, 0)) == (0, 0, 1)


def test_sentences_can_be_undone_and_do_not_commute() -> None:
    for operation in OPERATIONS:
        assert {after(operation, bits) for bits in STATES} == set(STATES)
        for bits in STATES:
            assert before(operation, after(operation, bits)) == bits
    turn, change = NAMED["valence turns"], NAMED["valence and control change round"]
    assert after(change, after(turn, (0, 0, 0))) == (0, 1, 0)
    assert after(turn, after(change, (0, 0, 0))) == (1, 0, 0)


def test_states_lead_from_the_picture_to_the_label() -> None:
    for story in TALES:
        tale = tale_of(story)
        assert len(tale.states) == len(tale.shown) == len(tale.sentences) + 1
        assert tale.states[-1] == BITS_OF[story.label]
        assert tale.shown[0] == shown_bits(story)
        for step, operation in enumerate(tale.operations):
            assert after(operation, tale.states[step]) == tale.states[step + 1]
            assert tale.sentences[step] in operation.sentences
        first, *others = steps_of_tale(story)
        assert first == appraisal_rationale_of(story)  # what the picture shows
        for told, sentence, bits in zip(others, tale.sentences, tale.shown[1:], strict=True):
            assert told == f"{sentence[:-1]}: {state_in_words(bits)}."
        assert tale_rationale_of(story) == " ".join((first, *others))
        assert emotion_words(" ".join((*tale.sentences, tale_rationale_of(story)))) == ()


def test_the_best_reader_of_tales_is_as_good_as_of_pictures() -> None:
    posterior = np.stack([tale_posterior_of(story) for story in TALES])
    right = posterior.argmax(axis=1) == np.array([story.label for story in TALES])
    assert right.mean() == pytest.approx(0.9412, abs=0.02)
    for story in TALES[:50]:
        assert tale_posterior_of(story) == pytest.approx(
            posterior_of_bits(tale_of(story).shown[-1])
        )


def test_train_tells_up_to_two_sentences_and_test_up_to_four() -> None:
    lengths = Counter(len(tale_of(story).sentences) for story in TALES)
    assert sorted(lengths) == [0, 1, 2, 3, 4] and min(lengths.values()) > 240  # of 300
    taught = [draw_tale_story(3, index, split) for split in ("train", "val") for index in range(90)]
    assert sorted({len(tale_of(story).sentences) for story in taught}) == [0, 1, 2]


def test_one_sentence_is_said_by_one_operation_only() -> None:
    said = [sentence for operation in OPERATIONS for sentence in operation.sentences]
    assert len(said) == len(set(said)) == 18
