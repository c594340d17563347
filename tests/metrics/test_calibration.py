from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emosym.errors import UsageError
from emosym.metrics import calibration as c


def test_ece_by_hand() -> None:
    # bins: .15 (wrong) -> gap .15; .62 and .68 (one right) -> |.5 - .65|.
    sure, right = [0.15, 0.62, 0.68], [0, 1, 0]
    assert c.expected_calibration_error(sure, right) == pytest.approx(0.15 / 3 + 0.15 * 2 / 3)


def test_compat_leaves_out_confidence_one() -> None:
    sure, right = [1.0, 1.0, 0.55, 0.55], [0, 0, 1, 1]
    assert c.expected_calibration_error(sure, right) == pytest.approx(0.5 * 1.0 + 0.5 * 0.45)
    assert c.expected_calibration_error(sure, right, mode="compat") == pytest.approx(0.5 * 0.45)


def test_bin_edges_belong_to_the_bin_above() -> None:
    tenths = [k / 10 for k in range(11)]
    counts = [row.count for row in c.reliability_bins(tenths, [1] * 11)]
    assert counts == [1] * 9 + [2]
    compat = [row.count for row in c.reliability_bins(tenths, [1] * 11, mode="compat")]
    assert compat == [1] * 10


def test_empty_bins_are_none_not_zero() -> None:
    rows = c.reliability_bins([0.95], [1])
    assert rows[0].confidence is None
    assert rows[0].accuracy is None
    assert (rows[9].confidence, rows[9].accuracy, rows[9].count) == (0.95, 1.0, 1)


def test_brier_by_hand() -> None:
    assert c.brier_confidence([0.8, 0.6], [1, 0]) == pytest.approx((0.04 + 0.36) / 2)
    rows = [[0.8, 0.2, 0.0], [0.1, 0.6, 0.3]]
    assert c.brier_multiclass(rows, [0, 2]) == pytest.approx((0.08 + 0.01 + 0.36 + 0.49) / 2)
    assert c.brier_multiclass([[0.0, 1.0]], [0]) == 2.0


def test_roc_auc_by_hand_and_undefined() -> None:
    # pairs right x wrong: .9>.5, .9>.2, .5=.5 (half), .5>.2 -> 3.5 / 4.
    assert c.roc_auc([0.9, 0.5, 0.5, 0.2], [1, 1, 0, 0]) == pytest.approx(0.875)
    assert c.roc_auc([0.9, 0.5], [1, 1]) is None
    assert c.roc_auc([0.9, 0.5], [0, 0]) is None


def test_accuracy_and_coverage_by_hand() -> None:
    rows = c.accuracy_coverage([0.15, 0.5, 0.85], [0, 1, 0])
    assert [row.threshold for row in rows] == list(c.THRESHOLDS)
    assert [row.count for row in rows] == [3, 2, 2, 2, 2, 1, 1, 1, 0]
    assert rows[0].accuracy == pytest.approx(1 / 3)
    assert rows[4].coverage == pytest.approx(2 / 3)
    assert rows[5].accuracy == 0.0
    assert rows[8].accuracy is None


@pytest.mark.parametrize(
    ("sure", "right"),
    [([0.5], [1, 0]), ([1.2], [1]), ([-0.1], [1]), ([np.nan], [1]), ([0.5], [0.5]), ([], [])],
)
def test_bad_inputs_are_refused(sure: list[float], right: list[float]) -> None:
    for measure in (
        c.expected_calibration_error,
        c.brier_confidence,
        c.roc_auc,
        c.accuracy_coverage,
        c.reliability_bins,
    ):
        with pytest.raises(UsageError):
            measure(sure, right)


def test_unknown_mode_and_bins_are_refused() -> None:
    with pytest.raises(UsageError, match="corrected"):
        c.expected_calibration_error([0.5], [1], mode="parity")
    with pytest.raises(UsageError, match="bins"):
        c.reliability_bins([0.5], [1], bins=0)


def test_temperature_recovers_the_scale_that_was_applied() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0.0, 2.0, (4000, 8))
    labels = [rng.choice(8, p=row) for row in c.apply_temperature(logits, 1.0)]
    assert c.fit_temperature(3.0 * logits, labels) == pytest.approx(3.0, rel=0.08)
    fitted = c.fit_temperature(0.25 * logits, labels)
    assert fitted == pytest.approx(0.25, rel=0.08)


def test_temperature_has_a_closed_form_for_one_repeated_row() -> None:
    # Two classes, logit gap 2, 3 of 4 right: the optimum has softmax(2 / T) = .75, T = 2 / ln 3.
    logits, labels = np.tile([2.0, 0.0], (4, 1)), [0, 0, 0, 1]
    assert c.fit_temperature(logits, labels) == pytest.approx(2 / np.log(3), rel=1e-5)


def test_temperature_at_its_bounds() -> None:
    assert c.fit_temperature([[1.0, 0.0]], [0]) == pytest.approx(c.TEMPERATURES[0])
    assert c.fit_temperature([[1.0, 0.0]], [1]) == pytest.approx(c.TEMPERATURES[1])
    assert c.fit_temperature(np.zeros((3, 2)), [0, 1, 0]) == 1.0  # nothing to gain


def test_temperature_is_stable_for_large_logits() -> None:
    shares = c.apply_temperature([[5000.0, -5000.0, 4999.0]], 0.5)
    assert np.isfinite(shares).all()
    assert shares.sum() == pytest.approx(1.0)
    assert np.isfinite(c.fit_temperature([[5000.0, -5000.0], [-4000.0, 3.0]], [1, 1]))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_temperatures_are_refused(temperature: float) -> None:
    with pytest.raises(UsageError, match="positive"):
        c.apply_temperature([[1.0, 0.0]], temperature)
    with pytest.raises(UsageError, match="positive"):
        c.nll_of_logits([[1.0, 0.0]], [0], temperature)


logit_sets = arrays(np.float64, (12, 4), elements=st.floats(-20, 20, width=32))


@given(logit_sets, st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_fitting_never_hurts_and_never_changes_the_answer(
    logits: np.ndarray, labels: list[int]
) -> None:
    fitted = c.fit_temperature(logits, labels)
    assert c.TEMPERATURES[0] <= fitted <= c.TEMPERATURES[1]
    before = c.nll_of_logits(logits, labels)
    assert c.nll_of_logits(logits, labels, fitted) <= before + 1e-12
    shares, best = c.apply_temperature(logits, fitted), logits.argmax(axis=1)
    assert (shares[np.arange(12), best] == shares.max(axis=1)).all()


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
def test_ece_stays_in_range_and_compat_never_exceeds(pairs: list[tuple[float, bool]]) -> None:
    sure, right = (list(side) for side in zip(*pairs, strict=True))
    ece = c.expected_calibration_error(sure, right)
    assert 0.0 <= ece <= 1.0 + 1e-12
    one_bin = abs(np.mean(sure) - np.mean(right))
    assert c.expected_calibration_error(sure, right, bins=1) == pytest.approx(one_bin)
    if 1.0 not in sure:
        assert c.expected_calibration_error(sure, right, mode="compat") == ece


def test_summary_is_json() -> None:
    rng = np.random.default_rng(0)
    values = c.calibration_values(rng.dirichlet(np.ones(8), 30), rng.integers(0, 8, 30))
    assert len(json.loads(json.dumps(values, allow_nan=False))["coverage"]) == 9
    names = {"ece", "brier_confidence", "brier_multiclass", "roc_auc"}
    assert set(values) == names | {"thresholds", "coverage", "accuracy_at_coverage"}
