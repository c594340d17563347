"""Readings against raters: valence and arousal where pictures have those and no emotion (OASIS)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from emosym.data.dataset import NO_LABEL, Dataset
from emosym.emotions import VAD_MAX, VAD_MIN
from emosym.errors import UsageError
from emosym.evaluation.results.result import make_result, subject_of
from emosym.metrics.affect import affect_values
from emosym.pipelines.protocol import EmotionPipeline
from emosym.types import BadInput

RATING_MIN, RATING_MAX = 1.0, 7.0
NAME = "ratings"


def rated_only(dataset: Dataset) -> bool:
    """Tell whether every sample has ratings of valence and arousal and none has an emotion."""
    return (
        dataset.affect is not None
        and bool(np.isfinite(dataset.affect).all())
        and bool((dataset.codes == NO_LABEL).all())
    )


def to_rating_scale(norms: np.ndarray) -> np.ndarray:
    """Return word norms of 1..9 on the raters' scale of 1..7, linearly."""
    share = (norms - VAD_MIN) / (VAD_MAX - VAD_MIN)
    return RATING_MIN + share * (RATING_MAX - RATING_MIN)


def evaluate_ratings(
    pipeline: EmotionPipeline,
    dataset: Dataset,
    *,
    seed: int = 0,
    batch_size: int = 64,
    workers: int = 2,
    progress: Callable[[int], None] | None = None,
    model_sha256: str | None = None,
    zero_shot: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Read a rated split and compare the expected word norms with the raters' means, both on 1..7.

    The norms are of the model's emotions, not fitted to any rating: a correlation is what the
    emotions alone tell.

    Raises:
        UsageError: when a picture cannot be read, or the model's emotions have no norms.
    """
    if dataset.affect is None or len(dataset) < 2:
        raise UsageError(
            f"The split {dataset.split!r} of {dataset.root} has no two rated pictures."
        )
    paths = [dataset.picture(index) for index in range(len(dataset))]
    norms: list[tuple[float, float]] = []
    outside = 0
    for _, found in pipeline.understand_many(paths, batch_size, workers):
        if isinstance(found, BadInput):
            raise UsageError(f"The split {dataset.split!r} of {dataset.root}: {found.error}")
        if found.valence_norm is None or found.arousal_norm is None:
            raise UsageError(
                f"The label space {pipeline.space.name!r} has no valence/arousal norms to compare."
            )
        norms.append((found.valence_norm, found.arousal_norm))
        outside += bool(found.outside)
        if progress is not None:
            progress(1)
    guess = to_rating_scale(np.array(norms, dtype=np.float64))  # (N, 2)
    truth = dataset.affect.astype(np.float64)  # (N, 2)
    values: dict[str, Any] = {
        f"{dimension}_{name}": value
        for column, dimension in enumerate(("valence", "arousal"))
        for name, value in affect_values(guess[:, column], truth[:, column]).items()
    }
    values["outside_share"] = outside / len(norms)
    subject = subject_of(model_sha256, dataset.split, dataset.ids(), zero_shot)
    return make_result(NAME, values, len(norms), seed, subject=subject)
