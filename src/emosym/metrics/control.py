"""Does a painting hold what was asked: attributes, sharpness, intensity, mixes.

Every function raises UsageError for shape mismatch, NaN, no images, or values out of range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from emosym.emotions import VAD_MAX, VAD_MIN
from emosym.errors import UsageError
from emosym.metrics.affect import pearson, rmse, spearman
from emosym.metrics.checks import (
    Floats,
    as_labels,
    as_matrix,
    as_probabilities,
    as_unit,
    as_vector,
    same_length,
)

UNKNOWN = -1
LEAST_CELL = 16
LEVELS = 5


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How well one attribute was found in `count` images; all values 0..1.

    For several labels an image (objects) precision, recall and F1 are of all image-label pairs
    together and `exact` is the share of images with exactly the right set. For one label an image
    (scene, face) they are means over the classes that occur, and `exact` is the accuracy.
    """

    precision: float
    recall: float
    f1: float
    exact: float
    count: int


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def _one_label(name: str, found: ArrayLike, truth: np.ndarray) -> tuple[Fidelity, np.ndarray]:
    from sklearn.metrics import precision_recall_fscore_support

    shares = as_probabilities(f"found {name}", found)
    same_length(**{f"found {name}": shares, f"true {name}": truth})
    known = truth != UNKNOWN
    if not known.any():
        raise UsageError(f"No image has a true {name}.")
    answers = as_labels(f"true {name}", truth[known], shares.shape[1])
    guesses = shares[known].argmax(axis=1)
    right = np.ones(len(truth), dtype=bool)
    right[known] = guesses == answers
    precision, recall, f1, _ = precision_recall_fscore_support(
        answers, guesses, average="macro", zero_division=0.0
    )
    exact = float(right[known].mean())
    return Fidelity(float(precision), float(recall), float(f1), exact, int(known.sum())), right


def _many_labels(
    name: str, found: ArrayLike, truth: np.ndarray, threshold: float
) -> tuple[Fidelity, np.ndarray]:
    scores, marks = as_matrix(f"found {name}", found), as_matrix(f"true {name}", truth)
    if scores.shape != marks.shape:
        raise UsageError(f"found {name} {scores.shape} and true {name} {marks.shape} differ.")
    as_unit(f"found {name}", scores.ravel())
    if not np.isin(marks, (0.0, 1.0)).all():
        raise UsageError(f"true {name} must hold only 0 and 1.")
    seen, present = scores >= threshold, marks == 1.0  # (N, K)
    hits = float((seen & present).sum())
    precision = _ratio(hits, float(seen.sum()))
    recall = _ratio(hits, float(present.sum()))
    f1 = _ratio(2.0 * hits, float(seen.sum() + present.sum()))
    right = (seen == present).all(axis=1)
    return Fidelity(precision, recall, f1, float(right.mean()), len(marks)), right


def attribute_fidelity(
    found: Mapping[str, ArrayLike], truth: Mapping[str, ArrayLike], threshold: float = 0.5
) -> tuple[dict[str, Fidelity], float]:
    """Return (fidelity per attribute, share of images in which everything asked was found).

    `found` is what an attribute judge saw: probabilities (N, K) that sum to 1, or independent
    0..1 scores (N, K). `truth` names the same keys: class indices (N,), -1 where unknown (left
    out), for the first kind; 0/1 marks (N, K) for the second, found from `threshold` up. Nothing
    found or nothing asked gives precision or recall 0. An unknown attribute counts as found.

    Raises:
        UsageError: when a key has no truth or no finding; shape mismatch; labels out of range.
    """
    if set(found) != set(truth) or not truth:
        raise UsageError(
            f"Found attributes {sorted(found)} and true ones {sorted(truth)} must be the same."
        )
    results: dict[str, Fidelity] = {}
    rights: dict[str, np.ndarray] = {}
    for name in truth:
        answers = np.asarray(truth[name])
        if answers.ndim == 1:
            results[name], rights[name] = _one_label(name, found[name], answers)
        else:
            results[name], rights[name] = _many_labels(name, found[name], answers, threshold)
    same_length(**rights)
    return results, float(np.all(list(rights.values()), axis=0).mean())


def edge_energy(images: np.ndarray) -> Floats:
    """Return (N,): mean squared brightness step between neighbouring pixels, 0..2.

    `images` is uint8 (N, H, W, 3), H and W at least 2; brightness is Rec. 601 luma in 0..1; the
    horizontal and vertical means are added.

    Raises:
        UsageError: for another type or shape, or no image.
    """
    pixels = np.asarray(images)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3 or len(pixels) == 0:
        raise UsageError(
            f"Images must be uint8 (N, H, W, 3), got {pixels.dtype} {tuple(pixels.shape)}."
        )
    if min(pixels.shape[1:3]) < 2:
        raise UsageError("Images must be at least 2 pixels wide and high.")
    energies = np.empty(len(pixels))
    for row, image in enumerate(pixels):  # one at a time: a thousand float images do not fit
        luma = image.astype(np.float64) @ np.asarray([0.299, 0.587, 0.114]) / 255.0  # (H, W)
        across, down = np.diff(luma, axis=1), np.diff(luma, axis=0)
        energies[row] = (across**2).mean() + (down**2).mean()
    return energies


def edge_energy_ratio(painted: np.ndarray, real: np.ndarray) -> float:
    """Return mean edge energy of painted over real images; 1 = as sharp, below 1 = blurred.

    Both uint8 (N, H, W, 3) of the same H and W (the step between pixels depends on the size).

    Raises:
        UsageError: for different sizes, or real images without any edge.
    """
    made, truth = edge_energy(painted), edge_energy(real)
    if painted.shape[1:3] != real.shape[1:3]:
        raise UsageError(
            f"Painted images are {painted.shape[1:3]} and real ones {real.shape[1:3]}; "
            "resize them to the same size."
        )
    if truth.mean() == 0.0:
        raise UsageError("The real images are all flat, so sharpness has no reference.")
    return float(made.mean() / truth.mean())


def intensity_consistency(
    requested: ArrayLike,
    judged: ArrayLike,
    emotions: ArrayLike,
    classes: int,
    least_cell: int = LEAST_CELL,
    levels: int = LEVELS,
) -> list[float | None]:
    """Return per emotion Spearman's correlation, over images, of request and judgement (C).

    `requested` (N,) is the intensity asked for, `judged` (N,) the judge's probability of the
    wanted emotion, `emotions` (N,) that emotion. None where the judge answers a constant, and for
    an emotion that was not asked for.

    Raises:
        UsageError: when an asked emotion has fewer than `levels` intensities, or one of its
            (emotion, intensity) cells fewer than `least_cell` images.
    """
    asked, seen = as_vector("requested", requested), as_unit("judged", judged)
    kinds = as_labels("emotions", emotions, classes)
    same_length(requested=asked, judged=seen, emotions=kinds)
    values: list[float | None] = []
    for kind in range(classes):
        here = kinds == kind
        if not here.any():
            values.append(None)
            continue
        steps, counts = np.unique(asked[here], return_counts=True)
        if len(steps) < max(2, levels) or counts.min() < least_cell:
            raise UsageError(
                f"Emotion {kind} has {len(steps)} intensities with at least {counts.min()} images "
                f"each; {levels} with {least_cell} are needed."
            )
        values.append(spearman(seen[here], asked[here]))
    return values


def affect_control(
    requested: ArrayLike, probabilities: ArrayLike, norms: ArrayLike
) -> dict[str, float | None]:
    """Return Pearson's r and RMSE of requested against judged valence and arousal.

    `requested` (N, 2) is the valence and arousal asked for, 1..9; the judged ones are the word
    `norms` (C, 2 or 3; valence and arousal first) weighted by the judge's `probabilities` (N, C),
    so they cannot leave the norms' own range. Keys: `valence_pearson`, `valence_rmse`, and the same
    of arousal. Pearson is None where all requests or all judgements are equal.

    Raises:
        UsageError: for fewer than 2 images, shapes that do not fit, or norms outside 1..9.
    """
    asked = as_matrix("requested", requested, 2)
    table = as_matrix("norms", norms)
    shares = as_probabilities("judge probabilities", probabilities, len(table))
    same_length(requested=asked, judge_probabilities=shares)
    if asked.shape[1] != 2 or table.shape[1] not in (2, 3):
        raise UsageError(
            f"requested must be (N, 2) and norms (C, 2) or (C, 3), got {asked.shape} and "
            f"{table.shape}."
        )
    for name, numbers in (("requested", asked), ("norms", table)):
        if numbers.min() < VAD_MIN or numbers.max() > VAD_MAX:
            raise UsageError(f"{name} must lie in {VAD_MIN:g}..{VAD_MAX:g}.")
    judged = shares @ table[:, :2]  # (N, 2)
    values: dict[str, float | None] = {}
    for column, name in enumerate(("valence", "arousal")):
        values[f"{name}_pearson"] = pearson(judged[:, column], asked[:, column])
        values[f"{name}_rmse"] = rmse(judged[:, column], asked[:, column])
    return values


def mix_rank_correlation(requested: ArrayLike, judged: ArrayLike) -> float:
    """Return the mean over images of Spearman's correlation across emotions, -1..1.

    `requested` weights and `judged` probabilities are (N, C), rows summing to 1; ties take mean
    ranks. A judge that gives all emotions the same probability counts as 0.

    Raises:
        UsageError: when a request weighs all emotions alike (it has no ranking).
    """
    asked = as_probabilities("requested", requested)
    seen = as_probabilities("judged", judged, asked.shape[1])
    same_length(requested=asked, judged=seen)
    if (asked == asked[:, :1]).all(axis=1).any():
        raise UsageError("A requested mix weighs all emotions alike, so it has no ranking.")
    return float(np.mean([spearman(s, a) or 0.0 for s, a in zip(seen, asked, strict=True)]))
