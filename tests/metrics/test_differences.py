"""Tests of paired differences: by hand, and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from emosym.metrics.differences import (
    crossed_difference,
    equivalence_p,
    holm,
    paired_test,
    power_of,
)


def test_a_paired_test_by_hand() -> None:
    found = paired_test([0.02, 0.04, 0.06])
    assert found is not None
    assert (found.mean, found.n) == (pytest.approx(0.04), 3)
    assert found.deviation == pytest.approx(0.02)
    # t = .04 / (.02 / sqrt 3) = 3.4641, two degrees of freedom: p = 1/2 - t / (2 sqrt(2 + t^2))
    t = 2 * 3**0.5
    assert found.p == pytest.approx(0.5 - t / (2 * (2 + t * t) ** 0.5))
    assert found.low == pytest.approx(0.04 - 4.302653 * 0.02 / 3**0.5)
    assert paired_test([0.1]) is None


def test_it_is_scipys() -> None:
    values = np.random.default_rng(0).normal(0.03, 0.05, 14)
    for bound in (0.0, -0.02, 0.05):
        found = paired_test(values.tolist(), bound)
        wanted = ttest_1samp(values, bound, alternative="greater")
        assert found is not None and found.p == pytest.approx(wanted.pvalue)


def test_equal_differences_have_no_spread() -> None:
    above, below = paired_test([0.01, 0.01]), paired_test([0.01, 0.01], 0.02)
    assert above is not None and below is not None and (above.p, below.p) == (0.0, 1.0)


def test_equivalence_is_the_worse_of_two_tests() -> None:
    values = [0.001, -0.002, 0.003, 0.0]
    above, below = paired_test(values, -0.02), paired_test([-v for v in values], -0.02)
    assert above is not None and below is not None
    assert equivalence_p(values, 0.02) == max(above.p, below.p) < 0.01
    assert (equivalence_p([0.03, 0.031, 0.029], 0.02) or 0) > 0.9


def test_holm_by_hand() -> None:
    # .01 * 4, .02 * 3, .03 * 2 (not below .06), .04 * 1
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_only_raises(chances: list[float]) -> None:
    found = holm(chances)
    assert all(p <= q <= 1 for p, q in zip(chances, found, strict=True))
    order = sorted(range(len(chances)), key=lambda i: chances[i])
    assert [found[i] for i in order] == sorted(found)


def test_power_is_how_often_a_drawn_study_sees_it() -> None:
    rng = np.random.default_rng(1)
    drawn = rng.normal(0.05, 0.076, (4000, 14))
    p = ttest_1samp(drawn, 0.0, axis=1, alternative="greater").pvalue
    assert power_of(0.05, 0.076, 14) == pytest.approx((p < 0.05).mean(), abs=0.03)
    assert power_of(0.0, 0.076, 14) == pytest.approx(0.05, abs=1e-6)
    assert power_of(0.05, 0.076, 1) == 0.0 and power_of(0.05, 0.0, 5) == 1.0


def test_seeds_and_samples_crossed_by_hand() -> None:
    # rows .5 and 0, columns 0 and .5, mean .25; what is left is +-.25 everywhere
    found = crossed_difference(np.array([[0.0, 1.0], [0.0, 0.0]]))
    assert found is not None and found.mean == 0.25
    # mean squares .25, .25 and .25 of one degree each: no effect beyond what is left
    assert (found.of_seeds, found.of_samples, found.of_both) == (0.0, 0.0, pytest.approx(0.25))
    half = 12.7062 * (0.25 / 4) ** 0.5
    assert (found.low, found.high) == (pytest.approx(0.25 - half), pytest.approx(0.25 + half))
    # seeds .1 apart and samples .2 apart, nothing left: 2 (.05^2 + .05^2), 2 (.1^2 + .1^2)
    added = crossed_difference(np.array([[0.0, 0.2], [0.1, 0.3]]))
    assert added is not None and added.of_both == pytest.approx(0.0, abs=1e-12)
    assert (added.of_seeds, added.of_samples) == (pytest.approx(0.005), pytest.approx(0.02))
    degrees = 0.05**2 / (0.01**2 + 0.04**2)
    half = float(student.ppf(0.975, degrees)) * (0.05 / 4) ** 0.5
    assert added.high == pytest.approx(0.15 + half)
    assert crossed_difference(np.zeros((1, 5))) is None


def test_crossed_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng, hits = np.random.default_rng(0), 0
    for _ in range(400):
        noise = rng.normal(0, 0.3, (8, 40))
        drawn = 0.1 + rng.normal(0, 0.05, (8, 1)) + rng.normal(0, 0.2, (1, 40)) + noise
        found = crossed_difference(drawn)
        assert found is not None
        hits += found.low <= 0.1 <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_without_samples_effect_it_is_the_paired_test_of_seeds() -> None:
    seeds = np.array([0.1, 0.2, 0.4])
    found = crossed_difference(np.repeat(seeds[:, None], 5, axis=1))
    plain = paired_test(seeds.tolist())
    assert found is not None and plain is not None
    assert (found.low, found.high) == (pytest.approx(plain.low), pytest.approx(plain.high))
