from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emosym.errors import UsageError
from emosym.metrics import intervals as i
from emosym.metrics.calibration import roc_auc
from emosym.metrics.classification import macro_f1


def test_bootstrap_is_seeded_and_near_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(5.0, 2.0, 400)
    one, again = i.bootstrap_mean(values, seed=1), i.bootstrap_mean(values, seed=1)
    assert one == again
    assert one != i.bootstrap_mean(values, seed=2)
    half = 1.96 * values.std() / 20
    assert one.value == pytest.approx(values.mean())
    assert one.low == pytest.approx(values.mean() - half, abs=0.05)
    assert one.high == pytest.approx(values.mean() + half, abs=0.05)


def test_bootstrap_keeps_predictions_with_their_truth() -> None:
    truth = np.arange(40) % 4
    found = i.bootstrap([truth, truth], lambda g, t: macro_f1(g, t, 4), seed=0, draws=100)
    assert (found.low, found.value, found.high) == (1.0, 1.0, 1.0)


def test_pairing_narrows_the_interval() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 5, 200)
    first, second = hard + 0.5 + rng.normal(0, 0.1, 200), hard + rng.normal(0, 0.1, 200)
    paired = i.paired_bootstrap(first, second, seed=0)
    assert paired.excludes(0.0)
    assert paired.low <= 0.5 <= paired.high
    alone = i.bootstrap_mean(first, seed=0)
    assert paired.high - paired.low < 0.1 * (alone.high - alone.low)
    same = i.paired_bootstrap(first, first, seed=0)
    assert (same.low, same.value, same.high) == (0.0, 0.0, 0.0)
    assert not same.excludes(0.0)


def test_an_unpaired_interval_is_as_wide_as_both_sides_chance() -> None:
    first, second = np.repeat([1.0, 0.0], [60, 40]), np.repeat([1.0, 0.0], [300, 100])
    found = i.unpaired_bootstrap(first, second, seed=0)
    assert found.value == pytest.approx(0.6 - 0.75)
    width = 2 * 1.96 * np.sqrt(0.6 * 0.4 / 100 + 0.75 * 0.25 / 400)  # of two independent shares
    assert found.high - found.low == pytest.approx(width, rel=0.08)
    same = i.unpaired_bootstrap([1, 1], [1, 1, 1], seed=0)
    assert (same.low, same.value, same.high) == (0.0, 0.0, 0.0)
    with pytest.raises(UsageError, match="NaN"):
        i.unpaired_bootstrap([1, np.nan], [1], seed=0)


def test_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    inside = 0
    for trial in range(200):
        found = i.bootstrap_mean(rng.normal(0, 1, 60), seed=trial, draws=200)
        inside += not found.excludes(0.0)
    assert 0.88 <= inside / 200 <= 0.99


def test_wilson_by_hand() -> None:
    found = i.wilson(8, 10)
    z = 1.959963984540054
    centre = (0.8 + z * z / 20) / (1 + z * z / 10)
    half = z * np.sqrt(0.8 * 0.2 / 10 + z * z / 400) / (1 + z * z / 10)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half))
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert i.wilson(0, 10).low == 0.0
    assert i.wilson(10, 10).high == 1.0
    assert i.wilson(0, 10).high == pytest.approx(z * z / (10 + z * z))


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_is_symmetric(pair: tuple[int, int]) -> None:
    successes, count = pair
    found, mirror = i.wilson(successes, count), i.wilson(count - successes, count)
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0
    assert found.low == pytest.approx(1.0 - mirror.high, abs=1e-12)
    wide = i.wilson(successes, count, level=0.99)
    assert wide.low <= found.low
    assert wide.high >= found.high


def test_bad_inputs_are_refused() -> None:
    for successes, count in ((1, 0), (-1, 5), (6, 5)):
        with pytest.raises(UsageError):
            i.wilson(successes, count)
    with pytest.raises(UsageError, match="level"):
        i.wilson(1, 2, level=95)
    with pytest.raises(UsageError, match="same length"):
        i.paired_bootstrap([1, 2], [1], seed=0)
    with pytest.raises(UsageError, match="NaN"):
        i.paired_bootstrap([1, np.nan], [1, 2], seed=0)
    with pytest.raises(UsageError, match="at least one array"):
        i.bootstrap([], lambda: 0.0, seed=0)
    with pytest.raises(UsageError, match="at least one sample"):
        i.bootstrap([np.empty(0)], lambda x: 0.0, seed=0)
    with pytest.raises(UsageError, match="100 draws"):
        i.bootstrap_mean([1, 2], seed=0, draws=10)
    with pytest.raises(UsageError, match="undefined"):
        i.bootstrap([np.asarray([0.5, 0.6]), np.asarray([1, 0])], roc_auc, seed=0)
