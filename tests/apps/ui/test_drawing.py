"""Bars and the plane: where things are, and that nothing of a name becomes HTML."""

from __future__ import annotations

import re

import pytest

from emosym.apps.ui.drawing import (
    alert,
    alike,
    at,
    bars,
    percent,
    plane,
    status,
    told_place,
    width_of,
)
from emosym.emotions import MIKELS8


def test_the_plane_has_arousal_upwards() -> None:
    assert at(1.0, 9.0) == (14.0, 14.0)
    assert at(9.0, 1.0) == (334.0, 334.0)
    assert at(5.0, 5.0) == (174.0, 174.0)


def test_nothing_is_less_than_unlike() -> None:
    assert [alike(one) for one in (0.674, 0.0, -0.09)] == ["67 % alike", "0 % alike", "0 % alike"]


def test_a_plane_shows_the_words_of_its_space_and_says_the_place() -> None:
    drawn = plane(MIKELS8, (3.8, 4.9))
    assert sorted(re.findall(r">(\w+)</text></g>", drawn)) == sorted(MIKELS8.labels)
    x, y = at(3.8, 4.9)
    assert f'class="here" cx="{x:.1f}" cy="{y:.1f}"' in drawn
    assert f'aria-label="{told_place((3.8, 4.9))}"' in drawn
    assert "pleasantness 3.8, excitement 4.9" in drawn
    assert "tabindex" not in drawn
    assert "tabindex" in plane(MIKELS8, None, clickable=True)


def test_no_word_lies_under_the_mark_of_the_place() -> None:
    for label in MIKELS8.labels:
        norm = MIKELS8.norm(label)
        assert norm is not None
        place = (norm[0] + 0.3, norm[1])  # the ring lies on the word's beginning or beside its dot
        drawn = plane(MIKELS8, place)
        x, y = at(*place)
        text = r'text class="word" x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)">(\w+)<'
        words = re.findall(text, drawn)
        assert len(words) == len(MIKELS8.labels)
        for left, line, anchor, word in words:
            begin = float(left) - (7 * len(word) if anchor == "end" else 0)
            beside = not begin - 13 < x < begin + 7 * len(word) + 13
            assert beside or float(line) - 10 >= y + 13 or float(line) + 3 <= y - 13, (label, word)


def boxes(drawn: str) -> list[tuple[str, float, float, float, float]]:
    text = r'text class="(?:word|edge)" x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)">([\w ]+)<'
    found = []
    for x, y, anchor, word in re.findall(text, drawn):
        width = width_of(word)
        left = float(x) - {"start": 0, "middle": width / 2, "end": width}[anchor]
        found.append((word, left, float(y) - 10, left + width, float(y) + 3))
    return found


def test_no_word_lies_on_another() -> None:
    places = [(v / 2, a / 2) for v in range(2, 19) for a in range(2, 19)]
    for place in (None, *places):
        words = boxes(plane(MIKELS8, place))
        assert len(words) == len(MIKELS8.labels) + 4
        assert width_of("amusement") == pytest.approx(80.6, abs=2)  # as DejaVu Sans draws it
        for number, (one, left, top, right, bottom) in enumerate(words):
            assert left >= 14 and right <= 334, one
            for other, *box in words[:number]:
                apart = right <= box[0] or box[2] <= left or bottom <= box[1] or box[3] <= top
                assert apart, (place, one, other)


def test_an_interval_is_a_box() -> None:
    drawn = plane(MIKELS8, (5.0, 5.0), interval=((4.0, 6.0), (3.0, 7.0)))
    assert '<rect class="interval" x="134.0" y="94.0" width="80.0" height="160.0"' in drawn


def test_bars_come_largest_first_and_say_what_is_left_out() -> None:
    drawn = bars({"awe": 0.2, "fear": 0.7, "sadness": 0.097, "anger": 0.003}, most=2)
    assert re.findall(r'class="name">(\w+)<', drawn) == ["fear", "awe"]
    assert "and 2 more, each 10 % or less" in drawn
    assert "more" not in bars({"awe": 0.2, "fear": 0.7, "joy": 0.1}, most=2, rest=False)
    assert [percent(share) for share in (0.82, 0.005, 0.004)] == ["82 %", "0 %", "&lt; 1 %"]


def test_words_of_others_do_not_become_html() -> None:
    assert "<b>" not in bars({"<b>": 1.0}) + alert("<b>") + status("<b>", 1, 2)
