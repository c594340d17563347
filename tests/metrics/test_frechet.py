from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from emosym.errors import UsageError
from emosym.metrics import frechet as f


def test_one_dimension_by_hand() -> None:
    # means 1 and 6, standard deviations (N - 1) sqrt(2) and 3 sqrt(2).
    distance = f.frechet_distance([[0.0], [2.0]], [[3.0], [9.0]])
    assert distance == pytest.approx(25 + (2 * np.sqrt(2)) ** 2)


def test_agrees_with_the_matrix_root_of_the_product() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (200, 6)), rng.normal(1, 2, (150, 6)) @ rng.normal(0, 1, (6, 6))
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    want = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * sqrtm(ca @ cb).real)
    assert f.frechet_distance(a, b) == pytest.approx(want, rel=1e-9)
    assert f.frechet_distance(b, a) == pytest.approx(want, rel=1e-9)


def test_a_set_is_at_distance_zero_of_itself_even_when_singular() -> None:
    few = np.random.default_rng(0).normal(0, 1, (3, 20))  # fewer images than features
    assert f.frechet_distance(few, few) == pytest.approx(0.0, abs=1e-12)
    assert f.frechet_distance(few, few + 2.0) == pytest.approx(80.0, rel=1e-12)


def test_digits_are_kept_far_from_the_origin_and_close_together() -> None:
    # A cloud and the same cloud stretched by 1.001 and moved by .001: the distance is exactly
    # 3 * .001^2 + .001^2 * trace. Sums of squares of numbers near 1e6 keep 4 digits behind the
    # point, and the traces' difference would keep none of a singular covariance.
    cloud = np.random.default_rng(0).normal(0, 1, (500, 3)) @ np.diag([1.0, 2.0, 0.0])
    cloud -= cloud.mean(axis=0)
    far = np.asarray([1e6, -2e6, 3e6])
    want = 3e-6 + 1e-6 * np.trace(np.cov(cloud, rowvar=False))
    found = f.frechet_distance(cloud + far, cloud * 1.001 + far + 0.001)
    assert found == pytest.approx(want, rel=1e-5)
    parts = [f.moments(part + far) for part in (cloud[:100], cloud[100:])]
    stretched = f.moments(cloud * 1.001 + far + 0.001)
    joined = f.frechet_from_moments(f.add_moments(parts), stretched)
    assert joined == pytest.approx(want, rel=1e-5)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_summed_moments_equal_the_joined_set(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [rng.normal(k, 1 + k, (2 + k, 3)) for k in range(4)]
    joined = f.moments(np.concatenate(parts))
    added = f.add_moments([f.moments(part) for part in parts])
    assert added.count == joined.count
    mean, covariance = f.mean_and_covariance(added)
    assert mean == pytest.approx(np.concatenate(parts).mean(axis=0))
    assert covariance == pytest.approx(np.cov(np.concatenate(parts), rowvar=False), abs=1e-9)


def test_per_emotion_and_aggregated_tell_different_things() -> None:
    rng = np.random.default_rng(0)
    real, labels = rng.normal(0, 1, (400, 2)), np.repeat([0, 1], 200)
    real[labels == 1] += 10.0
    swapped = np.concatenate([real[200:], real[:200]])  # the right pictures under wrong emotions
    each, together = f.frechet_per_emotion(real, labels, swapped, labels, 2)
    assert min(each) > 150
    assert together == pytest.approx(0.0, abs=1e-6)


def test_each_emotion_by_hand() -> None:
    # one number a picture: means 1, 20, 300 against 6, 20, 301, deviations as in the first test
    real = [[0.0], [2.0], [19.0], [21.0], [299.0], [301.0]]
    made = [[3.0], [9.0], [19.0], [21.0], [300.0], [302.0]]
    kinds = [0, 0, 1, 1, 2, 2]
    each, whole = f.frechet_per_emotion(real, kinds, made, kinds, 3)
    assert each == pytest.approx([25 + (2 * np.sqrt(2)) ** 2, 0.0, 1.0])
    spread = np.std(real, ddof=1) - np.std(made, ddof=1)
    assert whole == pytest.approx((np.mean(made) - np.mean(real)) ** 2 + spread**2)


def test_bad_inputs_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 2 images"):
        f.frechet_distance([[1.0]], [[1.0], [2.0]])
    with pytest.raises(UsageError, match="size 1 and 2"):
        f.frechet_distance([[1.0], [2.0]], [[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(UsageError, match="NaN"):
        f.frechet_distance([[1.0], [np.nan]], [[1.0], [2.0]])
    rows = np.arange(8.0).reshape(4, 2)
    with pytest.raises(UsageError, match="class 1 has 1"):
        f.frechet_per_emotion(rows, [0, 0, 1, 1], rows, [0, 0, 0, 1], 2)
    with pytest.raises(UsageError, match="same length"):
        f.frechet_per_emotion(rows, [0, 0, 1], rows, [0, 0, 1, 1], 2)
    with pytest.raises(UsageError, match="no moments"):
        f.add_moments([])
    with pytest.raises(UsageError, match="different sizes"):
        f.add_moments([f.moments([[1.0]]), f.moments([[1.0, 2.0]])])
