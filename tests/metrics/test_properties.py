"""What every metric of samples must hold: order and copies change nothing, bounds are kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.metrics import affect, calibration, classification, distributions, frechet, generation

C = len(MIKELS8)
Metric = Callable[..., float | None]


def no_classes(metric: Callable[..., float | None]) -> Metric:
    return lambda shares, truth: metric(shares.max(axis=1), shares.argmax(axis=1) == truth)


def guessed(metric: Callable[..., float | None]) -> Metric:
    return lambda shares, truth: metric(shares.argmax(axis=1), truth, C)


# name: (metric of (N, C) probabilities and (N,) labels, lowest, highest)
OF_LABELS: dict[str, tuple[Metric, float, float]] = {
    "accuracy": (guessed(classification.accuracy), 0.0, 1.0),
    "macro_f1": (guessed(classification.macro_f1), 0.0, 1.0),
    "weighted_f1": (guessed(classification.weighted_f1), 0.0, 1.0),
    "polarity": (lambda p, y: classification.polarity_accuracy(p, y, MIKELS8), 0.0, 1.0),
    "ece": (no_classes(calibration.expected_calibration_error), 0.0, 1.0),
    "ece compat": (
        no_classes(lambda c, r: calibration.expected_calibration_error(c, r, mode="compat")),
        *(0.0, 1.0),
    ),
    "brier": (no_classes(calibration.brier_confidence), 0.0, 1.0),
    "brier multiclass": (calibration.brier_multiclass, 0.0, 2.0),
    "roc_auc": (no_classes(calibration.roc_auc), 0.0, 1.0),
    "emo_a": (generation.emo_accuracy, 0.0, 1.0),
}
# name: (metric of two distributions (N, C), lowest, highest)
OF_VOTES: dict[str, tuple[Metric, float, float]] = {
    "kl": (distributions.kl_divergence, 0.0, -np.log(distributions.KL_FLOOR)),
    "chebyshev": (distributions.chebyshev, 0.0, 1.0),
    "clark": (distributions.clark, 0.0, C**0.5),
    "canberra": (distributions.canberra, 0.0, float(C)),
    "cosine": (distributions.cosine, 0.0, 1.0),
    "intersection": (distributions.intersection, 0.0, 1.0),
}
# name: (metric of two (N,) vectors, lowest, highest)
OF_VALUES: dict[str, tuple[Metric, float, float]] = {
    "pearson": (affect.pearson, -1.0, 1.0),
    "ccc": (affect.ccc, -1.0, 1.0),
    "spearman": (affect.spearman, -1.0, 1.0),
    "rmse": (affect.rmse, 0.0, np.inf),
    "mae": (affect.mae, 0.0, np.inf),
}
ROUNDING = 1e-9


def shares_of(rng: np.random.Generator, count: int) -> np.ndarray:
    """Rows that sum to 1, some of them certain (a confidence of exactly 1)."""
    shares = rng.dirichlet(np.full(C, 0.4), count)
    certain = rng.random(count) < 0.2
    shares[certain] = np.eye(C)[rng.integers(0, C, certain.sum())]
    return shares


def check(
    metric: Metric, low: float, high: float, columns: list[np.ndarray], order: np.ndarray
) -> None:
    once = metric(*columns)
    moved = metric(*(column[order] for column in columns))
    copied = metric(*(np.repeat(column, 3, axis=0) for column in columns))
    if once is None:
        assert moved is None
        assert copied is None
        return
    assert moved == pytest.approx(once, abs=ROUNDING)
    assert copied == pytest.approx(once, abs=ROUNDING)
    assert low - ROUNDING <= once <= high + ROUNDING


@pytest.mark.parametrize("name", OF_LABELS)
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, C))
def test_of_labels(name: str, seed: int, count: int, kinds: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, kinds, count)  # with fewer than C kinds, classes are absent
    columns = [shares_of(rng, count), truth]
    check(*OF_LABELS[name], columns, rng.permutation(count))


@pytest.mark.parametrize("name", OF_VOTES)
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 20))
def test_of_votes(name: str, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    columns = [shares_of(rng, count), shares_of(rng, count)]
    check(*OF_VOTES[name], columns, rng.permutation(count))
    best = OF_VOTES[name][0](columns[1], columns[1])
    assert best == pytest.approx(1.0 if distributions.BETTER[name] == "higher" else 0.0, abs=1e-9)


@pytest.mark.parametrize("name", OF_VALUES)
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 20))
def test_of_values(name: str, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    columns = [rng.integers(0, 5, count).astype(float), rng.normal(0, 2, count)]
    check(*OF_VALUES[name], columns, rng.permutation(count))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 8))
def test_of_features(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    real, made = rng.normal(0, 1, (count + 3, 3)), rng.normal(1, 2, (count, 3))
    distance = frechet.frechet_distance(real, made)
    assert distance >= 0.0
    assert frechet.frechet_distance(real[::-1], rng.permutation(made)) == pytest.approx(distance)
    assert frechet.frechet_distance(made, real) == pytest.approx(distance)
    assert frechet.frechet_distance(real + 7.0, made + 7.0) == pytest.approx(distance, abs=1e-6)
    # A copied set has the same mean; its covariance differs, being divided by N - 1.
    shrunk = frechet.mean_and_covariance(frechet.moments(np.repeat(made, 2, axis=0)))[1]
    usual = frechet.mean_and_covariance(frechet.moments(made))[1]
    assert shrunk == pytest.approx(usual * 2 * (count - 1) / (2 * count - 1))
    covered = generation.coverage(real, made, 3)
    assert 0.0 <= covered <= 1.0
    assert generation.coverage(rng.permutation(real), made[::-1], 3) == covered


@pytest.mark.parametrize("name", [*OF_LABELS, *OF_VOTES, *OF_VALUES])
def test_nan_is_refused(name: str) -> None:
    rng = np.random.default_rng(0)
    shares, truth = shares_of(rng, 4), np.arange(4)
    if name in OF_LABELS:
        metric, columns = OF_LABELS[name][0], [shares, truth.astype(float)]
    elif name in OF_VOTES:
        metric, columns = OF_VOTES[name][0], [shares, shares]
    else:
        metric, columns = OF_VALUES[name][0], [truth + 0.5, truth + 0.25]
    metric(*columns)
    if metric not in (OF_LABELS[n][0] for n in ("ece", "ece compat", "brier", "roc_auc")):
        broken = [columns[0], columns[1].copy()]
        broken[1].flat[0] = np.nan
        with pytest.raises(UsageError):
            metric(*broken)
    if name not in ("accuracy", "macro_f1", "weighted_f1"):  # these see the argmax only
        broken = [columns[0].copy(), columns[1]]
        broken[0].flat[0] = np.nan
        with pytest.raises(UsageError):
            metric(*broken)


def test_labels_outside_the_space_are_refused() -> None:
    shares = np.full((1, C), 1 / C)
    for label in (-1, C, 0.5):
        for metric in (
            classification.accuracy,
            classification.macro_f1,
            classification.weighted_f1,
        ):
            with pytest.raises(UsageError):
                metric([label], [0], C)
            with pytest.raises(UsageError):
                metric([0], [label], C)
        for whole in (generation.emo_accuracy, calibration.brier_multiclass):
            with pytest.raises(UsageError):
                whole(shares, [label])
        with pytest.raises(UsageError):
            classification.polarity_accuracy(shares, [label], MIKELS8)
        with pytest.raises(UsageError):
            generation.random_pairs([0, label], C, seed=0)
