from __future__ import annotations

from pathlib import Path

import pytest

from emosym.errors import UsageError
from emosym.tasks.statement import measure_statements, statement
from emosym.tasks.task import Unparsed
from emosym.types import STATEMENT, Sample, Turn

SEA = Sample(
    "sea-1",
    (Turn(text="There is a boat.", frames=(Path("sea.jpg"),)),),
    0,
    {STATEMENT: ("incorrect", "scene_context")},
)


@pytest.mark.parametrize(
    ("said", "mark"),
    [
        ("Correct.", "correct"),
        ("INCORRECT", "incorrect"),
        ("<think>correct?</think><answer>Incorrect</answer>", "incorrect"),
        ("That is not correct.", "incorrect"),
        ("It isn't entirely true", "incorrect"),
        ("It is not wrong", "correct"),
        ("Yes", "correct"),
        ("no, false", "incorrect"),
        ("", None),
        ("Correct or incorrect?", None),
        ("正确", None),
        ("maybe " * 10_000, None),
    ],
)
def test_answers_are_read(said: str, mark: str | None) -> None:
    found = statement().parse(said)
    assert (None if isinstance(found, Unparsed) else found) == mark


def test_a_sample_is_asked_and_taught() -> None:
    asked = statement().conversation(SEA)
    assert asked[0].parts[0] == Path("sea.jpg") and "There is a boat." in str(asked[0].parts[1])
    assert statement().teach(SEA)[-1].parts == ("Incorrect.",)
    for turn in (Turn(text="There is a boat."), Turn(frames=(Path("sea.jpg"),))):
        with pytest.raises(UsageError, match="no picture with a statement"):
            statement().conversation(Sample("x", (turn,), 0))


def test_accuracy_by_class_and_reward() -> None:
    truths = [("correct", "scene_context"), ("incorrect", "scene_context"), "incorrect"]
    found = ["correct", "correct", Unparsed("", "it is empty")]
    values = measure_statements(found, truths)
    assert values["accuracy"] == pytest.approx(1 / 3)
    assert values["accuracy_scene_context"] == 0.5 and values["n_scene_context"] == 2
    assert values["accuracy_sentiment_polarity"] is None
    assert values["unreadable"] == pytest.approx(1 / 3)
    assert values["always_correct"] == pytest.approx(1 / 3)
    earned = statement().reward(["Correct.", "No.", "?"], label=[truths[0], "incorrect", "correct"])
    assert earned == [1.0, 1.0, 0.0]
    with pytest.raises(UsageError, match="must be correct or incorrect, got 'maybe'"):
        measure_statements(["correct"], ["maybe"])
