from __future__ import annotations

import numpy as np
import pytest

from emosym.errors import UsageError
from emosym.metrics import checks


def test_align_by_id_puts_predictions_in_the_order_of_the_truth() -> None:
    ids, wanted = ["c", "a", "b"], ["a", "b", "c"]
    assert [ids[i] for i in checks.align_by_id(ids, wanted)] == wanted


@pytest.mark.parametrize(
    ("ids", "wanted", "said"),
    [
        (["a", "a"], ["a", "b"], "predictions name 1 id"),
        (["a", "b"], ["b", "b"], "truth name 1 id"),
        (["a"], ["a", "b"], "no prediction, such as 'b'"),
        (["a", "b", "x"], ["a", "b"], "unknown, such as 'x'"),
    ],
)
def test_align_by_id_refuses_duplicates_and_gaps(
    ids: list[str], wanted: list[str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        checks.align_by_id(ids, wanted)


def test_labels_outside_the_space_fractions_and_nan_are_refused() -> None:
    assert checks.as_labels("x", [0, 7], 8).tolist() == [0, 7]
    for wrong, said in (
        ([8], "outside the label space"),
        ([-1], "outside the label space"),
        ([0.5], "whole class"),
        ([np.nan], "NaN"),
        ([], "at least 1"),
        ([[0]], "dimension"),
        (["awe"], "numbers"),
        ([1e300], "outside"),
    ):
        with pytest.raises(UsageError, match=said):
            checks.as_labels("x", wrong, 8)


def test_probabilities_must_sum_to_one_and_are_made_exact() -> None:
    exact = checks.as_probabilities("p", [[0.5004, 0.5]])
    assert exact.sum() == pytest.approx(1.0, abs=1e-15)
    for wrong in ([[0.5, 0.6]], [[-0.1, 1.1]], [[np.nan, 1.0]], [[0.0, 0.0]]):
        with pytest.raises(UsageError):
            checks.as_probabilities("p", wrong)
    with pytest.raises(UsageError, match="3 columns"):
        checks.as_probabilities("p", [[0.5, 0.5]], classes=3)


def test_correct_unit_lengths_and_mode() -> None:
    assert checks.as_correct("c", [True, False]).tolist() == [1.0, 0.0]
    with pytest.raises(UsageError, match="wrong"):
        checks.as_correct("c", [0.5])
    with pytest.raises(UsageError, match=r"0\.\.1"):
        checks.as_unit("c", [1.1])
    with pytest.raises(UsageError, match="one 1, two 2"):
        checks.same_length(one=np.zeros(1), two=np.zeros(2))
    assert checks.check_mode("compat") is True
    with pytest.raises(UsageError, match="parity"):
        checks.check_mode("parity")


def test_mean_defined_leaves_out_none() -> None:
    assert checks.mean_defined([1.0, None, 2.0]) == 1.5
    assert checks.mean_defined([None]) is None
