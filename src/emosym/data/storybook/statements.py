"""Statements about storybook pictures from their exact truth: correct ones, and minimally wrong.

Each class has pairs that differ in one thing: the polarity, the emotion (another of the same
polarity), one object, light or act, or whether viewers agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from emosym.data.storybook.words import ACTION_PHRASES, setting_in_words, with_article
from emosym.data.storybook.world import ACTIONS, LIGHTS, OBJECTS, SCENES
from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.seeds import numpy_rng
from emosym.types import IMAGE_EMOTION, Sample

OPPOSITE = {"positive": "negative", "negative": "positive"}
Pair = tuple[str, str, str]  # what is true, what is wrong by one thing, the subclass


def statement_record(sample: Sample, seed: int = 0) -> dict[str, Any]:
    """Return MVEI's record of a storybook picture: of each class one statement right, one wrong.

    Raises:
        UsageError: for a picture without a label or without the storybook's attributes.
    """
    label = sample.label_of(IMAGE_EMOTION)
    if label is None:
        raise UsageError(f"Sample {sample.id!r} has no emotion to make statements of.")
    rng = numpy_rng(seed, "statements", *sample.id.encode())
    votes = sample.votes_of(IMAGE_EMOTION) or {label: 1.0}
    felt = sorted((word for word in votes if votes[word] > 0), key=lambda word: -votes[word])
    pairs = {
        "sentiment_polarity": _polarity(label),
        "emotion_interpretation": _emotion(label, felt, rng),
        "scene_context": _scene(sample, rng),
        "perception_subjectivity": _viewers(felt),
    }
    listed = [
        {"statement": text, "label": mark, "class": kind, "subclass": subclass}
        for kind, (right, wrong, subclass) in pairs.items()
        for text, mark in ((right, "correct"), (wrong, "incorrect"))
    ]
    order = rng.permutation(len(listed))
    return {
        "image_id": sample.id,
        "ov_emotion": felt,
        "statement_list": [listed[place] for place in order],
    }


def _polarity(label: str) -> Pair:
    kind = str(MIKELS8.polarity(label))
    text = "The feeling that the picture evokes is {}."
    return text.format(kind), text.format(OPPOSITE[kind]), "polarity"


def _emotion(label: str, felt: Sequence[str], rng: np.random.Generator) -> Pair:
    near = MIKELS8.indices(str(MIKELS8.polarity(label)))
    others = [word for word in (MIKELS8.labels[place] for place in near) if word not in felt]
    text = "What the picture evokes most is {}."
    return text.format(label), text.format(_one(others, rng)), "same polarity"


def _scene(sample: Sample, rng: np.random.Generator) -> Pair:
    given = sample.attributes
    objects, scene = given.get("object"), given.get("scene")
    light, action = given.get("light"), given.get("human_action")
    known = scene in SCENES and light in LIGHTS and action in ACTIONS
    if not known or not isinstance(objects, (list, tuple)) or not set(objects) <= set(OBJECTS):
        raise UsageError(f"Sample {sample.id!r} has no storybook attributes.")

    def thing() -> Pair:
        text = "There is {} in the picture."
        absent = [item for item in OBJECTS if item not in objects]
        seen, unseen = _one(list(objects), rng), _one(absent, rng)
        return text.format(with_article(seen)), text.format(with_article(unseen)), "object"

    def setting() -> Pair:
        text = "The picture shows {}."
        other = _one([word for word in LIGHTS if word != light], rng)
        right, wrong = (setting_in_words(str(scene), str(word)) for word in (light, other))
        return text.format(right), text.format(wrong), "light"

    def act() -> Pair:
        text = "A child is {}."
        other = _one([word for word in ACTIONS if word != action], rng)
        right, wrong = (ACTION_PHRASES[str(word)] for word in (action, other))
        return text.format(right), text.format(wrong), "action"

    kinds: tuple[Callable[[], Pair], ...] = (thing, setting, act) if objects else (setting, act)
    return kinds[int(rng.integers(len(kinds)))]()


def _viewers(felt: Sequence[str]) -> Pair:
    agree = "Viewers agree about what the picture evokes."
    differ = "Viewers differ: some feel one thing, others something else."
    return (agree, differ, "agreement") if len(felt) == 1 else (differ, agree, "agreement")


def _one(words: Sequence[str], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]
