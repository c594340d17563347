"""Sentiment: labels, scores, and answers between them."""

from __future__ import annotations

from pathlib import Path

import pytest

from emosym.errors import UsageError
from emosym.tasks.msa import msa
from emosym.tasks.task import Unparsed
from emosym.types import Sample, Turn

FACE = Path("face.png")


def sample_of(truth: float | str) -> Sample:
    return Sample("v", (Turn(None, 'It is "fine".', (FACE,)),), targets={"msa": truth})


def test_wordings_and_what_they_teach() -> None:
    asked = msa("emoverse").conversation(sample_of(1.0))[1].parts
    assert asked == (
        FACE,
        'The person says: "It is "fine"." <sentiment> Please determine which sentiment label in '
        "the video represents: positive or negative.",
    )
    for template, truth, answer in (
        ("emosym", -0.2, "Negative."),
        ("emosym", 0.0, "Neutral."),
        ("emoverse", 0.0, "Positive."),
        ("emoverse", -1 / 3, "Negative."),
        ("score", -1 / 3, "-0.3"),
    ):
        assert msa(template).teach(sample_of(truth))[-1].parts == (answer,)
    with pytest.raises(UsageError, match="a label and no score"):
        msa("score").teach(sample_of("positive"))


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("Positive.", "positive"),
        ("NEGATIV", "negative"),
        ("2", 2.0),
        ("About -1.4, I think.", -1.4),
        ("\u22122", -2.0),
        ("+7", 3.0),
        ("The sentiment is negative (-2).", "negative"),
    ],
)
def test_answers(answer: str, value: object) -> None:
    assert msa().parse(answer) == value


@pytest.mark.parametrize("answer", ["", "good", "from -1 to 2", "a1b2", "positive or negative"])
def test_what_says_neither_is_unparsed(answer: str) -> None:
    assert isinstance(msa().parse(answer), Unparsed)


def test_scores_are_measured_in_both_senses() -> None:
    values = msa().measure([1.0, -0.6, 0.4, Unparsed("?", "?")], [1.2, 0.0, 0.0, 2.0])
    # 0 or more: right, wrong, right, wrong; above 0, without the zeros: right, wrong
    assert values["acc2_non_negative"] == 0.5 and values["acc2_positive"] == 0.5
    # whole numbers: 1 of 1, -1 of 0, 0 of 0, -3 of 2
    assert values["acc7"] == 0.5 and values["acc5"] == 0.5
    assert values["mae"] == pytest.approx((0.2 + 0.6 + 0.4 + 5.0) / 4)
    assert values["unreadable"] == 0.25 and values["majority_acc2_non_negative"] == 1.0
    assert values["median_mae"] == pytest.approx((0.6 + 0.6 + 0.6 + 1.4) / 4)


def test_labels_have_three_classes_and_no_error_in_points() -> None:
    values = msa().measure(["positive", 0.0, -2.5], ["positive", "neutral", "positive"])
    assert values["accuracy"] == pytest.approx(2 / 3) and "mae" not in values
    assert values["acc2_positive"] == 0.5 and values["majority_accuracy"] == pytest.approx(2 / 3)
    mixed = msa().measure(["positive", "negative"], [0.5, -0.5])
    assert mixed["acc2_positive"] == 1.0 and "acc7" not in mixed and "accuracy" not in mixed
    with pytest.raises(UsageError, match="score or a label"):
        msa().measure(["positive"], [()])


def test_the_reward_is_nearness_of_scores_or_the_same_sign() -> None:
    said = ["2", "Positive.", "-1.5", "no idea"]
    assert msa().reward(said, label=[-1.0, 2.5, "negative", 0.0]) == [0.5, 1.0, 1.0, 0.0]
