from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emosym.errors import UsageError
from emosym.evaluation.results.result import make_result
from emosym.metrics.statements import (
    STATEMENT_CLASSES,
    statement_class,
    statement_mark,
    statement_values,
)

NAMES = ("Sentiment polarity", "emotion-interpretation", "scene_context", "scene context")


def test_by_hand() -> None:
    # right, wrong, unreadable (so wrong), right
    values = statement_values([1, 1, -1, 0], [1, 0, 1, 0], NAMES)
    assert values == {
        "accuracy": 0.5,
        "accuracy_sentiment_polarity": 1.0,
        "n_sentiment_polarity": 1,
        "accuracy_emotion_interpretation": 0.0,
        "n_emotion_interpretation": 1,
        "accuracy_scene_context": 0.5,
        "n_scene_context": 2,
        "accuracy_perception_subjectivity": None,
        "n_perception_subjectivity": 0,
        "unreadable": 0.25,
        "always_correct": 0.5,
    }
    make_result("statements", values, 4, 0)


def test_an_unreadable_answer_is_wrong_whatever_the_truth() -> None:
    for truth in (0, 1):
        assert statement_values([-1], [truth], NAMES[:1])["accuracy"] == 0.0


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(-1, 1), st.integers(0, 1), st.integers(0, 3)), min_size=1))
def test_order_and_copies_change_nothing(rows: list[tuple[int, int, int]]) -> None:
    def score(table: list[tuple[int, int, int]]) -> dict[str, float | int | None]:
        marks = [row[0] for row in table], [row[1] for row in table]
        found = statement_values(*marks, [STATEMENT_CLASSES[row[2]] for row in table])
        return {name: value for name, value in found.items() if not name.startswith("n_")}

    once = score(rows)
    assert score(rows[::-1]) == pytest.approx(once)
    assert score(rows * 3) == pytest.approx(once)
    assert all(value is None or 0.0 <= value <= 1.0 for value in once.values())


def test_labels_and_classes_are_read_in_any_spelling() -> None:
    assert [statement_mark(word) for word in ("Correct", " incorrect ")] == [1, 0]
    assert statement_class("Perception Subjectivity") == "perception_subjectivity"
    with pytest.raises(UsageError, match="Did you mean 'incorrect'"):
        statement_mark("incorect")
    with pytest.raises(UsageError, match="Did you mean 'scene_context'"):
        statement_class("scene contexts")


@pytest.mark.parametrize(
    ("predicted", "truth", "classes", "message"),
    [
        ([1, 2], [1, 0], NAMES[:2], "predicted must hold only"),
        ([1, 0], [1, -1], NAMES[:2], "truth must hold only"),
        ([1, np.nan], [1, 0], NAMES[:2], "NaN"),
        ([1], [1, 0], NAMES[:2], "same length"),
        ([1, 0], [1, 0], NAMES[:1], "same length"),
        ([], [], (), "at least 1"),
        ([1], [1], ("mood",), "statement class"),
    ],
)
def test_refusals(
    predicted: list[float], truth: list[float], classes: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        statement_values(predicted, truth, classes)
