from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from emosym.errors import UsageError
from emosym.metrics import affect as a


def test_hand_computed_values() -> None:
    x, y = [1.0, 2.0, 3.0], [2.0, 2.0, 5.0]
    # means 2, 3; s_xy = 1, s_x^2 = 2/3, s_y^2 = 2.
    assert a.pearson(x, y) == pytest.approx(1 / np.sqrt(4 / 3))
    assert a.ccc(x, y) == pytest.approx(2 / (2 / 3 + 2 + 1))
    assert a.rmse(x, y) == pytest.approx(np.sqrt(5 / 3))
    assert a.mae(x, y) == pytest.approx(1.0)
    # ranks 1, 2, 3 against 1.5, 1.5, 3.
    assert a.spearman(x, y) == pytest.approx(1.5 / np.sqrt(2 * 1.5))


def test_undefined_correlations_are_none() -> None:
    assert a.pearson([1, 1], [1, 2]) is None
    assert a.pearson([0.1] * 3, [1, 2, 3]) is None  # .1 * 3 / 3 is not .1 in floats
    assert a.spearman([1, 2], [3, 3]) is None
    assert a.ccc([1, 1], [1, 1]) is None
    assert a.ccc([1, 1], [2, 2]) == 0.0
    assert a.ccc([1, 1], [1, 2]) == 0.0


@pytest.mark.parametrize("pair", [([1, 2], [1]), ([1, np.nan], [1, 2]), ([], []), ([[1]], [[1]])])
def test_bad_inputs_are_refused(pair: tuple[list[float], list[float]]) -> None:
    for measure in (a.pearson, a.ccc, a.rmse, a.mae, a.spearman, a.affect_values):
        with pytest.raises(UsageError):
            measure(*pair)


def test_one_pair_has_no_correlation() -> None:
    assert a.rmse([1], [3]) == 2.0
    with pytest.raises(UsageError, match="at least 2"):
        a.pearson([1], [3])


pairs = st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=3, max_size=30)


@given(pairs)
def test_relations_between_the_measures(rows: list[tuple[int, int]]) -> None:
    x, y = (np.asarray(side, dtype=float) for side in zip(*rows, strict=True))
    assume(len(set(x)) > 1 and len(set(y)) > 1)
    r, concordance, rank = a.pearson(x, y), a.ccc(x, y), a.spearman(x, y)
    assert r is not None
    assert concordance is not None
    assert rank is not None
    assert abs(concordance) <= abs(r) + 1e-9  # Lin 1989
    assert a.pearson(3 * x + 7, y) == pytest.approx(r, abs=1e-9)
    assert a.pearson(-x, y) == pytest.approx(-r, abs=1e-9)
    assert a.spearman(np.exp(x / 20), y) == pytest.approx(rank, abs=1e-9)
    assert a.ccc(x, x) == pytest.approx(1.0)
    assert a.rmse(x, y) >= a.mae(x, y) - 1e-9
    assert r == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)


def test_tiny_values_do_not_vanish() -> None:
    assert a.pearson([1e-200, 2e-200, 3e-200], [1, 2, 3]) == pytest.approx(1.0)
