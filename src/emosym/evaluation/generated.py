"""Painted against real pictures in the features of frozen networks: Frechet distance and variety.

A metric's key ends in the name of what measured it: `fid_inception`, `lpips_alexnet`, `sem_d_clip`,
`sem_c_places365_imagenet`. Without those networks there is what a judge's features say, under the
judge's name: `fd_judge_b` is no FID, and `pair_distance_judge_b` is neither LPIPS nor Sem-D.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from emosym.emotions import MIKELS8, LabelSpace
from emosym.errors import UsageError
from emosym.evaluation.paintings import stack_paintings
from emosym.metrics.checks import Ints, as_labels, check_mode, mean_defined, same_length
from emosym.metrics.frechet import frechet_per_emotion
from emosym.metrics.generation import (
    COMPAT_PAIRS,
    LEAST_PAIRS,
    pair_diversity,
    random_pairs,
    semantic_clarity,
)
from emosym.models.judges.extractors import Extractor, PairNet, judge_extractor

if TYPE_CHECKING:
    from emosym.models.judges.judge import Judge


@dataclass(frozen=True, slots=True)
class Networks:
    """The published extractors that are at hand; Sem-C needs `scenes` and `objects` both."""

    inception: Extractor | None = None
    lpips: PairNet | None = None
    clip: Extractor | None = None
    scenes: Extractor | None = None
    objects: Extractor | None = None


@dataclass(frozen=True, slots=True)
class _Side:
    """One lot of pictures uint8 (N, H, W, 3), their class indices (N,) and pairs to compare."""

    pictures: np.ndarray
    kinds: Ints
    pairs: list[Ints]


def evaluate_generated(
    painted: Mapping[str, np.ndarray],
    real: np.ndarray,
    real_labels: ArrayLike,
    judge: Judge,
    networks: Networks | None = None,
    *,
    seed: int = 0,
    mode: str = "corrected",
    space: LabelSpace = MIKELS8,
    pairs: int = LEAST_PAIRS,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return (values, extractors), both ready for `make_result`.

    `painted` maps an emotion to uint8 (P, H, W, 3) paintings asked to evoke it; `real` is uint8
    (R, H, W, 3) of the same size with class indices `real_labels` (R,), pictures that no painter
    was trained on. `extractors` maps the name of each network that measured to its SHA-256.
    `<key>_per_emotion` has one entry a class, None where nothing was painted; `<key>_of_real` is
    the same value of the real pictures. A Frechet distance falls with the number of pictures:
    compare only equal numbers (`painted_per_emotion`, `real_per_emotion`).

    'compat' feeds LPIPS [0, 1], and draws 10 pairs an emotion from a list of pictures that is never
    reset (`random_pairs`) for every measure of pairs; `pairs` counts those of 'corrected'.

    Raises:
        UsageError: for an unknown emotion, no paintings, arrays that do not fit, a painted emotion
            with fewer than 2 pictures on a side, or fewer than 1,000 pairs.
    """
    compat, nets = check_mode(mode), networks or Networks()
    if (nets.scenes is None) != (nets.objects is None):
        raise UsageError("Sem-C needs both a scene and an object classifier; only one was given.")
    made, wanted = stack_paintings(painted, space)
    kinds = as_labels("real labels", real_labels, len(space))
    same_length(real=real, real_labels=kinds)
    if real.shape[1:] != made.shape[1:]:
        raise UsageError(
            f"Paintings are {made.shape[1:3]} and real pictures {real.shape[1:3]}; resize them to "
            "the same size."
        )
    _check_counts(wanted, kinds, space)
    asked = np.isin(kinds, wanted)
    usual, count = kinds[asked], COMPAT_PAIRS if compat else pairs
    here = _Side(made, wanted, random_pairs(wanted, len(space), seed, count, mode))
    there = _Side(real[asked], usual, random_pairs(usual, len(space), seed, count, mode))
    used: list[Extractor | PairNet] = []
    values: dict[str, Any] = {
        "painted_per_emotion": np.bincount(wanted, minlength=len(space)).tolist(),
        "real_per_emotion": np.bincount(usual, minlength=len(space)).tolist(),
        "pairs_per_emotion": [len(part) for part in here.pairs],
    }
    own = judge_extractor(judge)
    used.append(own)
    features = own.run(here.pictures), own.run(there.pictures)
    values.update(_frechet(f"fd_{own.name}", features, here, there, len(space)))
    values.update(_variety(f"pair_distance_{own.name}", features, here.pairs, there.pairs))
    if nets.inception is not None:
        used.append(nets.inception)
        features = nets.inception.run(here.pictures), nets.inception.run(there.pictures)
        values.update(_frechet(f"fid_{nets.inception.name}", features, here, there, len(space)))
    if nets.lpips is not None:
        used.append(nets.lpips)
        values.update(_perceptual(nets.lpips, here, there, compat))
    if nets.clip is not None:
        used.append(nets.clip)
        features = nets.clip.run(here.pictures), nets.clip.run(there.pictures)
        values.update(_variety(f"sem_d_{nets.clip.name}", features, here.pairs, there.pairs))
    if nets.scenes is not None and nets.objects is not None:
        used += [nets.scenes, nets.objects]
        values.update(_clarity(nets.scenes, nets.objects, here, there))
    return values, {net.name: net.checksum for net in used}


def _check_counts(wanted: Ints, kinds: Ints, space: LabelSpace) -> None:
    for kind in np.unique(wanted):
        made, real = int((wanted == kind).sum()), int((kinds == kind).sum())
        if min(made, real) < 2:
            raise UsageError(
                f"A Frechet distance needs at least 2 pictures a side: {space.labels[kind]} has "
                f"{made} painted and {real} real. Paint more of it, or leave it out."
            )


def _frechet(
    key: str, features: tuple[np.ndarray, np.ndarray], here: _Side, there: _Side, classes: int
) -> dict[str, Any]:
    """Distances of the painted emotions, and of the moments of all of them added up."""
    present = np.unique(here.kinds)
    made, real = (np.searchsorted(present, side.kinds) for side in (here, there))
    each, whole = frechet_per_emotion(features[1], real, features[0], made, len(present))
    row: list[float | None] = [None] * classes
    for kind, distance in zip(present, each, strict=True):
        row[int(kind)] = distance
    return {key: whole, f"{key}_per_emotion": row}


def _variety(
    key: str,
    features: tuple[np.ndarray, np.ndarray],
    pairs: list[Ints],
    real_pairs: list[Ints],
) -> dict[str, Any]:
    each, usual = pair_diversity(features[0], pairs), pair_diversity(features[1], real_pairs)
    return {
        key: mean_defined(each),
        f"{key}_per_emotion": each,
        f"{key}_of_real": mean_defined(usual),
    }


def _perceptual(net: PairNet, here: _Side, there: _Side, compat: bool) -> dict[str, Any]:
    def distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return net.run(first, second, compat)

    key = f"lpips_{net.name}"
    each = pair_diversity(here.pictures, here.pairs, distance)
    usual = pair_diversity(there.pictures, there.pairs, distance)
    return {
        key: mean_defined(each),
        f"{key}_per_emotion": each,
        f"{key}_of_real": mean_defined(usual),
    }


def _clarity(scenes: Extractor, objects: Extractor, here: _Side, there: _Side) -> dict[str, Any]:
    key = f"sem_c_{scenes.name}_{objects.name}"
    sides = [(scenes.run(s.pictures), objects.run(s.pictures)) for s in (here, there)]
    return {key: semantic_clarity(*sides[0]), f"{key}_of_real": semantic_clarity(*sides[1])}
