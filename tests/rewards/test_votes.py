from __future__ import annotations

import math

import pytest

from emosym.errors import UsageError
from emosym.rewards.votes import agreement


def test_twenty_voters_ties_and_abstainers() -> None:
    twenty = ["awe"] * 8 + ["fear"] * 8 + ["anger"] * 2 + [None, ""]
    said = ["awe", "Fear.", "anger", "sadness", "awe, fear", "<think>awe</think>", ""]
    got = agreement(said, votes=[twenty] * len(said))
    assert got == [1.0, 1.0, 0.25, 0.0, 0.0, 0.0, 0.0]


def test_rows_that_say_nothing_are_not_applicable() -> None:
    empty: list[object] = [None, [], ["", None, "abstain"], {}, {"awe": 0, "fear": 0.0}]
    assert agreement(["awe"] * 5, votes=empty) == [None] * 5
    assert agreement(["awe"], votes=[{"awe": 0.25, "fear": 0.5, "anger": None}]) == [0.5]


def test_what_is_no_vote_is_told() -> None:
    for bad in ({"awe": math.nan}, {"awe": -1}, {"awe": "many"}, {"awe": math.inf}):
        with pytest.raises(UsageError, match="must be 0 or more"):
            agreement(["awe"], votes=[bad])
    with pytest.raises(UsageError, match="Unknown emotion 'zebra'"):
        agreement(["awe"], votes=[["zebra"]])
    with pytest.raises(UsageError, match="list of labels or weights"):
        agreement(["awe"], votes=["awe"])
    with pytest.raises(UsageError, match="column 'votes'"):
        agreement(["awe"])
