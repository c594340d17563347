"""Change and the next emotion: their truth from the turns, what is asked, how answers are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.data.dialogue_makers import meld, turn

from emosym.data.changes import with_changes
from emosym.data.sources.meld import load_meld
from emosym.emotions import LABEL_SPACES
from emosym.errors import UsageError
from emosym.tasks.in_time import emotion_change, next_emotion
from emosym.tasks.task import Unparsed
from emosym.types import Message, Sample, Turn

MELD = LABEL_SPACES["meld7"]
TURNS = (
    Turn("Ann", "Hello.", emotion="neutral"),
    Turn("Bo", "You broke it!", emotion="anger"),
    Turn("Ann", "Not me.", emotion="fear"),
    Turn("Bo", "You did!", emotion="anger"),
    Turn("Cy", "Stop.", emotion=None),
)


def test_truths_follow_from_the_turns(tmp_path: Path) -> None:
    said = [("Ann", "neutral"), ("Bo", "anger"), ("Ann", "fear"), ("Bo", "anger")]
    rows = [
        turn(number, number, label=emotion).replace(",Ann,", f",{who},")
        for number, (who, emotion) in enumerate(said)
    ]
    plain = load_meld(meld(tmp_path, *rows))
    found = with_changes(plain, ["mer", "emotion_change", "next_emotion"])
    assert [s.targets.get("emotion_change") for s in found] == [None, None, "changed", "same"]
    assert [s.targets.get("next_emotion") for s in found] == ["anger", "fear", "anger", None]
    assert [s.targets["mer"] for s in found] == ["neutral", "anger", "fear", "anger"]
    assert with_changes(plain, ["mer"]) is plain
    assert "next_emotion" not in plain[0].targets


def test_the_words_of_the_next_turn_are_not_shown() -> None:
    sample = Sample("d", TURNS, 2, {"emotion_change": "changed", "next_emotion": "anger"})
    change, after = emotion_change(MELD), next_emotion(MELD)
    (asked,) = change.conversation(sample)
    assert asked.parts[-1] == (
        "Has the emotion of Ann changed since Ann last spoke? Same or changed?"
    )
    (asked,) = after.conversation(sample)
    assert "You did!" not in str(asked.parts) and "Not me." in str(asked.parts)
    assert asked.parts[-1] == "What emotion will Bo feel in the next turn?"
    assert after.teach(sample)[-1] == Message("assistant", ("Anger.",), learned=True)
    assert change.teach(sample)[-1].parts == ("Changed.",)
    with pytest.raises(UsageError, match="has not spoken before"):
        change.conversation(Sample("d", TURNS, 1))


@pytest.mark.parametrize(
    ("answer", "read"),
    [("Changed.", "changed"), ("Yes", "changed"), ("No, the same.", "same"), ("unchanged", "same")],
)
def test_answers_are_read(answer: str, read: str) -> None:
    assert emotion_change(MELD).parse(answer) == read


def test_nothing_usable_is_no_class() -> None:
    assert isinstance(emotion_change(MELD).parse("perhaps"), Unparsed)
    values = emotion_change(MELD).measure(
        ["changed", "same", "same"], ["changed", "changed", "same"]
    )
    assert values["accuracy"] == pytest.approx(2 / 3)
