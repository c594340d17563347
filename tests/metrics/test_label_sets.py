"""Several labels at once, by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emosym.errors import UsageError
from emosym.metrics.label_sets import label_set_values, named_set_f1, set_f1

LABELS = ("a", "b", "c")


def test_values_by_hand() -> None:
    truth = [("a",), ("a", "b"), (), ("b",)]
    values = label_set_values([("a",), ("a",), ("a",), None], truth, LABELS)
    # hits 2, predicted 3, true 4; a: 2 hits, 3 + 2; b: 0 hits, 0 + 2; c occurs nowhere
    assert values["micro_precision"] == pytest.approx(2 / 3)
    assert values["micro_recall"] == 0.5
    assert values["micro_f1"] == pytest.approx(4 / 7)
    assert values["f1_per_label"] == [pytest.approx(4 / 5), 0.0, None]
    assert values["macro_f1"] == pytest.approx(2 / 5)
    assert values["support_per_label"] == [2, 2, 0]
    assert values["exact_match"] == 0.25 and values["unreadable"] == 0.25
    assert values["jaccard"] == pytest.approx((1 + 0.5 + 0 + 0) / 4)
    # "a" of all: 2 hits of 4 + 4; "a, b" of all: 4 hits of 8 + 4, which is better
    assert values["constant_micro_f1"] == values["all_labels_micro_f1"] == pytest.approx(8 / 12)
    assert values["constant_macro_f1"] == pytest.approx(4 / 6)


def test_empty_sets_agree_unless_the_answer_is_unreadable() -> None:
    values = label_set_values([(), None], [(), ()], LABELS)
    assert values["exact_match"] == values["jaccard"] == 0.5
    assert values["micro_f1"] == 0.0 and values["macro_f1"] is None
    assert json.dumps(values, allow_nan=False)
    assert set_f1((), ()) == 1.0 and set_f1(("a",), ()) == 0.0
    assert set_f1(("a", "b"), ("b", "b", "c")) == 0.5


@given(st.lists(st.sets(st.sampled_from(LABELS)), min_size=1, max_size=9))
@settings(deadline=None)
def test_the_truth_is_perfect_and_no_constant_beats_the_best(truth: list[set[str]]) -> None:
    values = label_set_values(truth, truth, LABELS)
    assert values["exact_match"] == values["jaccard"] == 1.0
    if any(truth):
        assert values["micro_f1"] == values["macro_f1"] == 1.0
        for constant in ({"a"}, {"b"}, {"a", "c"}, set(LABELS)):
            same = label_set_values([constant] * len(truth), truth, LABELS)
            assert same["micro_f1"] <= values["constant_micro_f1"] + 1e-12


def test_refusals() -> None:
    with pytest.raises(UsageError, match="no samples"):
        label_set_values([], [], LABELS)
    with pytest.raises(UsageError, match="'d'"):
        label_set_values([("d",)], [()], LABELS)
    with pytest.raises(UsageError):
        label_set_values([()], [(), ()], LABELS)


def test_one_word_or_two_are_named_as_pays_by_hand() -> None:
    shares = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.5, 0.4, 0.1], [0.1, 0.5, 0.4]])
    # alone (.7 > 2/3 .9), hit: 1; a pair (2/3 .9 > .5), its second hit: 2/3; missed; missed
    assert named_set_f1(shares, np.array([0, 1, 2, 0])) == pytest.approx((1 + 2 / 3) / 4)
