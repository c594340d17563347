from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emosym.errors import UsageError
from emosym.evaluation.results.result import make_result
from emosym.metrics.sentiment import constant_values, rounded_accuracy, sentiment_values

SCORES = st.floats(-3.0, 3.0, allow_subnormal=False)


def test_by_hand() -> None:
    truth = [-2.0, -1.0, 0.0, 1.0, 3.0]
    predicted = [-1.0, 0.0, 0.0, -1.0, 2.0]
    values = sentiment_values(predicted, truth)
    # non-negative: truth - - + + +, predicted - + + - +: 3 of 5;
    # F1 of negative 2 * 1 / (2 + 2) = 1/2, of the others 2 * 2 / (3 + 3) = 2/3, weights 2 and 3
    assert values["acc2_non_negative"] == pytest.approx(3 / 5)
    assert values["f1_non_negative"] == pytest.approx((2 * 1 / 2 + 3 * 2 / 3) / 5)
    # without the true 0: truth - - + +, predicted - - (its 0) - +: 3 of 4;
    # F1 of negative 2 * 2 / (2 + 3) = 4/5, of positive 2 * 1 / (2 + 1) = 2/3
    assert values["acc2_positive"] == pytest.approx(3 / 4)
    assert values["f1_positive"] == pytest.approx((2 * 4 / 5 + 2 * 2 / 3) / 4)
    # rounded -1 0 0 -1 2 against -2 -1 0 1 3, which 2 clips to 2
    assert values["acc7"] == pytest.approx(1 / 5)
    assert values["acc5"] == pytest.approx(2 / 5)
    assert values["mae"] == pytest.approx((1 + 1 + 0 + 2 + 1) / 5)
    assert values["pearson"] == pytest.approx(np.corrcoef(predicted, truth)[0, 1])
    make_result("sentiment", values, 5, 0)


def test_halves_round_to_the_even_and_the_ends_are_clipped() -> None:
    truth = [0.0, 2.0, 2.0, -0.0, -2.0, 3.0, -3.0, -3.0]
    predicted = [0.5, 1.5, 2.5, -0.5, -2.5, 7.0, -2.51, -2.4]
    assert rounded_accuracy(predicted, truth, 3) == pytest.approx(7 / 8)  # -2.4 is -2
    assert rounded_accuracy(predicted, truth, 2) == 1.0
    assert rounded_accuracy([1.2], [1.6], 3) == 0.0
    with pytest.raises(UsageError, match="same length"):
        rounded_accuracy([1.0], [1.0, 2.0], 3)


def test_polarities_alone_have_no_distance() -> None:
    values = sentiment_values([1, 0, -1], [1, -1, -1], scored=False)
    assert sorted(values) == [
        "acc2_non_negative",
        "acc2_positive",
        "f1_non_negative",
        "f1_positive",
    ]
    assert values["acc2_non_negative"] == pytest.approx(2 / 3)
    assert values["acc2_positive"] == 1.0


def test_what_is_undefined_is_none() -> None:
    values = sentiment_values([0.5, -0.5], [0.0, 0.0])
    assert values["acc2_positive"] is None
    assert values["f1_positive"] is None
    assert values["pearson"] is None
    assert values["acc2_non_negative"] == 0.5
    assert sentiment_values([1.0], [1.0])["pearson"] is None


@settings(max_examples=60)
@given(st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=20))
def test_order_and_copies_change_nothing(rows: list[tuple[float, float]]) -> None:
    table = np.asarray(rows)

    def score(some: np.ndarray) -> dict[str, float | None]:
        return {k: v for k, v in sentiment_values(some[:, 0], some[:, 1]).items() if k != "pearson"}

    once = score(table)
    assert score(table[::-1]) == pytest.approx(once)
    assert score(np.repeat(table, 3, axis=0)) == pytest.approx(once)
    assert all(v is None or 0.0 <= v <= 1.0 for k, v in once.items() if k != "mae")
    same = sentiment_values(table[:, 1], table[:, 1])
    assert same["acc2_non_negative"] == 1.0
    assert same["mae"] == 0.0


def test_refusals() -> None:
    for predicted, truth in (([np.nan], [1.0]), ([1.0], [1.0, 2.0]), ([], [])):
        with pytest.raises(UsageError):
            sentiment_values(predicted, truth)


def test_constant_answers_by_hand() -> None:
    values = constant_values([-1.0, 0.0, 2.0, 2.2])
    assert values["majority_acc2_non_negative"] == 0.75
    # always "0 or more": its F1 is 2 * 3 / (4 + 3), weighted by 3 of 4
    assert values["majority_f1_non_negative"] == pytest.approx(6 / 7 * 3 / 4)
    assert values["majority_acc2_positive"] == pytest.approx(2 / 3)
    assert values["majority_acc7"] == values["majority_acc5"] == 0.5
    assert values["median_mae"] == pytest.approx((2 + 1 + 1 + 1.2) / 4)
    assert constant_values([0.0], scored=False)["majority_acc2_positive"] is None
