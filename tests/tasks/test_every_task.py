"""What holds for every task: any answer is read, and the one that is taught reads as the truth."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emosym.data.action_units import UNITS
from emosym.emotions import LABEL_SPACES
from emosym.errors import UsageError
from emosym.tasks.ecpe import ecpe
from emosym.tasks.eri import eri
from emosym.tasks.fer import fer
from emosym.tasks.in_time import emotion_change, next_emotion
from emosym.tasks.mer import mer
from emosym.tasks.msa import msa
from emosym.tasks.names import TASKS, open_task
from emosym.tasks.open_words import open_words
from emosym.tasks.task import Task, Unparsed
from emosym.tasks.text_emotion import text_emotion
from emosym.types import CausePair, Sample, Turn

MELD = LABEL_SPACES["meld7"]
EMOTIONAL = [label for label in MELD.labels if label != "neutral"]
FACE = Path("face.png")
TURNS = (
    Turn("Ann", "Where is my  ring?", emotion="neutral"),
    Turn("Bo", 'I "sold" it.', emotion="neutral"),
    Turn("Ann", "You what?", (FACE,), emotion="anger"),
)
SETTINGS = settings(deadline=None, max_examples=30)
PAIRS = st.builds(CausePair, st.just(2), st.sampled_from(EMOTIONAL), st.integers(0, 2)) | st.builds(
    CausePair, st.just(2), st.just("joy"), st.just(2)
)
TEXTS = st.text(string.ascii_letters + " .,\"'", min_size=1).filter(
    lambda text: any(c.isalnum() for c in text)
)
TRUTHS: dict[str, tuple[Task, st.SearchStrategy[Any]]] = {
    "msa": (msa(), st.sampled_from(["negative", "neutral", "positive"])),
    "msa score": (msa("score"), st.integers(-30, 30).map(lambda tenths: tenths / 10)),
    "msa published": (msa("emoverse"), st.sampled_from(["negative", "positive"])),
    "mer": (mer(MELD), st.sampled_from(MELD.labels)),
    "mer published": (mer(MELD, "emoverse"), st.sampled_from(MELD.labels)),
    "text_emotion": (text_emotion(MELD), st.sampled_from(MELD.labels)),
    "text_emotion several": (
        text_emotion(MELD),
        st.sets(st.sampled_from(MELD.labels), min_size=2).map(lambda found: tuple(sorted(found))),
    ),
    "fer": (fer(), st.sets(st.sampled_from(sorted(UNITS))).map(lambda f: tuple(sorted(f)))),
    "fer published": (fer("emoverse"), st.just(("AU07",))),
    "eri": (eri(), TEXTS.map(str.strip)),
    "eri published": (eri(template="emoverse"), st.just('The lips are parted, "what?" is said.')),
    "open": (
        open_words(),
        st.sets(st.sampled_from(["sad", "cast down", "joy"]), min_size=1).map(
            lambda found: tuple(sorted(found))
        ),
    ),
    "emotion_change": (emotion_change(MELD), st.sampled_from(["same", "changed"])),
    "next_emotion": (next_emotion(MELD), st.sampled_from(MELD.labels)),
    "ecpe": (ecpe(MELD), st.sets(PAIRS).map(lambda pairs: tuple(sorted(pairs)))),
    "ecpe predicted": (ecpe(MELD, emotions="predicted"), st.just(())),
    "ecpe published": (ecpe(template="emoverse"), st.sets(PAIRS).map(lambda p: tuple(sorted(p)))),
}
SAID = st.text() | st.text("0123456789_,;. ajoyfer\n-AU") | st.sampled_from(["None", "\0", "1,"])


def sample_of(task: Task, truth: Any) -> Sample:
    return Sample("d1", TURNS, 2, {task.name: truth})


@pytest.mark.parametrize("case", TRUTHS)
def test_the_answer_that_is_taught_reads_as_the_truth(case: str) -> None:
    task, truths = TRUTHS[case]

    @given(truths)
    @SETTINGS
    def check(truth: Any) -> None:
        said = task.teach(sample_of(task, truth))[-1]
        assert said.role == "assistant" and said.learned
        assert task.parse(str(said.parts[0])) == truth
        assert task.reward([said.parts[0]], label=[truth]) == [1.0]
        assert task.reward([said.parts[0]], solution=[said.parts[0]]) == [1.0]
        values = task.measure([truth], [truth])
        assert json.dumps(values, allow_nan=False) and values["unreadable"] == 0.0

    check()


@pytest.mark.parametrize("name", TASKS)
def test_any_answer_is_read_and_measured(name: str) -> None:
    task = open_task(name, MELD)
    truth: Any = {
        "statement": "correct",
        "fer": ("AU04",),
        "ecpe": (CausePair(2, "anger", 1),),
        "eri": "Brows lowered.",
        "emotion_change": "changed",
    }
    true = truth.get(task.name, "negative" if name == "msa" else "anger")

    @given(SAID)
    @SETTINGS
    def check(answer: str) -> None:
        found = task.parse(answer)
        values = task.measure([found, found], [true, true])
        assert json.dumps(values, allow_nan=False)
        unread = isinstance(found, Unparsed)
        assert values["unreadable"] == 1.0 if unread else values["unreadable"] in (0.0, 1.0)
        assert task.reward([answer], label=[true])[0] is not None

    check()
    for odd in (None, 3.5, b"joy", ["joy"]):
        assert isinstance(task.parse(odd), Unparsed)  # type: ignore[arg-type]
    assert isinstance(task.parse("\ud800?"), str | Unparsed)


@pytest.mark.parametrize("case", TRUTHS)
def test_a_sample_without_a_truth_is_not_taught_and_a_reward_needs_one(case: str) -> None:
    task, _ = TRUTHS[case]
    with pytest.raises(UsageError, match="'d1' has no"):
        task.teach(Sample("d1", TURNS, 2))
    with pytest.raises(UsageError, match="'label' or 'solution'"):
        task.reward(["joy"])
    assert task.reward(["joy"], label=[None]) == [None]


def test_wordings_are_named() -> None:
    with pytest.raises(UsageError, match="Did you mean 'emoverse'"):
        mer(MELD, "emovers")
    for name in ("image_emotion", "text_emotion"):
        with pytest.raises(UsageError, match="Did you mean 'picture'"):
            TASKS[name](MELD, "pictur")  # type: ignore[call-arg]
    for make in (msa, fer):
        with pytest.raises(UsageError, match="wording"):
            make("speaker")
