from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.toy_wheels import FORMS, write_wheels

from emosym.data.wheel_tables import Wheels, read_wheels
from emosym.errors import UsageError
from emosym.metrics.wheel import (
    candidates,
    length_penalty,
    ring_labels,
    wheel_f1,
    wheel_values,
)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    return read_wheels(write_wheels(tmp_path_factory.mktemp("wheels")))


def test_words_fall_onto_rings(wheels: Wheels) -> None:
    assert candidates("Unhappily ", wheels) == ("sad",)
    assert ring_labels(["unhappily", "sad"], wheels, 0) == {"sad"}
    assert ring_labels(["unhappily"], wheels, 1) == {"bad"}
    assert ring_labels(["cheekier", "sadly"], wheels, 0, level=2) == {"playful", "hurt"}
    assert ring_labels(["odd", "zebra", "", "très triste"], wheels, 0) == set()
    with pytest.raises(UsageError, match="1 or 2, got 3"):
        ring_labels(["sad"], wheels, 0, level=3)
    with pytest.raises(UsageError, match="There are 5 wheels"):
        ring_labels(["sad"], wheels, 5)


def test_the_alphabetical_rule_calls_fear_by_a_positive_label(wheels: Wheels) -> None:
    """Kept as published: fear is a form of fearless, and brave stands before scared."""
    assert candidates("fear", wheels) == ("brave", "scared")
    assert ring_labels(["fear"], wheels, 0) == {"glad"}
    assert ring_labels(["fear"], wheels, 1) == set()  # not on the second wheel


def test_scores_by_hand(wheels: Wheels) -> None:
    predicted = [["glad"], ["sad", "mad"], None, ["glad", "zebra"]]
    truth = [["cheekier"], ["unhappy"], ["jealous"], ["zebra"]]
    got = wheel_values(predicted, truth, wheels)
    # Wheels 1, 3, 4, 5: truths glad, sad, sad; the last is on no wheel and is left out.
    # Predictions {glad}, {sad, mad}, {}: P = (1 + 1/2 + 0)/3, R = (1 + 1 + 0)/3, F = 4/7.
    # Wheel 2 knows only unhappy -> bad, and both words said are bad: P = R = F = 1.
    assert got["precision_per_wheel"] == pytest.approx([0.5, 1.0, 0.5, 0.5, 0.5])
    assert got["recall_per_wheel"] == pytest.approx([2 / 3, 1.0, 2 / 3, 2 / 3, 2 / 3])
    assert got["f1_per_wheel"] == pytest.approx([4 / 7, 1.0, 4 / 7, 4 / 7, 4 / 7])
    assert got["scored_per_wheel"] == [3, 1, 3, 3, 3]
    assert got["wheel_f1"] == pytest.approx((4 * 4 / 7 + 1) / 5)
    assert got["hit_rate_per_wheel"] == pytest.approx([2 / 3, 1.0, 2 / 3, 2 / 3, 2 / 3])
    assert got["unknown_words"] == pytest.approx(1 / 5)
    assert got["words_per_answer"] == pytest.approx(5 / 4)
    # Everything there is hits always, at a precision of 1 of 3 labels (1 of 2 on wheel 2).
    assert got["all_labels_wheel_hit_rate"] == 1.0
    assert got["all_labels_wheel_f1"] == pytest.approx((4 * 0.5 + 2 / 3) / 5)


def test_one_sample_by_hand(wheels: Wheels) -> None:
    assert wheel_f1(["sad", "mad"], ["unhappy"], wheels) == pytest.approx((4 * 2 / 3 + 1) / 5)
    assert wheel_f1([], ["unhappy"], wheels) == 0.0
    assert wheel_f1(["sad"], ["zebra"], wheels) is None
    assert length_penalty(2, 2) == length_penalty(0, 1) == 1.0
    assert length_penalty(3, 1) == pytest.approx(math.log(2) / math.log(4))


def test_nothing_that_a_wheel_knows_is_no_number(wheels: Wheels) -> None:
    got = wheel_values([["sad"]], [["zebra"]], wheels)
    assert got["wheel_f1"] is None
    assert got["f1_per_wheel"] == [None] * 5
    assert wheel_values([[]], [["sad"]], wheels)["unknown_words"] is None
    with pytest.raises(UsageError, match="no samples"):
        wheel_values([], [], wheels)
    with pytest.raises(UsageError, match="same length"):
        wheel_values([["sad"]], [], wheels)


WORDS = st.lists(st.sampled_from([*FORMS, "zebra", "", "10" * 50]), max_size=8)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4), st.sampled_from([1, 2]))
def test_scores_stay_in_range_and_perfect_answers_get_1(
    wheels: Wheels, rows: list[tuple[list[str], list[str]]], level: int
) -> None:
    said, true = zip(*rows, strict=True)
    got = wheel_values(said, true, wheels, level)
    perfect = wheel_values(true, true, wheels, level)
    for name in ("wheel_f1", "wheel_precision", "wheel_recall", "wheel_hit_rate"):
        assert got[name] is None or 0.0 <= got[name] <= 1.0
        assert perfect[name] in (None, 1.0)
