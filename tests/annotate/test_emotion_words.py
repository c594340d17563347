"""Emotion words in all their forms, and none where there is none."""

from __future__ import annotations

import pytest

from emosym.annotate.emotion_words import FAMILIES, emotion_words
from emosym.emotions import LABEL_SPACES, WORD_NORMS


def test_every_label_is_one_in_its_own_space() -> None:
    for space in LABEL_SPACES.values():
        for label in space.labels:
            assert emotion_words(f"It shows {label}.", space.labels) == (label,)
    feelings = set(WORD_NORMS) - {"neutral"}
    assert all(emotion_words(word) == (word,) for word in feelings)
    assert emotion_words("neutral tones") == ()
    assert emotion_words("neutral tones", LABEL_SPACES["meld7"].labels) == ("neutral",)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A SAD dog and a sadder cat.", ("sad", "sadder")),
        ("An awe-inspiring, awesome valley of wonders", ("awe", "awesome", "wonders")),
        ("He looks contented; she is content.", ("contented", "content")),
        ("Frightening, scary, terrifying, eerie", ("frightening", "scary", "terrifying", "eerie")),
        ("excitedly joyful; unhappily, angrily", ("excitedly", "joyful", "unhappily", "angrily")),
        ("disgusting and revolting", ("disgusting", "revolting")),
        ("The scene is amusement_park", ("amusement",)),
        ("Sad, then sad again", ("sad",)),
    ],
)
def test_forms(text: str, found: tuple[str, ...]) -> None:
    assert emotion_words(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "The content of the picture is a saddle on a scarf beside a joystick.",
        "Gladioli and an awning, made in a garage; the furry cat's terrace.",
        "A mouth turned up, tears, a child laughing and clapping, people celebrating.",
        "Its mood is not named, please; a fundamental tendency, hateless.",
        "",
    ],
)
def test_words_that_only_look_like_it_or_are_visible(text: str) -> None:
    assert emotion_words(text) == ()


def test_families_hold_words_alone() -> None:
    """Each pattern is matched whole: an empty alternative would match everywhere."""
    import re

    for forms in FAMILIES.values():
        for form in forms:
            assert not re.fullmatch(form, ""), form
            assert not re.search(rf"\b(?:{form})\b", "the tree stands by a house on a hill")


def test_no_rationale_of_the_storybook_holds_one() -> None:
    from emosym.data import storybook

    for index in range(300):
        story = storybook.draw_story(5, index)
        assert emotion_words(storybook.rationale_of(story)) == ()
        assert emotion_words(storybook.caption_of(story)) == ()
