"""Emotion recognition: its wordings, and labels as they are written in the wild."""

from __future__ import annotations

from pathlib import Path

import pytest

from emosym.emotions import LABEL_SPACES, own_space
from emosym.tasks.mer import mer
from emosym.tasks.task import Unparsed
from emosym.types import Message, Sample, Turn, Votes

FACE = Path("face.png")
SAMPLE = Sample(
    "d1",
    (Turn("Ann", "Look!"), Turn("Bo", "That's  a\ndog's tail.", (FACE,)), Turn("Ann", "Later.")),
    1,
    {"mer": "joy"},
)


def test_the_published_wording_shows_the_turn_alone() -> None:
    system, user, answer = mer(template="emoverse").teach(SAMPLE)
    assert system == Message("system", ("You are an sentiment and emotion analysis expert.",))
    assert user.parts == (
        FACE,
        "The person says: 'That's a dog's tail.' <emotion> Please determine which emotion label "
        "in the video represents: anger, sadness, surprise, disgust, joy, neutral or fear.",
    )
    assert answer.parts == ("Joy.",)
    other = mer(LABEL_SPACES["mosei7"], "emoverse").conversation(SAMPLE)[1].parts[-1]
    assert str(other).endswith("happy, sadness, surprise, disgust, anger, fear or neutral.")


def test_ours_shows_what_came_before() -> None:
    asked = mer().conversation(SAMPLE)
    question = "What emotion does the speaker feel?"
    assert asked[0].parts == ("Ann: Look!\n", FACE, "Bo: That's  a\ndog's tail.\n", question)


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("Joy.", "joy"),
        ("happines", "joy"),
        ("Excited!", "joy"),
        ("HAPPY", "joy"),
        ("sad", "sadness"),
        ("suprise", "surprise"),
        ("Frightened,", "fear"),
        ("The label is <answer>Disgusted</answer>, not fear.", "disgust"),
        ("Anger. Nobody here feels joy.", "anger"),
    ],
)
def test_labels_in_the_wild(answer: str, label: str) -> None:
    assert mer().parse(answer) == label


@pytest.mark.parametrize("answer", ["", "he said so", "joy or fear", "label 3", "hungry"])
def test_what_is_no_label_is_no_class(answer: str) -> None:
    assert isinstance(mer().parse(answer), Unparsed)


def test_synonyms_follow_the_space() -> None:
    assert mer(LABEL_SPACES["mosei7"]).parse("Joy.") == "happy"
    fine = own_space(["joy", "excitement", "fear", "neutral"])
    assert mer(fine).parse("excited") == "excitement" and mer(fine).parse("happy") == "joy"
    assert isinstance(mer(fine).parse("angry"), Unparsed)


def test_votes_count_by_their_label() -> None:
    truths = [Votes({"joy": 1.0, "fear": 2.0}), Votes({"joy": 1.0, "fear": 2.0}, "joy")]
    assert mer().measure(["fear", "joy"], truths)["accuracy"] == 1.0


def test_a_reward_is_earned_by_the_label_that_votes_name() -> None:
    votes = [Votes({"joy": 1.0, "fear": 2.0}), Votes({"joy": 1.0, "fear": 2.0}, "joy")]
    assert mer().reward(["Fear.", "Fear."], label=votes) == [1.0, 0.0]
