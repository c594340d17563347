"""Cues named and cues there, by hand."""

from __future__ import annotations

import pytest

from emosym.errors import UsageError
from emosym.metrics.cues import cue_values

SAID = [{"face": frozenset("ab"), "words": frozenset()}, {"face": frozenset("c"), "words": {"x"}}]
THERE = [
    {"face": frozenset("a"), "words": frozenset("z")},
    {"face": frozenset("d"), "words": {"x"}},
]


def test_values_by_hand() -> None:
    values = cue_values(SAID, THERE, ("face", "words"))  # type: ignore[arg-type]
    # face: 1 hit, 3 named, 2 there; words: 1 hit, 1 named, 2 there
    assert values["cue_precision"] == 0.5 and values["cue_recall"] == 0.5
    assert values["cue_f1"] == 0.5 and values["cues"] == 4
    assert values["precision_face"] == pytest.approx(1 / 3) and values["recall_face"] == 0.5
    assert values["precision_words"] == 1.0 and values["cues_words"] == 2


def test_of_nothing_there_is_no_share() -> None:
    none: dict[str, frozenset[str]] = {"face": frozenset()}
    values = cue_values([none], [none], ("face",))
    assert values["cue_precision"] is None and values["cue_recall"] is None
    with pytest.raises(UsageError, match="no texts"):
        cue_values([], [], ("face",))
    with pytest.raises(UsageError):
        cue_values([none], [], ("face",))
