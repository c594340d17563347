"""Alike dialogues as examples: how they are found, what is shown, and what is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from emosym.emotions import LABEL_SPACES
from emosym.errors import UsageError
from emosym.memory.dialogues import alike, dialogue_bank, excerpt, voted, with_examples
from emosym.tasks.ecpe import ecpe
from emosym.tasks.mer import mer
from emosym.tasks.task import Unparsed
from emosym.types import MER, Message, Sample, Turn

TASK = mer(LABEL_SPACES["meld7"])
QUESTION = "What emotion does the speaker feel?"


def talk(name: str, label: str | None, *said: str, focus: int | None = None) -> Sample:
    turns = tuple(Turn("AB"[i % 2], words) for i, words in enumerate(said))
    return Sample(name, turns, len(said) - 1 if focus is None else focus, {MER: label or ()})


LOST = talk("lost", "sadness", "My dog is gone.", "Oh no.", "I lost my dog.")
WON = talk("won", "joy", "We won the cup!")
RAIN = talk("rain", "neutral", "It rains.")
BANK = dialogue_bank([WON, LOST, RAIN], TASK)


def test_the_most_alike_come_first_and_equal_ones_in_order() -> None:
    asked = talk("q", None, "My dog and my cup are lost.")
    # "my", "dog", "lost" are of LOST, "cup" of WON; RAIN shares no word
    assert alike(BANK, asked, 3) == [1, 0, 2]
    assert alike(BANK, asked, 1) == [1]
    assert alike(BANK, talk("q", None, "Nothing."), 3) == [0, 1, 2]
    assert alike(BANK, talk("q", None, ""), 2) == [0, 1]
    assert len(alike(BANK, asked, 9)) == 3


def test_a_dialogue_is_no_example_of_itself_and_later_turns_are_not_looked_at() -> None:
    assert alike(BANK, LOST, 3) == [0, 2]
    early = talk("q", None, "We won the cup!", "My dog is gone, I lost my dog.", focus=0)
    assert alike(BANK, early, 1) == [0]


def test_examples_stand_before_the_question_the_most_alike_last() -> None:
    asked = talk("q", "fear", "Where is my dog? Is it lost?")
    task = with_examples(TASK, BANK, 2)
    shown = task.conversation(asked)
    assert [message.role for message in shown] == ["user", "assistant"] * 2 + ["user"]
    assert shown[2] == Message(
        "user", ("A: My dog is gone.\nB: Oh no.\nA: I lost my dog.\n", QUESTION)
    )
    assert shown[3] == Message("assistant", ("Sadness.",))  # shown, and not learned
    assert shown[4:] == TASK.conversation(asked)
    assert task.teach(asked) == (*shown, Message("assistant", ("Fear.",), learned=True))
    assert task.parse("Joy.") == "joy" and task.measure is TASK.measure


def test_an_example_is_short_and_without_pictures() -> None:
    turns = tuple(Turn("A", str(i), (Path(f"{i}.png"),)) for i in range(6))
    found = excerpt(Sample("d", turns, 4, {MER: "joy"}))
    assert [turn.text for turn in found.turns] == ["2", "3", "4", "5"] and found.focus == 2
    assert not found.images
    assert TASK.conversation(found)[0].parts[0] == "A: 2\nA: 3\nA: 4\n"  # nothing that comes later


def test_what_examples_tell_without_a_model() -> None:
    joys = [talk(f"j{i}", "joy", f"The cup is number {i}.") for i in range(2)]
    bank = dialogue_bank([LOST, *joys], TASK)
    samples = [talk("q", None, "A cup."), talk("p", None, "My dog.")]
    assert voted(bank, samples, 3) == ["joy", "joy"]  # two of three
    assert voted(bank, samples, 2) == ["joy", "sadness"]  # one each: the nearest counts
    (alone,) = voted(dialogue_bank([LOST], TASK), [LOST], 2)
    assert isinstance(alone, Unparsed)


def test_what_has_no_examples() -> None:
    with pytest.raises(UsageError, match="not for 'ecpe': its answers are of the whole"):
        dialogue_bank([LOST], ecpe(LABEL_SPACES["meld7"]))
    with pytest.raises(UsageError, match="nothing to show as an example"):
        dialogue_bank([talk("q", None, "Hm.")], TASK)
    with pytest.raises(UsageError, match="nothing to show as an example"):
        dialogue_bank([Sample("picture", (Turn(frames=(Path("a.png"),)),), 0, {MER: "joy"})], TASK)
    with pytest.raises(UsageError, match="must be 1 or more, got 0"):
        with_examples(TASK, BANK, 0)
