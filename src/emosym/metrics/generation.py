"""Do painted images evoke what was asked, and are they many different images.

Judge probabilities are (N, C), features (N, D) of the second judge, labels (N,) class indices.
Every function raises UsageError for shape mismatch, NaN, no images, or labels outside the space.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from emosym.errors import UsageError
from emosym.metrics.checks import (
    Floats,
    Ints,
    as_labels,
    as_matrix,
    as_probabilities,
    check_mode,
    same_length,
)
from emosym.seeds import numpy_rng

NEIGHBOURS = 5
LEAST_PAIRS = 1000
COMPAT_PAIRS = 10
_BLOCK_CELLS = 4_000_000


def emo_accuracy(probabilities: ArrayLike, wanted: ArrayLike) -> float:
    """Return Emo-A: the share of images whose likeliest emotion is the wanted one, 0..1."""
    shares = as_probabilities("judge probabilities", probabilities)
    asked = as_labels("wanted", wanted, shares.shape[1])
    same_length(probabilities=shares, wanted=asked)
    return float((shares.argmax(axis=1) == asked).mean())


def emo_accuracy_per_emotion(probabilities: ArrayLike, wanted: ArrayLike) -> list[float | None]:
    """Return Emo-A of each wanted emotion (C entries); None where none was asked for."""
    shares = as_probabilities("judge probabilities", probabilities)
    asked = as_labels("wanted", wanted, shares.shape[1])
    same_length(probabilities=shares, wanted=asked)
    right = shares.argmax(axis=1) == asked
    kinds = range(shares.shape[1])
    return [float(right[asked == k].mean()) if (asked == k).any() else None for k in kinds]


def semantic_clarity(scenes: ArrayLike, objects: ArrayLike) -> float:
    """Return Sem-C: mean over images of the larger of the two top softmax values, 0..1.

    `scenes` is (N, 365) of a Places classifier, `objects` (N, 1000) of an ImageNet one.
    """
    places = as_probabilities("scene probabilities", scenes).max(axis=1)
    things = as_probabilities("object probabilities", objects).max(axis=1)
    same_length(scenes=places, objects=things)
    return float(np.maximum(places, things).mean())


def covered(real: ArrayLike, painted: ArrayLike, neighbours: int = NEIGHBOURS) -> np.ndarray:
    """Return (R,) bool: is a painted image among the nearest neighbours of each real one.

    The pool of a real image is all painted images and all *other* real ones; distance is
    Euclidean between features (R, D) and (P, D). A painted image that ties with a real one for
    the last place counts as among them.

    Raises:
        UsageError: when the smallest pool has fewer than `neighbours` images.
    """
    truth, made = as_matrix("real features", real), as_matrix("painted features", painted)
    if truth.shape[1] != made.shape[1]:
        raise UsageError(
            f"Real features have {truth.shape[1]} columns, painted ones {made.shape[1]}."
        )
    pool = len(truth) - 1 + len(made)
    if neighbours < 1 or pool < neighbours:
        raise UsageError(f"{neighbours} neighbours need a pool that large; it has {pool} images.")
    centre = truth.mean(axis=0)  # small norms keep |a|^2 - 2ab + |b|^2 exact to about 1e-15
    truth, made = truth - centre, made - centre
    real_norms, made_norms = (truth**2).sum(axis=1), (made**2).sum(axis=1)  # (R,), (P,)
    slack = 1e-12 * float(max(real_norms.max(), made_norms.max()))  # a tie despite rounding
    found = np.empty(len(truth), dtype=bool)
    block = max(1, _BLOCK_CELLS // max(len(truth), len(made)))
    for start in range(0, len(truth), block):
        rows = truth[start : start + block]  # (b, D)
        # Squared distances less |row|^2, which all of a row share.
        nearest = (made_norms - 2.0 * rows @ made.T).min(axis=1)  # (b,)
        others = real_norms - 2.0 * rows @ truth.T  # (b, R)
        others[np.arange(len(rows)), start + np.arange(len(rows))] = np.inf
        # The nearest painted one is among the k nearest unless k real ones are nearer still.
        nearer = (others < nearest[:, None] - slack).sum(axis=1)
        found[start : start + block] = nearer < neighbours
    return found


def coverage(real: ArrayLike, painted: ArrayLike, neighbours: int = NEIGHBOURS) -> float:
    """Return the share of real images with a painted one among their nearest, 0..1.

    See `covered` for the exact definition. The value rises with the number of painted images:
    compare only runs with the same numbers of real and painted ones (equal numbers from the same
    distribution give about 1 - 2^-5 = .97).
    """
    return float(covered(real, painted, neighbours).mean())


def coverage_per_emotion(
    real: ArrayLike,
    real_labels: ArrayLike,
    painted: ArrayLike,
    painted_labels: ArrayLike,
    classes: int,
    neighbours: int = NEIGHBOURS,
) -> list[float | None]:
    """Return coverage inside each emotion (pool of that emotion only, C entries).

    None where an emotion has no real image; 0 where it has real images but no painted one.
    """
    truth, made = as_matrix("real features", real), as_matrix("painted features", painted)
    kinds = as_labels("real labels", real_labels, classes)
    asked = as_labels("painted labels", painted_labels, classes)
    same_length(real_features=truth, real_labels=kinds)
    same_length(painted_features=made, painted_labels=asked)
    values: list[float | None] = []
    for kind in range(classes):
        here, there = truth[kinds == kind], made[asked == kind]
        if len(here) == 0:
            values.append(None)
        else:
            values.append(coverage(here, there, neighbours) if len(there) else 0.0)
    return values


def cosine_distance_per_emotion(
    features: ArrayLike, labels: ArrayLike, classes: int
) -> list[float | None]:
    """Return the mean cosine distance over all pairs inside each emotion (C entries), 0..2.

    0 means that all images of the emotion look the same to the judge. None for an emotion with
    fewer than 2 images. Average with `checks.mean_defined`.

    Raises:
        UsageError: when a feature vector is zero (it has no direction).
    """
    rows = as_matrix("features", features)
    kinds = as_labels("labels", labels, classes)
    same_length(features=rows, labels=kinds)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)  # (N, 1)
    if lengths.min() == 0.0:
        raise UsageError("A feature vector is all zeros; its cosine distance is undefined.")
    unit = rows / lengths
    values: list[float | None] = []
    for kind in range(classes):
        group = unit[kinds == kind]
        count = len(group)
        if count < 2:
            values.append(None)
            continue
        # Summing all pairs' cosines is |sum|^2 less the n pairs of an image with itself.
        similar = ((group.sum(axis=0) ** 2).sum() - count) / (count * (count - 1))
        values.append(float(np.clip(1.0 - similar, 0.0, 2.0)))
    return values


def _all_pairs(members: Ints) -> Ints:
    first, second = np.triu_indices(len(members), k=1)
    return np.stack([members[first], members[second]], axis=1)  # (P, 2)


def random_pairs(
    labels: ArrayLike, classes: int, seed: int, pairs: int | None = None, mode: str = "corrected"
) -> list[Ints]:
    """Return per emotion an array (P, 2) of image positions to compare.

    'corrected': at least `pairs` (1,000 or more) pairs of different images, drawn with
    replacement; all distinct pairs where there are no more than that. 'compat': the published list
    of images is never reset, so an emotion draws its `pairs` (10) pairs of different images from
    its own and all earlier emotions' images together, and most of them cross emotions.
    Without an image of its own, or a second one to draw, an emotion has no pair: (0, 2).

    Raises:
        UsageError: when no emotion has a pair, or fewer than 1,000 pairs are asked for
            (1 in compat).
    """
    compat = check_mode(mode)
    kinds = as_labels("labels", labels, classes)
    least = 1 if compat else LEAST_PAIRS
    wanted = (COMPAT_PAIRS if compat else LEAST_PAIRS) if pairs is None else pairs
    if wanted < least:
        raise UsageError(f"Random-pair diversity needs at least {least} pairs, got {wanted}.")
    chosen: list[Ints] = []
    for kind in range(classes):
        rng = numpy_rng(seed, "metrics-pairs", kind)
        own = np.flatnonzero(kinds == kind).astype(np.int64)
        members = np.flatnonzero(kinds <= kind).astype(np.int64) if compat and len(own) else own
        count = len(members)
        if count < 2 or (not compat and count * (count - 1) // 2 <= wanted):
            chosen.append(_all_pairs(members))
        else:
            first = rng.integers(0, count, size=wanted)
            second = (first + rng.integers(1, count, size=wanted)) % count  # never the same image
            chosen.append(np.stack([members[first], members[second]], axis=1))
    if all(len(part) == 0 for part in chosen):
        raise UsageError("No emotion has two images, so there is no pair to compare.")
    return chosen


def mean_squared_distance(first: Floats, second: Floats) -> Floats:
    """Return the squared difference averaged over feature columns: (P, D), (P, D) -> (P,)."""
    return np.asarray(((first - second) ** 2).mean(axis=1))


def pair_diversity(
    features: ArrayLike,
    pairs: list[Ints],
    distance: Callable[[Floats, Floats], Floats] = mean_squared_distance,
) -> list[float | None]:
    """Return the mean distance over each emotion's pairs; None for an emotion without a pair.

    With CLIP embeddings and the default distance this is Sem-D; with images and LPIPS as
    `distance` ((P, ...), (P, ...) -> (P,)) it is the LPIPS score, fed [-1, 1] (compat: [0, 1]).

    Raises:
        UsageError: when a pair points outside the features, or a distance is NaN.
    """
    rows = np.asarray(features)
    values: list[float | None] = []
    for part in pairs:
        if len(part) == 0:
            values.append(None)
            continue
        if part.min() < 0 or part.max() >= len(rows):
            raise UsageError(f"A pair names image {int(part.max())} of only {len(rows)}.")
        found = distance(rows[part[:, 0]], rows[part[:, 1]])
        if not np.isfinite(found).all():
            raise UsageError("A pair distance is NaN or infinite.")
        values.append(float(np.mean(found)))
    return values
