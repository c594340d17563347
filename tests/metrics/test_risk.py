from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emosym.errors import UsageError
from emosym.metrics.risk import area_under_risk, risk_coverage, risk_values


def test_by_hand() -> None:
    sure, right = [0.9, 0.8, 0.8, 0.4], [1, 0, 1, 0]
    coverage, risk = risk_coverage(sure, right)
    assert coverage.tolist() == [0.25, 0.75, 1.0]  # the two of .8 go together
    assert risk.tolist() == pytest.approx([0.0, 1 / 3, 0.5])
    # within the tie half an error after two answers: 0, (1/2)/2, 1/3, 1/2
    assert area_under_risk(sure, right) == pytest.approx((0 + 0.25 + 1 / 3 + 0.5) / 4)
    values = risk_values(sure, right)
    assert values["aurc_best"] == pytest.approx((0 + 0 + 1 / 3 + 0.5) / 4)
    assert values["aurc_none"] == 0.5
    assert values["risk_at_coverage"] == pytest.approx([0, 0, *[1 / 3] * 5, *[0.5] * 3])


def test_an_order_that_tells_nothing_has_the_error_rate() -> None:
    assert area_under_risk([0.5] * 4, [1, 1, 1, 0]) == pytest.approx(0.25)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_no_order_is_better_than_the_best(rows: list[tuple[float, bool]]) -> None:
    sure, right = zip(*rows, strict=True)
    values = risk_values(sure, np.array(right))
    assert values["aurc_best"] <= values["aurc"] + 1e-12  # type: ignore[operator]
    assert 0.0 <= values["aurc"] <= 1.0  # type: ignore[operator]


def test_bad_inputs_are_refused() -> None:
    for sure, right in (([float("nan")], [1]), ([2.0], [1]), ([0.5], [2]), ([0.5], [1, 0])):
        with pytest.raises(UsageError):
            risk_values(sure, right)
