from __future__ import annotations

import numpy as np
import pytest

from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.evaluation.results.result import make_result
from emosym.evaluation.understanding import (
    abstention_values,
    evaluate_understanding,
    negative_log_likelihood,
    raw_values,
)


def rows(*tops: tuple[int, float]) -> np.ndarray:
    """One row per (class, probability), the rest spread evenly."""
    shares = np.empty((len(tops), 8))
    for row, (index, p) in enumerate(tops):
        shares[row] = (1 - p) / 7
        shares[row, index] = p
    return shares


def test_values_by_hand() -> None:
    # Four pictures: right, right, wrong but of the right polarity, wrong polarity.
    probabilities = rows((0, 0.9), (4, 0.8), (1, 0.7), (7, 0.6))
    labels = [0, 4, 2, 3]
    values = evaluate_understanding(probabilities, labels, None, MIKELS8)
    assert values["accuracy"] == 0.5
    assert values["polarity_accuracy"] == 0.75
    assert values["confusion"][2][1] == 1
    assert sum(map(sum, values["confusion"])) == 4
    # Each reading lies alone in its bin: |1 - .9|, |1 - .8|, |0 - .7|, |0 - .6|, a quarter each.
    assert values["ece"] == pytest.approx((0.1 + 0.2 + 0.7 + 0.6) / 4)
    assert values["brier_confidence"] == pytest.approx((0.01 + 0.04 + 0.49 + 0.36) / 4)
    assert values["roc_auc"] == 1.0
    expected = -(np.log(0.9) + np.log(0.8) + np.log(0.3 / 7) + np.log(0.4 / 7)) / 4
    assert values["nll"] == pytest.approx(expected)
    low, high = values["accuracy_interval"]
    assert (low, high) == pytest.approx((0.1500, 0.8500), abs=1e-3)  # Wilson for 2 of 4
    assert values["reliability_count"] == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert values["reliability_accuracy"][-1] == 1.0
    assert values["reliability_accuracy"][0] is None
    assert "best_accuracy" not in values and "votes_kl" not in values
    make_result("understanding", values, 4, 0)  # every value is one the schema allows


def test_raw_values_by_hand() -> None:
    # the same four pictures, stated as .99 each: two right, two wrong, one bin
    values = raw_values(rows((0, 0.99), (4, 0.99), (1, 0.99), (7, 0.99)), [0, 4, 2, 3])
    assert values["accuracy_raw"] == 0.5
    assert values["ece_raw"] == pytest.approx(0.49)
    assert values["brier_confidence_raw"] == pytest.approx((2 * 0.01**2 + 2 * 0.99**2) / 4)
    assert values["nll_raw"] == pytest.approx(-(np.log(0.99) + np.log(0.01 / 7)) / 2)
    assert values["reliability_count_raw"] == [0] * 9 + [4]
    assert values["reliability_accuracy_raw"][-1] == 0.5
    assert values["roc_auc_raw"] == 0.5
    make_result("understanding", values, 4, 0)


def test_abstention_by_hand() -> None:
    probabilities, labels = rows((0, 0.9), (4, 0.8), (1, 0.7), (7, 0.6)), [0, 4, 2, 3]
    values = abstention_values(probabilities, labels, 0.7)  # .7 itself is answered, and wrong
    assert (values["abstain_below"], values["abstain_coverage"]) == (0.7, 0.75)
    assert values["abstain_accuracy"] == pytest.approx(2 / 3)
    low, high = values["abstain_accuracy_interval"]
    assert 0.2 < low < 2 / 3 < high < 0.95
    nothing = abstention_values(probabilities, labels, 0.95)
    assert (nothing["abstain_coverage"], nothing["abstain_accuracy"]) == (0.0, None)
    assert abstention_values(probabilities, labels, None) == {}
    make_result("understanding", nothing, 4, 0)


def test_votes_are_measured_where_there_are_any() -> None:
    votes = rows((0, 0.9), (1, 0.9))
    assert evaluate_understanding(votes, [0, 1], votes, MIKELS8)["votes_kl"] == pytest.approx(0.0)
    assert evaluate_understanding(rows((0, 0.5), (1, 0.5)), [0, 1], votes, MIKELS8)["votes_kl"] > 0
    assert "votes_kl" not in evaluate_understanding(votes, [0, 1], None, MIKELS8)


def test_a_probability_of_zero_stays_finite() -> None:
    assert negative_log_likelihood([[0.0, 1.0]], [0]) == pytest.approx(-np.log(1e-12))


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="8 columns"):
        evaluate_understanding([[0.5, 0.5]], [0], None, MIKELS8)
    with pytest.raises(UsageError, match="same length"):
        evaluate_understanding(rows((0, 0.9)), [0, 1], None, MIKELS8)
