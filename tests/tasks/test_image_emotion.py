"""The first task: what is asked, which answers are read, what they score and earn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from emosym.config.load import resolve_recipe
from emosym.emotions import MIKELS8, own_space
from emosym.errors import UsageError
from emosym.tasks.image_emotion import image_emotion
from emosym.tasks.names import TASKS, open_task, require_tasks
from emosym.tasks.question import QUESTIONS
from emosym.tasks.task import Task, Unparsed, parse_label
from emosym.training.run import run_recipe
from emosym.types import Message, Sample, Turn, picture_sample

PICTURE = Path("sea.jpg")


@pytest.fixture
def task() -> Task:
    return open_task("image_emotion", MIKELS8)


def test_a_picture_is_asked_about_in_both_wordings(task: Task) -> None:
    sample = picture_sample("sea", PICTURE, "awe")
    assert task.conversation(sample) == (
        Message("user", (PICTURE, "What is the emotion of the image?")),
    )
    other = image_emotion(MIKELS8, "picture").conversation(sample)
    assert other[0].parts == (PICTURE, QUESTIONS["picture"])
    assert task.teach(sample)[1] == Message("assistant", ("Awe.",), learned=True)
    assert task.parse("Awe.") == "awe"


def test_words_are_shown_where_there_is_no_picture(task: Task) -> None:
    said = Sample("d", (Turn("Ann", "Hi."), Turn(text="Oh."), Turn("Bo")))
    assert task.conversation(said)[0].parts[0] == "Ann: Hi.\nOh.\n"
    both = Sample("b", (Turn("Ann", "Hi.", (PICTURE,)), Turn("Bo", frames=(Path("b.jpg"),))))
    assert task.conversation(both)[0].parts[:-1] == (PICTURE, "Ann: Hi.\n", Path("b.jpg"))
    alone = picture_sample("p", PICTURE, text="a caption that is not shown")
    assert task.conversation(alone)[0].parts[:-1] == (PICTURE,)
    # the turn in question is the last one that is shown
    asked = replace(said, focus=0, targets={"text_emotion": "joy"})
    speaker = open_task("text_emotion", own_space(["joy", "calm"]))
    assert speaker.conversation(asked)[0].parts == ("Ann: Hi.\n", QUESTIONS["speaker"])
    assert speaker.teach(asked)[1].parts == ("Joy.",)
    with pytest.raises(UsageError, match="'x' has neither a picture nor words"):
        task.conversation(Sample("x"))
    with pytest.raises(UsageError, match="'x' has no label for image_emotion"):
        task.teach(picture_sample("x", PICTURE))


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("awe", "awe"),
        (" AWE. ", "awe"),
        ("The emotion is *Awe*, I think.", "awe"),
        ("awe, awe and again awe", "awe"),
        ("Contentement", "contentment"),
        ("angry", "anger"),
        ("Sadnes!", "sadness"),
    ],
)
def test_answers_that_name_one_label(task: Task, answer: str, label: str) -> None:
    assert task.parse(answer) == label


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "empty"),
        (" ...\n", "empty"),
        ("awe or fear", "names awe, fear"),
        ("joyful wonder", "names no label"),
        ("awesome", "names no label"),
        ("said " * 100_000, "names no label"),
        ("\0\ud800", "empty"),
        (None, "no text"),
        (3.5, "no text"),
    ],
)
def test_other_answers_are_unparsed(task: Task, answer: object, reason: str) -> None:
    found = task.parse(answer)  # type: ignore[arg-type]
    assert isinstance(found, Unparsed) and reason in found.reason


def test_synonyms_and_labels_of_several_words() -> None:
    labels = ("very happy", "sad")
    assert parse_label("Very  happy!", labels) == "very happy"
    assert parse_label("Gleeful.", labels, {"gleeful": "very happy"}) == "very happy"


def test_unparsed_answers_are_wrong_and_no_class(task: Task) -> None:
    predictions = ["awe", Unparsed("?", "it is empty"), "fear", "awe"]
    values = task.measure(predictions, ["awe", "amusement", "fear", "fear"])
    assert values["accuracy"] == 0.5 and values["unreadable"] == 0.25
    # F1: awe 2/3 of one, fear 2/3 of two, amusement 0 of one
    assert values["weighted_f1"] == pytest.approx((2 / 3 + 2 * 2 / 3) / 4)
    assert values["recall_per_class"][:2] == [0.0, 1.0]


def test_the_reward_has_trls_form(task: Task) -> None:
    said = ["Awe.", [{"role": "assistant", "content": "fear"}], "awe or fear", "awe"]
    earned = task.reward(said, label=["awe", "awe", "awe", None], prompts=["?"] * 4)
    assert earned == [1.0, 0.0, 0.0, None]
    with pytest.raises(UsageError, match="2 completions but 1 true labels"):
        task.reward(["awe", "fear"], label=["awe"])


def test_a_recipe_names_its_tasks(tmp_path: Path) -> None:
    assert list(TASKS)[:2] == ["image_emotion", "text_emotion"]
    raw = {"stage": "align", "out": str(tmp_path / "run")}
    assert resolve_recipe(raw, "test").tasks == ("image_emotion",)  # type: ignore[union-attr]
    wrong = resolve_recipe({**raw, "tasks": ["image_emotoin"]}, "test")
    with pytest.raises(UsageError, match="Did you mean 'image_emotion'"):
        run_recipe(wrong)
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match="needs a task"):
        require_tasks((), ("image_emotion",), "The stage 'align'")
    with pytest.raises(UsageError, match="stands twice"):
        require_tasks(("image_emotion",) * 2, ("image_emotion",), "The stage 'align'")
    with pytest.raises(UsageError, match="The stage 'x' trains mer; it cannot train 'image_emo"):
        require_tasks(("image_emotion",), ("mer",), "The stage 'x'")
