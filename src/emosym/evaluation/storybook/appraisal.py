"""How many labels readers of the appraisal level's true cues need: fitted, not computed.

They are given what a perfect eye would see, so what they lack is not sight. What is exact about the
level is in `data.storybook.appraisal.information`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from emosym.data.storybook.appraisal.world import draw_appraisal_story, shown_bits
from emosym.data.storybook.world import ACTIONS, FACES, LIGHTS, OBJECTS, SCENES, Story
from emosym.seeds import stream_seed

WIDTH = 64  # of the hidden layer
PENALTIES = (1e-4, 1.0)  # of squared weights: the library's own, and what did best at 200 labels
TESTED = 3000
Classifier = Any  # of scikit-learn, which has no types


def true_cues(stories: Sequence[Story]) -> np.ndarray:
    """Return what is in N pictures, one number a value, (N, 48): 0 or 1.

    Nine scenes, nine lights, twelve objects, how many they are (one, two or three), six faces and
    nine actions.
    """
    columns = [
        _one_hot([story.scene for story in stories], SCENES),
        _one_hot([story.light for story in stories], LIGHTS),
        np.array([[float(item in story.objects) for item in OBJECTS] for story in stories]),
        np.eye(3)[[len(story.objects) - 1 for story in stories]],
        _one_hot([story.face for story in stories], FACES),
        _one_hot([story.action for story in stories], ACTIONS),
    ]
    return np.concatenate(columns, axis=1)


def true_appraisals(stories: Sequence[Story]) -> np.ndarray:
    """Return the three appraisals that N pictures show, (N, 3): -1 or 1."""
    return np.array([shown_bits(story) for story in stories]) * 2.0 - 1.0


def simulated_rows(seed: int, repeats: int = 3) -> list[tuple[str, float]]:
    """Return the mean accuracy of readers fitted to drawn pictures, over `repeats` draws."""

    def added_up(_: int) -> Classifier:
        return LogisticRegression(max_iter=1000)

    rows = [
        (
            "one that knows the appraisals, 50 labels",
            fitted_accuracy(true_appraisals, added_up, 50, seed, repeats),
        )
    ]
    for labels in (200, 1000):
        rows.append(
            (f"added up, {labels} labels", fitted_accuracy(true_cues, added_up, labels, seed, 1))
        )
        for penalty in PENALTIES:

            def net(state: int, penalty: float = penalty) -> Classifier:
                return MLPClassifier((WIDTH,), alpha=penalty, max_iter=600, random_state=state)

            name = f"two-layer net, penalty {penalty:g}, {labels} labels"
            rows.append((name, fitted_accuracy(true_cues, net, labels, seed, repeats)))
    return rows


def fitted_accuracy(
    see: Callable[[Sequence[Story]], np.ndarray],
    new: Callable[[int], Classifier],
    labels: int,
    seed: int,
    repeats: int,
) -> float:
    """Return the mean accuracy of a classifier of what is seen, fitted to so many labels."""
    found = []
    for repeat in range(repeats):
        world = stream_seed(seed, "appraisal-simulation", repeat) % 2**31
        taught = [draw_appraisal_story(world, i, "train") for i in range(labels)]
        asked = [draw_appraisal_story(world, i, "test") for i in range(TESTED)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            reader = new(world).fit(see(taught), [story.label for story in taught])
        found.append(float(reader.score(see(asked), [story.label for story in asked])))
    return float(np.mean(found))


def _one_hot(values: Sequence[str], names: Sequence[str]) -> np.ndarray:
    return np.eye(len(names))[[names.index(value) for value in values]]
