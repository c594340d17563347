"""How well paintings evoke what was asked: judged by networks that only ever saw real pictures.

Emo-A alone rewards a painter that repeats one convincing picture, so every value here comes with
its guard: coverage and distance for variety, attributes for being recognisable, edges for blur.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from emosym.emotions import MIKELS8, LabelSpace
from emosym.errors import UsageError
from emosym.metrics.checks import as_labels, mean_defined, same_length
from emosym.metrics.control import attribute_fidelity, edge_energy_ratio
from emosym.metrics.generation import (
    NEIGHBOURS,
    cosine_distance_per_emotion,
    coverage_per_emotion,
    emo_accuracy,
    emo_accuracy_per_emotion,
)
from emosym.metrics.intervals import wilson
from emosym.seeds import numpy_rng

if TYPE_CHECKING:
    from emosym.models.judges.judge import AttributeJudge, Judge

CLEAR = 0.5


def evaluate_paintings(
    painted: Mapping[str, np.ndarray],
    real: np.ndarray,
    real_labels: ArrayLike,
    judge_a: Judge,
    judge_b: Judge,
    attribute_judge: AttributeJudge | None = None,
    *,
    belongs: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
    space: LabelSpace = MIKELS8,
) -> dict[str, Any]:
    """Return every painting metric as {name: number | None | list}, ready for `make_result`.

    `painted` maps an emotion to uint8 (P, H, W, 3) paintings that were asked to evoke it; `real`
    is uint8 (R, H, W, 3) with class indices `real_labels` (R,), of the same size and of pictures
    no painter was trained on. `belongs` names, per attribute, which of its K values go with which
    emotion, bool (C, K); with the attribute judge it gives attribute fidelity. Coverage compares
    as many real pictures of an emotion as were painted of it (fewer where there are fewer).

    Raises:
        UsageError: for an unknown emotion, no paintings, arrays that do not fit, or a judge of
            another label space.
    """
    for judge in (judge_a, judge_b):
        if judge.labels != space.labels:
            raise UsageError(f"{judge.name} judges {judge.labels}, not the {space.name} emotions.")
    made, wanted = stack_paintings(painted, space)
    kinds = as_labels("real labels", real_labels, len(space))
    same_length(real=real, real_labels=kinds)
    values: dict[str, Any] = {
        "painted_per_emotion": np.bincount(wanted, minlength=len(space)).tolist()
    }
    for letter, judge in (("a", judge_a), ("b", judge_b)):
        values.update(_emotion_accuracy(letter, judge, made, wanted))
        values[f"emo_a_judge_{letter}_of_real"] = emo_accuracy(judge.probabilities(real), kinds)
    values.update(_variety(judge_b, made, wanted, real, kinds, seed, len(space)))
    values["edge_energy_ratio"] = edge_energy_ratio(made, real)
    if attribute_judge is not None and belongs is not None:
        values.update(_belonging(attribute_judge, belongs, made, wanted, real, kinds))
    return values


def stack_paintings(
    painted: Mapping[str, np.ndarray], space: LabelSpace
) -> tuple[np.ndarray, np.ndarray]:
    """Return all paintings uint8 (P, H, W, 3) and the class indices (P,) they were asked for.

    Raises:
        UsageError: for no painting, several sizes, or an unknown emotion.
    """
    parts = [(space.index(emotion), images) for emotion, images in painted.items() if len(images)]
    if not parts:
        raise UsageError("There are no paintings to judge.")
    shapes = {images.shape[1:] for _, images in parts}
    if len(shapes) != 1:
        raise UsageError(f"All paintings must have one size, got {sorted(shapes)}.")
    wanted = np.concatenate([np.full(len(images), index) for index, images in parts])
    return np.concatenate([images for _, images in parts]), wanted.astype(np.int64)


def _emotion_accuracy(
    letter: str, judge: Judge, made: np.ndarray, wanted: np.ndarray
) -> dict[str, Any]:
    shares = judge.probabilities(made)  # (P, C)
    right = int((shares.argmax(axis=1) == wanted).sum())
    interval = wilson(right, len(wanted))
    name = f"emo_a_judge_{letter}"
    return {
        name: interval.value,
        f"{name}_interval": [interval.low, interval.high],
        f"{name}_per_emotion": emo_accuracy_per_emotion(shares, wanted),
        f"{name}_mean_probability": float(shares[np.arange(len(wanted)), wanted].mean()),
    }


def _variety(
    judge: Judge,
    made: np.ndarray,
    wanted: np.ndarray,
    real: np.ndarray,
    kinds: np.ndarray,
    seed: int,
    classes: int,
) -> dict[str, Any]:
    """Coverage and within-emotion distance in the judge's features.

    Real pictures are split in two halves, each at most as many per emotion as paintings: one is
    what paintings should cover, the other shows what real pictures themselves would score.
    """
    covered: list[np.ndarray] = []
    reference: list[np.ndarray] = []
    for kind in range(classes):
        rows = numpy_rng(seed, "evaluation-real", kind).permutation(np.flatnonzero(kinds == kind))
        count = min(int((wanted == kind).sum()), len(rows) // 2)
        covered.append(rows[:count])
        reference.append(rows[count : 2 * count])
    first, second = np.concatenate(covered), np.concatenate(reference)
    painted_features, real_features = judge.features(made), judge.features(real)  # (., D)
    values: dict[str, Any] = {}
    # each emotion's pool: the paintings of it, and its other real pictures
    pools = [len(c) - 1 + min(len(c), int((wanted == k).sum())) for k, c in enumerate(covered)]
    if len(first) and min(p for p, c in zip(pools, covered, strict=True) if len(c)) >= NEIGHBOURS:
        target, target_kinds = real_features[first], kinds[first]
        each = coverage_per_emotion(target, target_kinds, painted_features, wanted, classes)
        again = coverage_per_emotion(
            target, target_kinds, real_features[second], kinds[second], classes
        )
        values["coverage"] = mean_defined(each)
        values["coverage_per_emotion"] = each
        values["coverage_of_real"] = mean_defined(again)
    distances = cosine_distance_per_emotion(painted_features, wanted, classes)
    usual = cosine_distance_per_emotion(real_features, kinds, classes)
    pairs = [
        d / u for d, u in zip(distances, usual, strict=True) if d is not None and u is not None
    ]
    values["distance"] = mean_defined(distances)
    values["distance_of_real"] = mean_defined(usual)
    values["distance_relative"] = mean_defined(pairs)
    return values


def _belonging(
    judge: AttributeJudge,
    belongs: Mapping[str, np.ndarray],
    made: np.ndarray,
    wanted: np.ndarray,
    real: np.ndarray,
    kinds: np.ndarray,
) -> dict[str, Any]:
    """Per attribute: how often a *clear* value that goes with the emotion is found, and over real.

    Clear means that the judge gives its best value at least .5: a smear in the right colours
    does not count.
    """
    found, usual = judge.attributes(made), judge.attributes(real)
    values: dict[str, Any] = {}
    for name, table in belongs.items():
        rates = []
        for shares, labels in ((found[name], wanted), (usual[name], kinds)):
            best = shares.argmax(axis=1)  # (N,)
            clear = shares.max(axis=1) >= CLEAR
            rates.append(float((table[labels, best] & clear).mean()))
        values[f"fidelity_{name}"] = rates[0]
        values[f"fidelity_{name}_of_real"] = rates[1]
        values[f"fidelity_{name}_relative"] = rates[0] / rates[1] if rates[1] > 0 else None
    relative = [values[f"fidelity_{name}_relative"] for name in belongs]
    values["fidelity_relative"] = mean_defined(relative)
    return values


def evaluate_captioned(
    painted: np.ndarray,
    truth: Mapping[str, np.ndarray],
    real: np.ndarray,
    real_truth: Mapping[str, np.ndarray],
    judge: AttributeJudge,
) -> dict[str, Any]:
    """Return how well paintings hold what their captions asked for, beside the judge on real ones.

    `truth` and `real_truth` name the same attributes: class indices (N,), -1 where unknown, or
    0/1 marks (N, K). Per attribute: `<name>` (accuracy, or F1 for marks), `<name>_relative`;
    `everything` is the share of pictures with all of it right. `edge_energy_ratio` as ever.

    Raises:
        UsageError: when an attribute is unknown to the judge or arrays do not fit.
    """
    unknown = sorted(set(truth) - set(judge.names))
    if unknown:
        raise UsageError(f"{judge.name} does not tell {unknown[0]!r}.")
    scores = []
    for images, answers in ((painted, truth), (real, real_truth)):
        seen = judge.attributes(images)
        scores.append(attribute_fidelity({name: seen[name] for name in answers}, answers))
    (made, made_all), (usual, usual_all) = scores
    values: dict[str, Any] = {"everything": made_all, "everything_of_real": usual_all}
    values["everything_relative"] = made_all / usual_all if usual_all > 0 else None
    for name, fidelity in made.items():
        many = np.asarray(truth[name]).ndim == 2
        here, there = (f.f1 if many else f.exact for f in (fidelity, usual[name]))
        values[name], values[f"{name}_of_real"] = here, there
        values[f"{name}_relative"] = here / there if there > 0 else None
        if many:
            values[f"{name}_exact"] = fidelity.exact
    values["edge_energy_ratio"] = edge_energy_ratio(painted, real)
    return values
