from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emosym.errors import UsageError
from emosym.metrics import distributions as d

GUESS = [[0.5, 0.5, 0.0]]
TRUTH = [[0.75, 0.25, 0.0]]


def test_hand_computed_values() -> None:
    values = d.distribution_values(GUESS, TRUTH)
    assert values["kl"] == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    assert values["chebyshev"] == pytest.approx(0.25)
    assert values["clark"] == pytest.approx(np.sqrt(0.2**2 + (1 / 3) ** 2))
    assert values["canberra"] == pytest.approx(0.2 + 1 / 3)
    assert values["cosine"] == pytest.approx(0.5 / (np.sqrt(0.5) * np.sqrt(0.625)))
    assert values["intersection"] == pytest.approx(0.75)


def test_kl_has_the_documented_direction_and_floor() -> None:
    assert d.kl_divergence([[0.5, 0.5]], [[1.0, 0.0]]) == pytest.approx(np.log(2))
    assert d.kl_divergence([[1.0, 0.0]], [[0.0, 1.0]]) == pytest.approx(-np.log(d.KL_FLOOR))


shares = arrays(np.float64, (5, 8), elements=st.floats(0.0, 1.0)).map(
    lambda x: (x + 1e-6) / (x + 1e-6).sum(axis=1, keepdims=True)
)


@given(shares, shares)
def test_ranges_and_directions(guess: np.ndarray, truth: np.ndarray) -> None:
    perfect, values = d.distribution_values(truth, truth), d.distribution_values(guess, truth)
    assert set(d.BETTER) == set(d.MEASURES)
    for name, better in d.BETTER.items():
        best = 0.0 if better == "lower" else 1.0
        assert perfect[name] == pytest.approx(best, abs=1e-9)
        worse = values[name] - best if better == "lower" else best - values[name]
        assert worse >= -1e-9
    # 1 - intersection is half the sum of absolute differences.
    half = 0.5 * np.abs(guess - truth).sum(axis=1).mean()
    assert 1 - values["intersection"] == pytest.approx(half, abs=1e-9)
    assert values["clark"] <= np.sqrt(8) + 1e-9
    assert values["canberra"] <= 8 + 1e-9


@pytest.mark.parametrize(
    ("guess", "truth"),
    [([[0.5, 0.5]], TRUTH), (GUESS * 2, TRUTH), ([[np.nan, 1, 0]], TRUTH), ([[2, 0, 0]], TRUTH)],
)
def test_bad_inputs_are_refused(guess: list[list[float]], truth: list[list[float]]) -> None:
    for measure in d.MEASURES.values():
        with pytest.raises(UsageError):
            measure(guess, truth)
