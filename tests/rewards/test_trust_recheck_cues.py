from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from emosym.errors import UsageError
from emosym.rewards.cues import cue_precision
from emosym.rewards.recheck import recheck
from emosym.rewards.trust import trust, trust_weighted


def written(answer: str, think: str = "A wide sky.") -> str:
    return f"<think>{think}</think><answer>{answer}</answer>"


def test_trust_by_hand() -> None:
    assert trust([True, False], [0.9, 0.4]) == 1.0
    assert trust([True, False, False], [0.2, 0.5, 0.9]) == pytest.approx(math.exp(-0.5))
    assert trust([True], [0.1]) == 1.0
    assert trust([False, False], [1.0, 0.6]) == pytest.approx(math.exp(-0.8))
    assert trust([], []) == 1.0


def long_words(completions: Sequence[Any], **columns: Any) -> list[float | None]:
    """A judge that likes the word 'because': easily fooled."""
    return [float("because" in str(text)) for text in completions]


def test_trust_weighted_by_hand_in_two_groups() -> None:
    reward = partial(trust_weighted, reasoning=long_words)
    said = [
        written("awe", "because"),
        written("fear"),
        written("awe"),
        written("fear", "because"),
        "awe",
    ]
    got = reward(said, label=["awe"] * 4 + [None], prompts=["a", "a", "b", "b", "b"])
    low = math.exp(-1.0)  # of group b, where only the wrong answer pleases the judge
    assert got == [
        pytest.approx(0.3 + 1.0 + 0.5),
        pytest.approx(0.3),
        pytest.approx(0.3 + 1.0),
        pytest.approx(0.3 + 0.5 * low),
        None,
    ]


def test_fine_words_for_wrong_answers_stay_below_any_right_one() -> None:
    said = [written("fear", "because")] * 4 + [written("awe")]
    got = trust_weighted(said, label=["awe"] * 5, reasoning=long_words)
    assert max(got[:4]) < got[4]  # type: ignore[type-var, operator]
    nothing = partial(trust_weighted, reasoning=lambda completions, **_: [None, math.nan])
    assert nothing(["awe", "awe"], label=["awe", "awe"]) == [1.0, 1.0]
    with pytest.raises(UsageError, match=r"partial\(trust_weighted"):
        trust_weighted(said, label=["awe"] * 5)
    with pytest.raises(UsageError, match="as many prompts"):
        trust_weighted(["awe"], label=["awe"], prompts=[], reasoning=long_words)


def from_words(texts: Sequence[str]) -> list[str]:
    """A frozen reader of explanations: a sky is awe."""
    return ["awe" if "sky" in text else "fear" for text in texts]


def from_pictures(pictures: Sequence[Any]) -> list[str]:
    return [str(picture) for picture in pictures]


def test_an_answer_must_survive_being_read_again() -> None:
    said = [
        written("awe", "A very wide sky."),
        written("awe", "A dark narrow street."),
        written("fear", "A dark narrow street."),  # agrees with itself, and is wrong
        written("awe", "It is awe, awe, awesome!"),
        "awe",
        written("awe", "A very wide sky."),
    ]
    label = ["awe", "awe", "awe", "awe", "awe", None]
    image = ["awe", "awe", "fear", "fear", "awe", "awe"]
    both = partial(recheck, read_words=from_words, read_pictures=from_pictures)
    assert both(said, label=label, image=image) == [1.0, 0.5, 0.0, 0.0, 0.5, None]
    assert recheck(said[:2], label=label[:2], read_words=from_words) == [1.0, 0.0]


def test_an_explanation_that_names_the_answer_explains_nothing() -> None:
    heard: list[str] = []

    def parrot(texts: Sequence[str]) -> list[str]:
        heard.extend(texts)
        return ["awe" if "awe" in text.lower() else "?" for text in texts]

    said = [written("awe", "This is plainly awe, so it must be Awe.")]
    assert recheck(said, label=["awe"], read_words=parrot) == [0.0]
    assert heard == ["This is plainly ..., so it must be ...."]
    assert recheck([written("awe", "Awe")], label=["awe"], read_words=from_words) == [0.0]


def test_rechecks_that_cannot_be_made_are_said() -> None:
    with pytest.raises(UsageError, match="read_words, read_pictures"):
        recheck(["awe"], label=["awe"])
    with pytest.raises(UsageError, match="column 'image'"):
        recheck(["awe"], label=["awe"], read_pictures=from_pictures)
    with pytest.raises(UsageError, match="1 things were to be read again, 0 answers came"):
        recheck(["awe"], label=["awe"], image=["x"], read_pictures=lambda pictures: [])


PHRASES = {"dog": ("dog", "puppy"), "sun": ("sun",), "sea": ("sea", "the water"), "car": ("car",)}


def test_cue_precision_by_hand() -> None:
    reward = partial(cue_precision, phrases=PHRASES)
    said = [
        written("awe", "A puppy by the water."),  # 2 of 2 there
        written("awe", "A dog and a car, by the sea."),  # 2 of 3
        written("awe", "A dog."),  # 1 of 1, half of the two that are wanted
        written("awe", "The car."),
        written("awe", "Nice."),
        written("A dog by the sea", "Nice."),  # named in the answer only
        written("awe", "A dog"),
        written("awe", "A dog"),
    ]
    there: list[object] = [["dog", "sea"]] * 6 + [[], "dog"]
    got = reward(said, cues=there)
    assert got == pytest.approx([1.0, 2 / 3, 0.5, 0.0, 0.0, 0.0, None, 1.0])


def test_naming_every_cue_earns_little() -> None:
    every = written("awe", "dog, sun, sea, car " * 3)
    assert cue_precision([every], cues=[["dog"]], phrases=PHRASES) == [0.25]
    with pytest.raises(UsageError, match=r"phrases=\.\.\."):
        cue_precision([every], cues=[["dog"]])
    with pytest.raises(UsageError, match="1 or more"):
        cue_precision([every], cues=[["dog"]], phrases=PHRASES, fewest_cues=0)
