from __future__ import annotations

import math
import pickle
from functools import partial
from pathlib import Path

import pytest
from tests.toy_wheels import WHEEL, write_wheels

from emosym.data.wheel_tables import Wheels, read_wheels
from emosym.errors import UsageError
from emosym.rewards.wheel import alignment, emotion_words, wheel, wheel_penalised
from emosym.rewards.words import MOST_WORDS, answer_words


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    return read_wheels(write_wheels(tmp_path_factory.mktemp("wheels")))


def written(answer: str, think: str = "A smile.") -> str:
    return f"<think>{think}</think><answer>{answer}</answer>"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("sad, Mad.", ("sad", "mad")),
        (written("['sad', \"cast  down\"]"), ("sad", "cast down")),
        ("sad and mad/glad; sad", ("sad", "mad", "glad")),
        ("sadness，joy、fear", ("sadness", "joy", "fear")),
        ("悲伤", ("悲伤",)),
        ("She seems to be rather upset today, sad", ("sad",)),
        ("<think>sad</think>", None),
        ("<answer>sad", None),
        ("", None),
        (" ,;. ", None),
        (", ".join(f"word{i}" for i in range(MOST_WORDS + 1)), None),
        ("sad " * 10_000, None),
    ],
)
def test_what_an_answer_names(said: str, words: tuple[str, ...] | None) -> None:
    assert answer_words(said) == words


def test_the_wheel_reward_by_hand(wheels: Wheels) -> None:
    reward = partial(wheel, wheels=wheels)
    said = [written("unhappy"), written("sad, mad"), "glad", written("glad"), written("sad")]
    true = [["sad"], "unhappy", ["sad"], None, ["zebra"]]
    part = (4 * 2 / 3 + 1) / 5
    assert reward(said, label=true) == [1.0, pytest.approx(part), 0.0, None, None]
    penalised = partial(wheel_penalised, wheels=wheels)
    short = math.log(2) / math.log(3)
    assert penalised(said, label=true)[:2] == [1.0, pytest.approx(part * short)]


def test_the_wheel_reward_is_not_earned_by_naming_everything(wheels: Wheels) -> None:
    """Or by words in the thinking only."""
    every = ", ".join(str(cell) for row in WHEEL for cell in row if cell)
    honest, all_words, thought = wheel(
        [written("sad"), written(every), "<think>sad</think>"], label=["sad"] * 3, wheels=wheels
    )
    assert thought == 0.0
    assert honest == 1.0
    assert all_words is not None
    assert all_words < 0.6
    (punished,) = wheel_penalised([written(every)], label=["sad"], wheels=wheels)
    assert punished is not None
    assert punished < 0.2


def test_alignment_by_hand(wheels: Wheels) -> None:
    said = [
        written("unhappy", think="He looks sadly away."),
        written("sad, mad", think="So sad."),  # 1 of 2 on four wheels, {bad} twice on the second
        written("glad", think="So sad."),
        written("zebra", think="A stripe."),  # both name nothing: they agree about nothing
        written("sad", think="He feels cast down."),  # mad: 0; the second wheel does not know it
        "sad",
    ]
    got = alignment(said, wheels=wheels)
    assert got == pytest.approx([1.0, (4 * 0.5 + 1) / 5, 0.0, 0.0, 0.0, 0.0])
    assert emotion_words("Cast down, sadly; SAD, not a zebra", wheels) == (
        "cast down",
        "sadly",
        "sad",
    )


def test_what_is_missing_is_said(wheels: Wheels) -> None:
    with pytest.raises(UsageError, match=r"functools\.partial"):
        wheel(["sad"], label=["sad"])
    with pytest.raises(UsageError, match=r"functools\.partial"):
        alignment(["sad"])
    with pytest.raises(UsageError, match="column 'label'"):
        wheel(["sad"], wheels=wheels)
    with pytest.raises(UsageError, match="2 completions need as many"):
        wheel(["sad", "mad"], label=["sad"], wheels=wheels)
    with pytest.raises(UsageError, match="must be a list of words"):
        wheel(["sad"], label=[7], wheels=wheels)
    with pytest.raises(UsageError, match="1 or 2, got 9"):
        wheel(["sad"], label=["sad"], wheels=wheels, wheel_level=9)


def test_a_partial_travels_to_another_process(wheels: Wheels, tmp_path: Path) -> None:
    sent = pickle.loads(pickle.dumps(partial(wheel, wheels=wheels)))
    assert sent(["sad"], label=["sad"]) == [1.0]
