"""Where emotions move in a conversation, against values by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emosym.emotions import LABEL_SPACES, MIKELS8
from emosym.errors import UsageError
from emosym.metrics.dynamics import course, dynamics, inertia

MELD = LABEL_SPACES["meld7"]


def test_a_sure_turn_is_its_word_and_a_mix_lies_between() -> None:
    awe, fear = MIKELS8.index("awe"), MIKELS8.index("fear")
    rows = np.zeros((4, len(MIKELS8)))
    rows[0, awe] = rows[1, fear] = 1.0
    rows[2, [awe, fear]] = 0.5
    rows[3] = np.nan
    found, names = course(rows, MIKELS8)
    assert names == ("valence", "arousal", "dominance")
    assert tuple(found[0]) == pytest.approx((6.85, 3.83, 5.85))
    assert found[2] == pytest.approx((found[0] + found[1]) / 2) and np.isnan(found[3]).all()


def test_without_norms_of_all_labels_it_is_polarity() -> None:
    rows = np.zeros((2, len(MELD)))
    rows[0, MELD.index("joy")], rows[0, MELD.index("anger")] = 0.7, 0.3
    rows[1, MELD.index("neutral")] = 1.0
    found, names = course(rows, MELD)
    assert names == ("polarity",) and found[:, 0] == pytest.approx([0.4, 0.0])


def test_inertia_by_hand() -> None:
    # mean 2.5; deviations -1.5 -.5 .5 1.5; products .75 -.25 .75; squares 5
    assert inertia([1, 2, 3, 4]) == pytest.approx(1.25 / 5)
    assert inertia([1, -1, 1, -1]) == pytest.approx(-0.75)
    assert inertia([2, 2, 2]) is None and inertia([1, 2]) is None
    assert inertia([1, np.nan, 2, 3, 4]) == inertia([1, 2, 3, 4])


def test_each_speaker_has_a_course_of_its_own() -> None:
    states = [[5, 5, 5], [1, 1, 1], [5, 5, 9], [1, 1, 1], [np.nan] * 3]
    found = dynamics(states, ["Ann", "Bo", "Ann", "Bo", "Cy"])
    assert list(found) == ["Ann", "Bo", "Cy"]
    assert found["Ann"]["turns"] == 2 and found["Ann"]["dominance_mean"] == 7.0
    assert (found["Ann"]["largest_move"], found["Ann"]["largest_step"]) == (2, 4.0)
    assert found["Bo"]["valence_spread"] == 0.0 and found["Bo"]["valence_inertia"] is None
    assert found["Cy"] == {**dict.fromkeys(found["Cy"]), "turns": 0}


@given(st.lists(st.floats(1, 9), min_size=3, max_size=20))
def test_inertia_is_a_share(states: list[float]) -> None:
    found = inertia(states)
    assert found is None or -1.0 <= found <= 1.0


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(UsageError, match=r"must be \(turns, 7\)"):
        course(np.ones((2, 3)), MELD)
    with pytest.raises(UsageError, match="2 states but 1 speakers"):
        dynamics(np.ones((2, 3)), ["Ann"])
