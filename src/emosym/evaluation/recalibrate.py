"""Calibrate a trained model anew, on other labelled pictures or for another target accuracy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from emosym.data.dataset import Dataset
from emosym.errors import UsageError
from emosym.evaluation.measure import evaluate_reading
from emosym.metrics.scaling import FOLDS, TARGET
from emosym.models.calibration import fit_calibration, with_abstention
from emosym.models.emosym_model import with_calibration
from emosym.pipelines.trained import EmoSymPipeline

SMALLEST = np.finfo(np.float64).tiny


def recalibrated(
    pipeline: EmoSymPipeline,
    dataset: Dataset,
    target: float = TARGET,
    *,
    keep_probabilities: bool = False,
    batch_size: int = 64,
    workers: int = 2,
    progress: Callable[[int], None] | None = None,
) -> EmoSymPipeline:
    """Return the same model with a calibration fitted to its readings of `dataset`.

    The pictures should be labelled, of the kind it will read, and none that it was trained on:
    what it has learnt by heart would make it too sure. `target` is the share of answers that must
    be right above the abstention threshold; with `keep_probabilities` only that threshold is new,
    and every reading's probabilities stay as they are.

    Raises:
        UsageError: as `evaluate_reading`; also for fewer than ten pictures, or a target that is no
            share.
    """
    if not 0.0 < target <= 1.0:
        raise UsageError(f"The target accuracy must lie above 0 and be at most 1, got {target}.")
    if len(dataset) < 2 * FOLDS:
        raise UsageError(
            f"Calibration needs {2 * FOLDS} labelled pictures or more, got {len(dataset)}."
        )
    asked = pipeline.answering(dataset.space)
    read = evaluate_reading(
        asked, dataset, batch_size=batch_size, workers=workers, progress=progress
    )
    logits = np.log(np.maximum(read.raw, SMALLEST))  # (N, C): only differences within a row count
    if keep_probabilities:
        kept = replace(asked.model.calibration, n=len(read.labels))
        found = with_abstention(kept, logits, read.labels, target)
    else:
        found = fit_calibration(logits, read.labels, target)
    fitted = with_calibration(asked.model, found).calibrations
    return EmoSymPipeline(replace(pipeline.model, calibrations=fitted), pipeline.card)
