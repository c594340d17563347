"""Label-blind sentences: what is seen, and never the emotion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emosym.annotate.attributes import describe_attributes
from emosym.emotions import WORD_NORMS


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({}, "A picture."),
        ({"scene": "beach"}, "The scene is beach."),
        (
            {
                "scene": "snow_field",
                "object": ["dog", "red_balloon"],
                "facial_expression": "laugh",
                "human_action": "running",
                "brightness": 0.1,
                "colorfulness": 0.9,
            },
            "The scene is snow field, there is dog, red balloon, the face shows laugh, someone is "
            "running, the picture is dark, the picture is full of colour.",
        ),
        ({"object": "cat"}, "There is cat."),
        ({"human_action": "reading"}, "Someone is reading."),
        ({"brightness": 0.7}, "The picture is bright."),
        (
            {"brightness": 0.3, "colorfulness": 0.2},
            "The picture is dark, the picture is muted in colour.",
        ),
        ({"brightness": 0.5, "colorfulness": None}, "A picture."),
        ({"scene": None, "object": []}, "A picture."),
    ],
)
def test_sentences(attributes: dict, sentence: str) -> None:
    assert describe_attributes(attributes) == sentence


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "scene": st.sampled_from(["beach", "street"]),
            "object": st.lists(st.sampled_from(["dog", "tree"]), max_size=3),
            "brightness": st.floats(0, 1),
            "colorfulness": st.floats(0, 1),
            "emotion": st.sampled_from(sorted(WORD_NORMS)),
            "label": st.sampled_from(sorted(WORD_NORMS)),
        },
    )
)
def test_no_emotion_word_gets_in(attributes: dict) -> None:
    text = describe_attributes(attributes)
    assert not any(word in text.lower() for word in WORD_NORMS)
    assert text.endswith(".") and text[0].isupper() and text.count(".") == 1
