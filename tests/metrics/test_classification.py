from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emosym.emotions import MIKELS8, label_space
from emosym.errors import UsageError
from emosym.metrics import classification as c

TRUTH = [0, 0, 1, 1, 2]
GUESS = [0, 1, 1, 1, 0]


def test_hand_computed_values() -> None:
    assert c.accuracy(GUESS, TRUTH, 4) == 0.6
    assert c.confusion(GUESS, TRUTH, 4).tolist() == [
        [1, 1, 0, 0],
        [0, 2, 0, 0],
        [1, 0, 0, 0],
        [0, 0, 0, 0],
    ]
    # F1: class 0 = 2*1/(2+2) = .5, class 1 = 2*2/(3+2) = .8, class 2 = 0; class 3 occurs nowhere.
    assert c.macro_f1(GUESS, TRUTH, 4) == pytest.approx(1.3 / 3)
    assert c.weighted_f1(GUESS, TRUTH, 4) == pytest.approx((2 * 0.5 + 2 * 0.8) / 5)
    assert c.recall_per_class(GUESS, TRUTH, 4) == [0.5, 1.0, 0.0, None]


def test_polarity_sums_before_it_decides() -> None:
    # The likeliest single label is anger (.3), yet the positive four hold .6.
    row = [0.15, 0.15, 0.15, 0.15, 0.3, 0.1, 0.0, 0.0]
    assert c.polarity_accuracy([row, row], [1, 7], MIKELS8) == 0.5
    assert c.polarity_probabilities([row], MIKELS8)[0] == pytest.approx([0.6, 0.4, 0.0])


def test_polarity_knows_neutral_labels() -> None:
    space = label_space("meld7")
    row = np.eye(7)[[space.index("surprise")]]
    assert c.polarity_accuracy(row, [space.index("neutral")], space) == 1.0
    assert c.polarity_accuracy(row, [space.index("joy")], space) == 0.0


@pytest.mark.parametrize(
    ("guess", "truth"), [([0, 1], [0]), ([8], [0]), ([0], [8]), ([np.nan], [0]), ([], [])]
)
def test_bad_inputs_are_refused(guess: list[float], truth: list[float]) -> None:
    for measure in (c.accuracy, c.confusion, c.macro_f1, c.weighted_f1, c.recall_per_class):
        with pytest.raises(UsageError):
            measure(guess, truth, 8)


def test_polarity_refuses_mismatch() -> None:
    with pytest.raises(UsageError, match="same length"):
        c.polarity_accuracy(np.eye(8), [0], MIKELS8)
    with pytest.raises(UsageError, match="8 columns"):
        c.polarity_accuracy(np.eye(7), [0] * 7, MIKELS8)


labels = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=40)


@given(labels)
def test_measures_agree_with_the_confusion_matrix(pairs: list[tuple[int, int]]) -> None:
    guess, truth = (list(side) for side in zip(*pairs, strict=True))
    counts = c.confusion(guess, truth, 8)
    assert counts.sum() == len(pairs)
    assert c.accuracy(guess, truth, 8) == pytest.approx(np.trace(counts) / counts.sum())
    recalls = c.recall_per_class(guess, truth, 8)
    support = counts.sum(axis=1)
    weighted = sum(r * n for r, n in zip(recalls, support, strict=True) if r is not None)
    assert weighted / len(pairs) == pytest.approx(c.accuracy(guess, truth, 8))
    assert (c.macro_f1(guess, truth, 8) == pytest.approx(1.0)) == (guess == truth)


def test_summary_is_json() -> None:
    rng = np.random.default_rng(0)
    values = c.classification_values(rng.dirichlet(np.ones(8), 30), rng.integers(0, 7, 30), MIKELS8)
    assert json.loads(json.dumps(values, allow_nan=False))["recall_per_class"][7] is None
    names = {"accuracy", "macro_f1", "weighted_f1", "polarity_accuracy", "recall_per_class"}
    assert set(values) == names | {"confusion"}


def test_recognition_by_hand_with_an_unreadable_answer() -> None:
    values = c.recognition_values([0, 1, -1, 1], [0, 0, 1, 1], 3)
    assert values["accuracy"] == 0.5
    # class 0: 2 * 1 / (1 + 2), class 1: 2 * 1 / (2 + 2); two true samples each
    assert values["weighted_f1"] == pytest.approx((2 * 2 / 3 + 2 * 1 / 2) / 4)
    assert values["recall_per_class"] == [0.5, 0.5, None]
    assert values["unreadable"] == 0.25


def test_recognition_without_unreadable_answers_is_the_usual_score() -> None:
    rng = np.random.default_rng(0)
    guess, truth = rng.integers(0, 7, 60), rng.integers(0, 7, 60)
    values = c.recognition_values(guess, truth, 7)
    assert values["accuracy"] == c.accuracy(guess, truth, 7)
    assert values["weighted_f1"] == pytest.approx(c.weighted_f1(guess, truth, 7))
    assert values["recall_per_class"] == c.recall_per_class(guess, truth, 7)
    assert c.recognition_values([-1, -1], [0, 1], 2)["accuracy"] == 0.0


@pytest.mark.parametrize(
    ("guess", "truth"),
    [([7], [0]), ([-2], [0]), ([0.5], [0]), ([0], [-1]), ([0], [7]), ([0], [0, 1]), ([], [])],
)
def test_recognition_refuses(guess: list[float], truth: list[float]) -> None:
    with pytest.raises(UsageError):
        c.recognition_values(guess, truth, 7)


def test_recognition_stands_beside_the_majority() -> None:
    values = c.recognition_values([0, 0, 1, -1], [0, 0, 0, 1], 3)
    # class 0: 2 hits of 2 + 3, class 1: none of 1 + 1, class 2 occurs nowhere
    assert values["f1_per_class"] == [pytest.approx(4 / 5), 0.0, None]
    assert values["macro_f1"] == pytest.approx(2 / 5)
    assert values["majority_accuracy"] == 0.75
    # always 0: F1 2 * 3 / (4 + 3), and 0 of class 1
    assert values["majority_weighted_f1"] == pytest.approx(6 / 7 * 3 / 4)
    assert values["majority_macro_f1"] == pytest.approx(3 / 7)
