from __future__ import annotations

import math
from pathlib import Path

import pytest
from tests.toy_wheels import write_wheels

from emosym.data.wheel_tables import read_wheels
from emosym.errors import UsageError
from emosym.tasks.open_words import measure_words, open_words, words_of
from emosym.tasks.task import Unparsed
from emosym.types import OPEN, Sample, Turn, picture_sample


def test_pictures_and_speakers_are_asked_for_all_that_fits() -> None:
    task = open_words()
    (seen,) = task.conversation(picture_sample("sea", Path("sea.jpg")))
    assert seen.parts[0] == Path("sea.jpg") and "picture" in str(seen.parts[1])
    said = Sample("d", (Turn("Ann", "Oh no."),), 0, {OPEN: ("sad", "cast down")})
    taught = task.teach(said)
    assert "Ann: Oh no." in str(taught[0].parts[0]) and taught[-1].parts == ("Sad, cast down.",)
    assert task.parse("Sad, cast down.") == ("sad", "cast down")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "it is empty"),
        ("  ...", "it is empty"),
        ("He seems to be rather upset today", "names no emotion words"),
        ("sad " * 10_000, "names no emotion words"),
        (", ".join(map(str, range(10_000))), "more than 256"),
        ("<think>sad</think>", "names no emotion words"),
    ],
)
def test_what_says_nothing_is_told(said: str, reason: str) -> None:
    found = open_words().parse(said)
    assert isinstance(found, Unparsed) and reason in found.reason


def test_words_as_they_are_written_by_hand() -> None:
    predictions = [("sad",), ("sad", "mad"), Unparsed("", "it is empty"), ("悲伤",)]
    truths = [("sad",), ("mad",), ("sad", "mad"), ("sad",)]
    values = measure_words(predictions, truths)
    assert values["word_precision"] == pytest.approx((1 + 0.5 + 0 + 0) / 4)
    assert values["word_recall"] == pytest.approx((1 + 1 + 0 + 0) / 4)
    assert values["word_f1"] == pytest.approx(2 * 0.375 * 0.5 / 0.875)
    # Always "sad": P 3/4, R (1 + 0 + 1/2 + 1)/4
    assert values["constant_word_f1"] == pytest.approx(2 * 0.75 * 0.625 / 1.375)
    assert values["unreadable"] == 0.25


def test_values_and_reward_on_wheels(tmp_path: Path) -> None:
    task = open_words(read_wheels(write_wheels(tmp_path)))
    values = task.measure([("sad", "mad"), ("glad",)], [("unhappy",), ("witty",)])
    # Wheels 1, 3, 4, 5: P (1/2 + 1)/2, R 1; wheel 2: both exact.
    f1 = (4 * (2 * 0.75 / 1.75) + 1) / 5
    assert values["wheel_f1"] == pytest.approx(f1)
    own = (4 * 2 / 3 + 1) / 5
    expected = (own * math.log(2) / math.log(3) + 1) / 2
    assert values["wheel_f1_penalised"] == pytest.approx(expected)
    # Second ring: unhappy -> sad -> hurt; "mad" -> bitter; glad -> bold, witty -> playful: 0 there.
    assert values["level2_wheel_f1"] < f1
    assert values["constant_wheel_f1"] is not None
    assert task.reward(["sad, mad", "glad"], label=[("unhappy",), None]) == [
        pytest.approx(own),
        None,
    ]
    # No wheel knows the truth: words as they are written.
    assert task.reward(["zebra, lion"], solution=["zebra"]) == [pytest.approx(2 / 3)]


def test_truths_that_are_none() -> None:
    with pytest.raises(UsageError, match="must be emotion words, got 7"):
        measure_words([("sad",)], [7.0])
    with pytest.raises(UsageError, match="no samples"):
        measure_words([], [])
    assert words_of(None) == () and words_of("[sad, 'mad']") == ("sad", "mad")
