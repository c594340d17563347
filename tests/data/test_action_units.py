"""The table of action units: codes, phrases, and what is read out of words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emosym.data.action_units import (
    EMOTION_UNITS,
    UNITS,
    unit_code,
    unit_phrases,
    units_in,
    units_of,
)
from emosym.errors import UsageError

CODES = st.sets(st.sampled_from(sorted(UNITS)))


def test_the_table_is_sound() -> None:
    phrases = [p for unit in UNITS.values() for p in (unit.phrase, unit.name, *unit.also)]
    assert len(set(phrases)) == len(phrases), "a phrase says two units"
    assert all(code == unit.code for code, unit in UNITS.items())
    assert all(set(units) <= set(UNITS) for units in EMOTION_UNITS.values())


@given(CODES)
@settings(deadline=None)
def test_phrases_are_read_back(codes: set[str]) -> None:
    said = unit_phrases(codes)
    assert units_in(said) == units_in(said.upper()) == tuple(sorted(codes))


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Inner brows raised", ("AU01",)),
        ("Brows raised", ("AU01", "AU02")),
        ("AU4, au_06 and AU 12", ("AU04", "AU06", "AU12")),
        ("AU45 but not AU450 or AU99", ("AU45",)),
        ("Eyes narrowing; Slightly puzzled", ("AU07",)),
        ("The lid tightener, the brow lowerer.", ("AU04", "AU07")),
        ("nothing of the kind", ()),
    ],
)
def test_units_in_words(text: str, codes: tuple[str, ...]) -> None:
    assert units_in(text) == codes


def test_misspelt_phrases_are_read_where_asked() -> None:
    assert units_in("Brows lowerd; cheeks raized") == ()
    assert units_in("Brows lowerd; cheeks raized", near=True) == ("AU04", "AU06")
    assert units_in("Slightly puzzled", near=True) == ()


def test_codes_and_emotions() -> None:
    assert [unit_code(name) for name in ("AU04_r", "au4", " 4", "AU45_c")] == [
        *("AU04",) * 3,
        "AU45",
    ]
    assert [unit_code(name) for name in ("AU99", "AUx", "", "confidence", "AU00")] == [None] * 5
    assert units_of("Happines") == EMOTION_UNITS["joy"] and units_of("neutral") == ()
    assert units_of("hunger") is None
    with pytest.raises(UsageError, match="AU99"):
        unit_phrases(["AU99"])
    assert unit_phrases([]) == "None"
