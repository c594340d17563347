"""Emotions of a text: one, or several at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from emosym.emotions import LABEL_SPACES, own_space
from emosym.tasks.task import Unparsed
from emosym.tasks.text_emotion import text_emotion
from emosym.types import Sample, Turn

SPACE = own_space(["anger", "fear", "joy", "sadness", "neutral"])
TASK = text_emotion(SPACE)


def test_several_labels_are_taught_in_the_spaces_order() -> None:
    sample = Sample("s", (Turn(text="Well!"),), targets={"text_emotion": ("sadness", "anger")})
    assert TASK.teach(sample)[-1].parts == ("Anger, sadness.",)
    one = Sample("s", (Turn(text="Well!"),), targets={"text_emotion": ("joy",)})
    assert TASK.teach(one)[-1].parts == ("Joy.",)


@pytest.mark.parametrize(
    ("answer", "labels"),
    [
        ("Joy.", "joy"),
        ("sadnes; Happy", ("joy", "sadness")),
        ("Joy and joy, joy", "joy"),
        ("anger/fear, and puzzlement", ("anger", "fear")),
        ("The speaker feels sad\nbut also excited", ("joy", "sadness")),
    ],
)
def test_answers(answer: str, labels: object) -> None:
    assert TASK.parse(answer) == labels


def test_values_of_several_labels() -> None:
    read = ["joy", ("anger", "joy"), Unparsed("?", "it is empty")]
    values = TASK.measure(read, [("joy",), ("anger",), ("fear",)])
    # hits 2 of 3 predicted and 3 true; anger 1, fear 0, joy 2 / 3
    assert values["micro_f1"] == pytest.approx(4 / 6)
    assert values["macro_f1"] == pytest.approx((1 + 0 + 2 / 3) / 3)
    assert values["unreadable"] == pytest.approx(1 / 3)
    assert values["constant_micro_f1"] == pytest.approx(6 / 12)


def test_where_one_is_asked_several_are_no_answer() -> None:
    values = TASK.measure(["joy", ("anger", "joy")], ["joy", "joy"])
    assert values["accuracy"] == 0.5 and values["unreadable"] == 0.5
    assert values["majority_accuracy"] == 1.0


def test_the_reward_is_the_f1_of_the_sets() -> None:
    said = ["Joy, fear.", "joy", "what?"]
    earned = TASK.reward(said, label=[("joy",), "joy", ("joy",)])
    assert earned == [pytest.approx(2 / 3), 1.0, 0.0]
    assert TASK.reward(["Joy."], solution=["Joy, fear."]) == [pytest.approx(2 / 3)]


def test_words_stand_beside_a_single_picture() -> None:
    said = Sample("d", (Turn("Ann", "Hi.", (Path("ann.png"),)),))
    parts = text_emotion(LABEL_SPACES["meld7"]).conversation(said)[0].parts
    assert parts[:-1] == (Path("ann.png"), "Ann: Hi.\n")
