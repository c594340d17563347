"""Words made alike: what spreadsheets, browsers and old encodings leave in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emosym.data.text import compared, plain


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("He\u2019s gone", "He's gone"),
        ("He\x92s \x93gone\x94\x85", 'He\'s "gone"\u2026'),
        ("He&#39;s &amp; she&rsquo;s", "He's & she's"),
        ("R&B &copy &amp", "R&B &copy &amp"),
        ("Q&A;", "Q&A;"),
        ("a\u00a0b\t c\r\nd\u2028e", "a b c d e"),
        ("it`s", "it's"),
        ("cafe\u0301", "caf\u00e9"),
        ("half \ud83d here", "half here"),
        ("\ud83d\ude00", "\U0001f600"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("nul\0bell\a", "nul bell"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
        (None, ""),
        (7, "7"),
    ],
)
def test_words_become_plain(text: object, words: str) -> None:
    assert plain(text) == words


@given(st.text(st.characters(exclude_categories=())))
def test_plain_text_can_be_written_and_is_one_line(text: str) -> None:
    words = plain(text)
    assert words.encode() is not None and "\n" not in words and words == words.strip()


def test_what_is_compared() -> None:
    assert compared("Oh my God, he\u2019s LOST it (2)!") == "ohmygodheslostit2"
