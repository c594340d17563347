from __future__ import annotations

import pytest

from emosym.errors import UsageError
from emosym.metrics.choices import choice_values


def test_by_hand() -> None:
    sure = [[0.8, 0.2], [0.7, 0.3]]  # option 0, wherever it stands: places 0 and 1
    first = [[0.9, 0.1], [0.2, 0.8]]  # always the first place: options 0 and 1
    three = [[0.2, 0.2, 0.6]] * 3  # option 2 at places 2, 0, 1
    values = choice_values([sure, first, three], [0, 1, 2])
    assert values["accuracy"] == pytest.approx(2 / 3)  # of `first` the mean is .55 to .45
    assert values["accuracy_given_order"] == pytest.approx(2 / 3)
    assert values["chance"] == pytest.approx((1 / 2 + 1 / 2 + 1 / 3) / 3)
    assert values["consistent"] == pytest.approx(2 / 3)
    # places: 0, 1 and 0, 0 of two options; 2, 0, 1 of three
    assert values["first_place"] == pytest.approx(4 / 7)
    assert values["first_place_chance"] == pytest.approx((4 / 2 + 3 / 3) / 7)
    assert values["position_bias"] == pytest.approx(0.25)  # of the four with two options: 3 to 1
    brier = ((0.25**2) * 2 + (0.55**2) * 2 + (0.2**2 + 0.2**2 + 0.4**2)) / 3
    assert values["brier"] == pytest.approx(brier)


def test_what_is_no_question_is_refused() -> None:
    with pytest.raises(UsageError, match="no questions"):
        choice_values([], [])
    with pytest.raises(UsageError, match="no option 2"):
        choice_values([[[0.5, 0.5]]], [2])
    with pytest.raises(UsageError, match="sum to 1"):
        choice_values([[[0.5, 0.9]]], [0])
    with pytest.raises(UsageError, match="NaN"):
        choice_values([[[float("nan"), 0.5]]], [0])
