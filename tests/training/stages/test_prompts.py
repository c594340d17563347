"""Prompts of stage 3: words from the picture itself, latents from another of the same emotion."""

from __future__ import annotations

import numpy as np

from emosym.seeds import numpy_rng
from emosym.training.stages.prompts import (
    draw_prompts,
    others_of_same_label,
    with_emotion,
    words_of,
)
from emosym.types import Sample

CAPTION = "a city street in a starry night, a kite at the top, a child jumping, mouth wavy"


def rng(index: int = 0) -> np.random.Generator:
    return numpy_rng(0, "test-prompts", index)


def test_words_come_from_the_caption_in_their_order() -> None:
    said = [words_of(Sample(id="x", caption=CAPTION), rng(i)) for i in range(200)]
    places = {word: i for i, word in reversed(list(enumerate(CAPTION.replace(",", "").split())))}
    for text in said:
        words = text.replace(",", "").split()
        assert words and set(words) <= set(places)
        assert text.count(",") <= 1  # one or two parts
    assert 0.55 < np.mean(["city" in text for text in said]) < 0.75  # .7 named, .85 kept
    assert any(text.startswith("a kite") for text in said)


def test_without_a_caption_the_attributes_speak_and_long_words_are_cut() -> None:
    picture = Sample(id="x", attributes={"scene": "beach", "object": ["dog"]})
    said = {words_of(picture, rng(i)) for i in range(50)}
    assert any("beach" in text for text in said) and any("dog" in text for text in said)
    assert len(words_of(Sample(id="x", caption="word " * 300), rng()).split()) <= 20
    assert words_of(Sample(id="x"), rng())  # nothing known: still a prompt


def test_the_emotion_stands_before_between_or_after() -> None:
    said = [with_emotion("a city street", rng(i)) for i in range(120)]
    assert set(said) == {
        "{} a city street", "a {} city street", "a city {} street", "a city street {}"
    }  # fmt: skip
    assert with_emotion("", rng()) == "{}"


def test_partners_share_the_label_and_are_others() -> None:
    truth = np.array([0, 0, 0, 1, 1, 2])
    indices = np.array([0, 3, 5, 1])
    for i in range(20):
        partners = others_of_same_label(truth, indices, rng(i))
        assert (truth[partners] == truth[indices]).all()
        assert (partners[[0, 1, 3]] != indices[[0, 1, 3]]).all()
        assert partners[2] == 5  # alone in its class


def test_plain_rows_keep_their_own_latents() -> None:
    samples = [Sample(id=str(i), caption=CAPTION) for i in range(40)]
    truth, indices = np.arange(40) % 2, np.arange(40)
    prompts, sources, worded = draw_prompts(samples, truth, indices, "{}", 0.5, rng())
    assert 8 < worded.sum() < 32
    assert (sources[~worded] == indices[~worded]).all()
    assert (sources[worded] != indices[worded]).all()
    assert [p == "{}" for p in prompts] == (~worded).tolist()
    again = draw_prompts(samples, truth, indices, "{}", 0.5, rng())
    assert again[0] == prompts and (again[1] == sources).all()
    none, own, _ = draw_prompts(samples, truth, indices, "a {} day", 0.0, rng())
    assert set(none) == {"a {} day"} and (own == indices).all()
