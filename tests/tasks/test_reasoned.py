"""Answers with a reason before them and a confidence after them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.rewards.text import answer_label, has_format, stated_confidence
from emosym.tasks.image_emotion import image_emotion
from emosym.tasks.reasoned import CONFIDENCES, has_form, in_form
from emosym.types import IMAGE_EMOTION, Sample, Turn

SEA = Sample(
    "sea", (Turn(frames=(Path("sea.jpg"),)),), None, {IMAGE_EMOTION: "awe"}, rationale="Waves."
)
TASK = image_emotion(MIKELS8)


def test_what_is_asked_and_taught() -> None:
    plain, reasoned, sure = (in_form(TASK, form) for form in ("plain", "reasoned", "sure"))
    assert plain is TASK
    (asked,) = reasoned.conversation(SEA)
    assert asked.parts[0] == Path("sea.jpg")
    assert asked.parts[1] == (
        "What is the emotion of the image? "
        "Answer in the form <think>why</think><answer>the answer</answer>."
    )
    assert reasoned.teach(SEA)[:-1] == (asked,)
    said = reasoned.teach(SEA)[-1]
    assert said.parts == ("<think>Waves.</think><answer>Awe.</answer>",) and said.learned
    (text,) = sure.teach(SEA)[-1].parts
    assert isinstance(text, str) and has_format(text)
    assert answer_label(text, MIKELS8) == reasoned.parse(text) == "awe"
    assert text == sure.teach(SEA)[-1].parts[0]  # the same for the same sample


def test_an_answer_may_be_rated_without_a_reason() -> None:
    rated = in_form(TASK, "rated")
    question = str(rated.conversation(SEA)[0].parts[1])
    assert "<think>" not in question and "<confidence>how sure" in question
    (text,) = rated.teach(replace(SEA, rationale=None))[-1].parts
    sure = str(in_form(TASK, "sure").teach(SEA)[-1].parts[0])
    assert text == sure.removeprefix("<think>Waves.</think>")
    assert answer_label(str(text), MIKELS8) == "awe" and has_form(str(text), "rated")
    assert not has_form("<answer>Awe.</answer>", "rated") and not has_form(str(text), "sure")


@pytest.mark.parametrize(
    ("share", "taught"), [(0.0, "0.1"), (0.26, "0.3"), (0.65, "0.6"), (0.84, "0.8"), (1.0, "0.9")]
)
def test_taught_confidence_may_be_given(share: float, taught: str) -> None:
    for form in ("sure", "rated"):
        text = str(in_form(TASK, form, {"sea": share}).teach(SEA)[-1].parts[0])
        assert text.endswith(f"<answer>Awe.</answer><confidence>{taught}</confidence>")


def test_drawn_confidence_says_nothing_of_the_answer() -> None:
    sure = in_form(TASK, "sure")
    stated = [
        stated_confidence(str(sure.teach(replace(SEA, id=str(number)))[-1].parts[0]))
        for number in range(300)
    ]
    assert {str(value) for value in stated} == set(CONFIDENCES)
    assert sum(value or 0.0 for value in stated) / 300 == pytest.approx(0.5, abs=0.05)


def test_what_cannot_be_taught() -> None:
    with pytest.raises(UsageError, match=r"no rationale.*plain"):
        in_form(TASK, "reasoned").teach(replace(SEA, rationale=None))
    with pytest.raises(
        UsageError, match="no form of an answer; valid are plain, reasoned, sure, rated"
    ):
        in_form(TASK, "loud")
