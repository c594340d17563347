"""Labels that do not exclude each other: thresholds, Platt scaling, average precision, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emosym.errors import UsageError
from emosym.metrics.label_sets import micro_f1
from emosym.metrics.several import (
    apply_platt,
    best_thresholds,
    fit_platt,
    mean_average_precision,
    said_by_other_half,
    several_values,
)

SHARES = np.array([[0.9, 0.9], [0.7, 0.7], [0.4, 0.4], [0.2, 0.2]])
TRUTH = np.array([[1, 0], [0, 1], [1, 0], [0, 0]])


def test_thresholds_of_the_highest_f1() -> None:
    # first label, by how many are said: 2/3, 1/2, 4/5, 2/3; second: 0, 2/3, 1/2, 2/5
    np.testing.assert_allclose(best_thresholds(SHARES, TRUTH), [0.3, 0.55])
    # equal ones are said together, down to the last; a label that is never true has one half
    tied = np.array([[0.5, 0.5], [0.5, 0.1]])
    np.testing.assert_allclose(best_thresholds(tied, [[1, 0], [0, 0]]), [0.25, 0.5])
    # where all are said, halfway to nothing
    np.testing.assert_allclose(best_thresholds([[0.8], [0.6]], [[1], [1]]), [0.3])


def test_average_precision_over_labels() -> None:
    # first label (1/1 + 2/3) / 2, second 1/2
    assert mean_average_precision(SHARES, TRUTH) == pytest.approx((5 / 6 + 1 / 2) / 2)
    never = np.column_stack([TRUTH[:, 0], np.zeros(4)])
    assert mean_average_precision(SHARES, never) == pytest.approx(5 / 6)
    assert mean_average_precision(SHARES, np.zeros((4, 2))) is None


def test_platt_scaling() -> None:
    np.testing.assert_allclose(
        apply_platt([[1.0, 0.0]], [2.0, 1.0], [-2.0, np.log(3)]), [[0.5, 0.75]]
    )
    truth = np.zeros((400, 1))
    truth[:100] = 1.0
    scale, bias = fit_platt(np.zeros((400, 1)), truth)
    assert scale[0] == pytest.approx(1.0)  # of zeros nothing is known of it
    share = apply_platt([[0.0]], scale, bias)[0, 0]
    assert share == pytest.approx(0.25, abs=0.01)
    assert 400 * (share - 0.25) + bias[0] == pytest.approx(0.0, abs=1e-3)  # the slope is zero there


def test_platt_scaling_undoes_weights_of_true_labels() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(-1.0, 1.5, (4000, 1))
    truth = (rng.random((4000, 1)) < 1 / (1 + np.exp(-logits))).astype(float)
    scale, bias = fit_platt(2.0 * logits + 1.5, truth)
    assert scale[0] == pytest.approx(0.5, abs=0.05) and bias[0] == pytest.approx(-0.75, abs=0.15)


def test_a_sample_has_no_part_in_its_own_threshold() -> None:
    said = said_by_other_half([[0.3], [0.2], [0.1], [0.4]], [[1], [0], [0], [0]])
    # the only true one is above every threshold that it would have chosen, and below one half
    assert not said[0, 0]
    sure = np.repeat([[0.9, 0.1], [0.1, 0.9]], 10, axis=0)
    wanted = np.repeat([[True, False], [False, True]], 10, axis=0)
    np.testing.assert_array_equal(said_by_other_half(sure, wanted), wanted)
    values = several_values(sure / 3, wanted)
    assert values["macro_f1"] == values["micro_f1"] == values["mean_average_precision"] == 1.0
    assert values["macro_f1_at_half"] == values["micro_f1_at_half"] == 0.0


def test_where_all_are_true_even_a_probability_of_0_is_said() -> None:
    shares = np.array([[0.0], [1.0], [1.0]])
    assert best_thresholds(shares, np.ones((3, 1)))[0] == 0.0
    assert best_thresholds(shares, np.array([[0], [1], [1]]))[0] == 0.5


@given(
    arrays(float, (12, 1), elements=st.floats(0, 1)),
    arrays(int, (12, 1), elements=st.integers(0, 1)),
    st.floats(0, 1),
)
def test_no_threshold_is_better(shares: np.ndarray, truth: np.ndarray, other: float) -> None:
    if truth.any():
        best = micro_f1(shares >= best_thresholds(shares, truth), truth > 0)
        assert best >= micro_f1(shares >= other, truth > 0) - 1e-12


def test_what_is_no_truth() -> None:
    with pytest.raises(UsageError, match="must be 0 or 1 of each of 2 labels"):
        best_thresholds(SHARES, TRUTH * 2)
    with pytest.raises(UsageError, match="must be 0 or 1 of each of 2 labels"):
        fit_platt(SHARES, TRUTH[:, :1])
    with pytest.raises(UsageError, match="chosen on probabilities"):
        best_thresholds(SHARES * 2, TRUTH)
    with pytest.raises(UsageError, match="2 numbers each"):
        apply_platt(SHARES, [1.0], [0.0])
