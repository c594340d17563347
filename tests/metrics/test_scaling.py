"""Vector scaling, its cross-validation and the abstention threshold, with values by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emosym.errors import UsageError
from emosym.metrics import scaling as s
from emosym.metrics.calibration import apply_temperature, fit_temperature, nll_of_logits


def drawn(count: int, scale: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, 4) whose labels are drawn from softmax(scale * logits + bias)."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0.0, 2.0, (count, 4))
    shares = s.apply_vector(logits, scale, bias)
    return logits, np.array([rng.choice(4, p=row) for row in shares])


def test_a_map_by_hand() -> None:
    # centred: (ln 3, -ln 3), and the second is scaled away: 3/4 and 1/4
    shares = s.apply_vector([[2 * np.log(3), 0.0], [5.0, 5.0]], [1.0, 0.0], [0.0, 0.0])
    assert shares == pytest.approx(np.array([[0.75, 0.25], [0.5, 0.5]]))
    assert s.apply_vector([[1.0, 1.0]], [1.0, 1.0], [0.0, np.log(4)]) == pytest.approx(
        np.array([[0.2, 0.8]])
    )


def test_only_the_differences_of_logits_count() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0.0, 2.0, (60, 3)), rng.integers(0, 3, 60)
    shifted = logits + rng.normal(0.0, 5.0, (60, 1))
    scale, bias = s.fit_vector_scaling(logits, labels)
    again = s.fit_vector_scaling(shifted, labels)
    assert again[0] == pytest.approx(scale, abs=1e-4)
    assert s.apply_vector(shifted, scale, bias) == pytest.approx(
        s.apply_vector(logits, scale, bias)
    )


def test_the_bias_of_logits_that_say_nothing_is_the_log_odds_of_the_labels() -> None:
    # 3 of 4 are class 0: without a ridge b0 - b1 = ln 3, and the scale has nothing to act on.
    scale, bias = s.fit_vector_scaling(np.zeros((4, 2)), [0, 0, 0, 1], ridge=1e-9)
    assert bias[0] - bias[1] == pytest.approx(np.log(3), abs=1e-4)
    assert scale == pytest.approx([1.0, 1.0])


def test_the_ridge_holds_back_by_the_amount_that_its_equation_says() -> None:
    # minimum of 4 NLL + (b0^2 + b1^2) / 2 with b1 = -b0 = -b: 4 (sigmoid(2 b) - 3/4) + b = 0
    scale, bias = s.fit_vector_scaling(np.zeros((4, 2)), [0, 0, 0, 1], ridge=1.0)
    assert bias[1] == pytest.approx(-bias[0], abs=1e-6)
    assert 4 * (1 / (1 + np.exp(-2 * bias[0])) - 0.75) + bias[0] == pytest.approx(0, abs=1e-5)
    assert 0 < bias[0] < np.log(3) / 2 and scale == pytest.approx([1.0, 1.0])


def test_where_a_temperature_is_enough_it_is_what_comes_out() -> None:
    # one repeated row, gap 2, 3 of 4 right: T = 2 / ln 3 is exact, so no gradient is left
    logits, labels = np.tile([2.0, 0.0], (4, 1)), [0, 0, 0, 1]
    scale, bias = s.fit_vector_scaling(logits, labels)
    assert scale == pytest.approx(np.full(2, np.log(3) / 2), rel=1e-4)
    assert bias == pytest.approx(np.zeros(2), abs=1e-4)


def test_it_recovers_a_scale_and_a_bias_of_each_class() -> None:
    wanted_scale, wanted_bias = np.array([0.5, 1.0, 1.5, 0.8]), np.array([1.0, 0.0, -1.0, 0.0])
    logits, labels = drawn(6000, wanted_scale, wanted_bias)
    scale, bias = s.fit_vector_scaling(logits, labels)
    assert scale == pytest.approx(wanted_scale, abs=0.12)
    assert bias - bias.mean() == pytest.approx(wanted_bias, abs=0.15)


def test_a_class_that_was_never_seen_stays_possible() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0.0, 1.0, (200, 3))
    scale, bias = s.fit_vector_scaling(logits, rng.integers(0, 2, 200))
    assert np.isfinite(scale).all() and np.isfinite(bias).all()
    assert bias[2] < bias[:2].min()
    assert s.apply_vector(logits, scale, bias)[:, 2].min() > 0


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(1, 40))
def test_fitting_is_never_worse_than_the_temperature_it_starts_from(
    seed: int, classes: int, count: int
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, rng.uniform(0.1, 20.0), (count, classes))
    labels = rng.integers(0, classes, count)
    scale, bias = s.fit_vector_scaling(logits, labels)
    mapped = s.scaled(logits, scale, bias)
    before = nll_of_logits(logits, labels, fit_temperature(logits, labels))
    assert nll_of_logits(mapped, labels) <= before + 1e-9
    # samples in another order give the same map
    order = rng.permutation(count)
    again = s.fit_vector_scaling(logits[order], labels[order])
    assert s.apply_vector(logits, *again) == pytest.approx(
        s.apply_vector(logits, scale, bias), abs=2e-3
    )


def test_losses_by_hand() -> None:
    found = s.log_losses_of_logits([[np.log(3), 0.0], [1000.0, -1000.0]], [1, 0])
    assert found == pytest.approx([np.log(4), 0.0])


def test_cross_validation_sees_what_helps_and_what_does_not() -> None:
    logits, labels = drawn(1500, np.array([0.4, 1.0, 1.6, 1.0]), np.array([1.5, 0.0, -1.5, 0.0]))
    losses = s.cross_validated(logits, labels)
    gain = losses["temperature"] - losses["vector"]
    assert gain.mean() > 3 * gain.std(ddof=1) / len(gain) ** 0.5
    logits, labels = drawn(300, np.full(4, 0.5), np.zeros(4))
    losses = s.cross_validated(logits, labels)
    gain = losses["temperature"] - losses["vector"]
    assert gain.mean() < gain.std(ddof=1) / len(gain) ** 0.5
    # held out: no sample's loss comes from a fit to itself, so the mean is above the fitted one
    fitted = nll_of_logits(logits, labels, fit_temperature(logits, labels))
    assert losses["temperature"].mean() > fitted


def test_folds_are_stratified_and_always_the_same() -> None:
    rng = np.random.default_rng(2)
    logits, labels = rng.normal(size=(20, 2)), np.repeat([0, 1], 10)
    first, second = (s.cross_validated(logits, labels, folds=10) for _ in range(2))
    assert all(np.array_equal(first[k], second[k]) for k in s.METHODS)
    # 10 of each in 10 folds: each fit sees 9 and 9, so logits without content give ln 2 exactly
    flat = s.cross_validated(np.zeros((20, 2)), labels, folds=10)
    assert flat["vector"] == pytest.approx(np.full(20, np.log(2)), abs=1e-6)
    with pytest.raises(UsageError, match="folds"):
        s.cross_validated(logits[:3], labels[:3], folds=5)


def test_the_threshold_by_hand() -> None:
    # from the surest: right right wrong right | wrong; accuracies 1, 1, 2/3, 3/4, 3/5
    sure, right = [0.5, 0.9, 0.8, 0.7, 0.6], [0, 1, 1, 0, 1]
    found = s.choose_abstention(sure, right, target=0.75, fewest=1)
    assert found == s.Abstention(0.6, 0.8, 0.75, 4)
    assert s.choose_abstention(sure, right, target=0.8, fewest=1) == s.Abstention(0.8, 0.4, 1.0, 2)
    assert s.choose_abstention(sure, right, target=0.8, fewest=3) is None
    assert s.choose_abstention(sure, right, target=0.6, fewest=1) == s.Abstention(0.5, 1.0, 0.6, 5)
    assert s.choose_abstention([0.9], [0], fewest=1) is None


def test_equal_confidences_are_answered_together_or_not_at_all() -> None:
    sure, right = [0.9, 0.8, 0.8, 0.8], [1, 1, 0, 0]
    assert s.choose_abstention(sure, right, 0.95, 1) == s.Abstention(0.9, 0.25, 1.0, 1)
    # 19 of 20 is .95 exactly, and counts
    exact = s.choose_abstention([0.7] * 20, [1] * 19 + [0], 0.95)
    assert exact == s.Abstention(0.7, 1.0, 0.95, 20)


@given(
    st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=60),
    st.sampled_from([0.5, 0.8, 0.95, 1.0]),
)
def test_what_is_answered_is_as_right_as_promised(
    rows: list[tuple[int, bool]], target: float
) -> None:
    sure, right = np.array([row[0] / 10 for row in rows]), np.array([row[1] for row in rows])
    found = s.choose_abstention(sure, right, target, fewest=1)
    reached = [t for t in np.unique(sure) if right[sure >= t].mean() >= target - 1e-9]
    if found is None:
        assert not reached
        return
    answered = sure >= found.threshold
    assert found.threshold == min(reached) and found.count == answered.sum()
    assert (found.coverage, found.accuracy) == pytest.approx(
        (answered.mean(), right[answered].mean())
    )


def test_bad_input_is_refused() -> None:
    with pytest.raises(UsageError, match="same length"):
        s.fit_vector_scaling([[1.0, 0.0]], [0, 1])
    with pytest.raises(UsageError, match="NaN"):
        s.fit_vector_scaling([[np.nan, 0.0]], [0])
    with pytest.raises(UsageError, match="outside the label space"):
        s.fit_vector_scaling([[1.0, 0.0]], [2])
    with pytest.raises(UsageError, match="ridge"):
        s.fit_vector_scaling([[1.0, 0.0]], [0], ridge=0.0)
    with pytest.raises(UsageError, match="2 numbers each"):
        s.apply_vector([[1.0, 0.0]], [1.0], [0.0])
    for target, fewest in ((0.0, 1), (1.1, 1), (0.9, 0)):
        with pytest.raises(UsageError, match="target accuracy"):
            s.choose_abstention([0.5], [1], target, fewest)
    with pytest.raises(UsageError):
        s.choose_abstention([0.5, 0.4], [1])
    assert apply_temperature([[0.0, 0.0]], 1.0).tolist() == [[0.5, 0.5]]
