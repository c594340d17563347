"""How many labels readers of the appraisal level's true cues need: fitted, not computed.

They are given what a perfect eye would see, so what they lack is not sight. What is exact about the
level is in `data.storybook.appraisal.information`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from emosym.data.storybook.appraisal.information import best_accuracy
from emosym.data.storybook.appraisal.world import draw_appraisal_story, shown_bits
from emosym.data.storybook.drawing.draw import draw_many
from emosym.data.storybook.world import ACTIONS, FACES, LIGHTS, OBJECTS, SCENES, Story
from emosym.errors import UsageError
from emosym.evaluation.results.result import make_result
from emosym.models.presets import resolve_base
from emosym.models.reader.backbone import load_backbone
from emosym.models.reader.toy import TOY_IMAGE_SIZE
from emosym.models.tokenizer import load_tokenizer
from emosym.seeds import stream_seed
from emosym.tasks.question import QUESTIONS
from emosym.training.storybook.reader import picture_states

WIDTH = 64  # of the hidden layer
PROBES = (1e-4, 1.0, 30.0)  # penalties of probes of a base's states
NEAR = 0.03  # of the best achievable: a base from which so much can be probed leaves nothing to do
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


def probe_base(
    base_name: str, level: str = "appraisal", labels: int = 200, tested: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Fit two-layer probes to the frozen states of a base's reader; returns a result named `probe`.

    `probe_NAME` is the accuracy of the best of three penalties on what `picture_states` gives:
    chosen on the test pictures, so rather too high. `probe_accuracy` is the best of all,
    `best_achievable` exact, and `too_easy` 1 where the two are within NEAR.

    Raises:
        UsageError: for a level without appraisals, or tales, whose words a probe of pictures does
            not see.
    """
    if level != "appraisal":
        raise UsageError(f"A base is probed on the level 'appraisal', got {level!r}.")
    base = resolve_base(base_name)
    model, tokenizer = load_backbone(base), load_tokenizer(base.reader_folder())
    world, size = stream_seed(seed, "appraisal-probe") % 2**31, base.image_size or TOY_IMAGE_SIZE
    taught, first = draw_many(world, "train", 0, labels, size, level=level)
    asked, second = draw_many(world, "test", 0, tested, size, level=level)
    before, after = (
        picture_states(model, tokenizer, pictures, QUESTIONS["emosym"])
        for pictures in (first, second)
    )
    first_truth, second_truth = ([story.label for story in some] for some in (taught, asked))
    values: dict[str, Any] = {
        f"probe_{name}": best_probe(before[name], after[name], first_truth, second_truth, seed)
        for name in before
    }
    values["probe_accuracy"] = max(values.values())
    values["best_achievable"] = best_accuracy()
    values["too_easy"] = float(is_too_easy(values["probe_accuracy"], values["best_achievable"]))
    values["labels"] = float(labels)
    return make_result("probe", values, tested, seed)


def best_probe(
    first: np.ndarray,
    second: np.ndarray,
    taught: Sequence[int],
    asked: Sequence[int],
    seed: int = 0,
) -> float:
    """Return the best accuracy of two-layer probes fitted to states (N, D), on others (M, D)."""
    scaler = StandardScaler().fit(first)
    found = []
    for penalty in PROBES:
        net = MLPClassifier((WIDTH,), alpha=penalty, max_iter=400, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            net.fit(scaler.transform(first), taught)
        found.append(float(net.score(scaler.transform(second), asked)))
    return max(found)


def is_too_easy(accuracy: float, best: float) -> bool:
    """Return whether a probe of the frozen base comes within NEAR of what is achievable."""
    return accuracy > best - NEAR


def verdict(values: Mapping[str, Any], labels: int) -> str:
    """Return the sentence on a base's probe: whether the world is too easy for a study."""
    told = (
        f"A two-layer probe of the frozen base reads {values['probe_accuracy']:.1%} with {labels} "
        f"labels, where {values['best_achievable']:.1%} is achievable: "
    )
    if is_too_easy(values["probe_accuracy"], values["best_achievable"]):
        return f"{told}within {100 * NEAR:g} points, so the world is TOO EASY. Change it."
    return f"{told}more than {100 * NEAR:g} points below, so there is something to reason out."


def _one_hot(values: Sequence[str], names: Sequence[str]) -> np.ndarray:
    return np.eye(len(names))[[names.index(value) for value in values]]
