"""What a picture of the storybook holds, what words about it name, and words that are wrong by one.

Scenes, objects, faces and actions, as its attributes and its sentences name them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from emosym.data.storybook.words import (
    ACTION_NOTES,
    ACTION_PHRASES,
    brows_of,
    joined,
    mouth_of,
    with_article,
)
from emosym.data.storybook.world import ACTIONS, FACES, OBJECTS, SCENES
from emosym.errors import UsageError
from emosym.types import Sample

KINDS = ("scene", "object", "face", "action")
MOST_LISTED = 3  # objects that a picture shows


def facts_of(sample: Sample) -> Mapping[str, frozenset[str]]:
    """Return the scene, objects, face and action of a storybook picture.

    Raises:
        UsageError: when the sample lacks one of them, or it is none of the storybook's.
    """
    given = sample.attributes
    objects = given.get("object")
    found = {
        "scene": frozenset([str(given.get("scene"))]),
        "object": frozenset(objects) if isinstance(objects, list | tuple) else frozenset([""]),
        "face": frozenset([str(given.get("facial_expression"))]),
        "action": frozenset([str(given.get("human_action"))]),
    }
    known = {"scene": SCENES, "object": OBJECTS, "face": FACES, "action": ACTIONS}
    if any(not found[kind] <= set(known[kind]) for kind in KINDS):
        raise UsageError(f"Sample {sample.id} has no storybook attributes to compare with.")
    return found


def spoken(rationale: str) -> Mapping[str, frozenset[str]]:
    """Return the scenes, objects, faces and actions that a rationale names, as whole words.

    A face is named by its mouth and its brows, an action by one of the storybook's phrases for it.
    """
    text = rationale.lower()
    placeless = _placeless(text)

    def names(phrase: str) -> bool:
        return re.search(rf"\b{re.escape(phrase)}\b", text) is not None

    def names_object(item: str) -> bool:
        return re.search(rf"\b{re.escape(item)}\b", placeless) is not None

    def face_named(face: str) -> bool:
        brows = brows_of(face)
        mouth = re.search(rf"\bmouth {mouth_of(face)}(?! and open)\b", text) is not None
        return mouth and (names(f"brows {brows}") or names(f"{brows} brows"))

    return {
        "scene": frozenset(scene for scene in SCENES if names(scene)),
        "object": frozenset(item for item in OBJECTS if names_object(item)),
        "face": frozenset(face for face in FACES if face_named(face)),
        "action": frozenset(
            action
            for action in ACTIONS
            if any(names(phrase) for phrase in (ACTION_PHRASES[action], *ACTION_NOTES[action]))
        ),
    }


def absent_objects(text: str, sample: Sample) -> frozenset[str]:
    """Return the objects that a text names and the picture does not show; errors as `facts_of`."""
    return spoken(text)["object"] - facts_of(sample)["object"]


def wrong_by_one(rationale: str, sample: Sample, rng: np.random.Generator) -> str | None:
    """Return a rationale with one of its objects replaced by one that is not there.

    None where it names no object that is there.
    """
    there = facts_of(sample)["object"]
    named = sorted(spoken(rationale)["object"] & there)
    if not named:
        return None
    item = named[int(rng.integers(len(named)))]
    others = [other for other in OBJECTS if other not in there]
    other = others[int(rng.integers(len(others)))]
    scenes = "|".join(map(re.escape, SCENES))
    pattern = re.compile(rf"\b((?:an? )?(?:{scenes}))\b|\b(an?) {re.escape(item)}\b", re.IGNORECASE)

    def put(match: re.Match[str]) -> str:
        if match[1]:  # a scene's own words stay
            return match[0]
        said = with_article(other)
        return said[0].upper() + said[1:] if match[2][0].isupper() else said

    changed = pattern.sub(put, rationale)
    return changed if changed != rationale else None


def companions(samples: Iterable[Sample]) -> Counter[tuple[str, str]]:
    """Return how many pictures show two objects together, both ways round; errors as `facts_of`."""
    return Counter(
        (one, other)
        for sample in samples
        for one in facts_of(sample)["object"]
        for other in facts_of(sample)["object"]
        if one != other
    )


def wrong_by_companion(
    rationale: str,
    sample: Sample,
    rng: np.random.Generator,
    together: Mapping[tuple[str, str], int],
) -> str | None:
    """Return a rationale whose list of objects is wrong, but likely; one time in two it is short.

    Else it holds one more, drawn by how often it stands with those that are there (`companions`);
    of MOST_LISTED objects it takes the place of one. Short it lacks one, so that naming few is no
    way to be right. None where the rationale does not list what is there, or nothing else ever
    stands with it.
    """
    there = [item for item in OBJECTS if item in facts_of(sample)["object"]]
    listed = joined([with_article(item) for item in there])
    place = rationale.lower().find(listed)
    others = [item for item in OBJECTS if item not in there]
    often = np.array([sum(together.get((item, one), 0) for one in there) for item in others], float)
    if place < 0 or not often.sum():
        return None
    added = others[int(rng.choice(len(others), p=often / often.sum()))]
    short = len(there) > 1 and rng.random() < 0.5
    if short or len(there) >= MOST_LISTED:
        del there[int(rng.integers(len(there)))]
    told = there if short else [item for item in OBJECTS if item in {*there, added}]
    words = joined([with_article(item) for item in told])
    words = words[0].upper() + words[1:] if rationale[place].isupper() else words
    return rationale[:place] + words + rationale[place + len(listed) :]


def _placeless(text: str) -> str:
    """Return a text without the names of scenes: a flower meadow is no flower."""
    return re.sub("|".join(SCENES), " ", text)
