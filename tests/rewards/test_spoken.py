from __future__ import annotations

import pytest

from emosym.rewards.spoken import spoken_confidence


@pytest.mark.parametrize(
    ("said", "sure"),
    [
        ("Joy. I am 70 % sure.", 0.7),
        ("I'm about 70% confident that it is joy", 0.7),
        ("Awe, 85 percent certain", 0.85),
        ("Confidence: 0.8", 0.8),
        ("confidence level: 80", 0.8),
        ("My confidence is roughly 80 %.", 0.8),
        ("with 0,75 confidence", 0.75),
        ("I am 7/10 sure", 0.7),
        ("confidence: 8 out of 10", 0.8),
        ("<think>10% sure</think><answer>awe</answer><confidence>0.9</confidence>", 0.9),
        ("100 % sure", 1.0),
        ("I am 0 % sure", 0.0),
        ("Joy.", None),
        ("", None),
        ("There are 70 people.", None),
        ("I am 70 % sure, or 30 % sure", None),
        ("150 % sure", None),
        ("confidence: nan", None),
        ("confidence: inf", None),
        ("<confidence>nan</confidence>", None),
        ("confidence: 3/0", None),
        ("我有七成把握", None),
        ("sure " * 10_000, None),
        ("1" * 10_000 + " % sure", None),
    ],
)
def test_confidence_in_words(said: str, sure: float | None) -> None:
    found = spoken_confidence(said)
    assert found == (None if sure is None else pytest.approx(sure))
