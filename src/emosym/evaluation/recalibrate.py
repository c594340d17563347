"""Calibrate a trained model anew, on other labelled data or for another target accuracy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from emosym.data.dataset import Dataset
from emosym.errors import UsageError
from emosym.evaluation.measure import evaluate_reading
from emosym.metrics.scaling import FOLDS, TARGET
from emosym.models.calibration import fit_calibration, fit_several, with_abstention
from emosym.models.emosym_model import with_calibration
from emosym.models.reader.talks import TalkReading, read_all_turns, talks_of
from emosym.pipelines.trained import EmoSymPipeline
from emosym.pipelines.trained_dialogue import reads_dialogues
from emosym.training.stages.talk_values import labelled_turns

SMALLEST = np.finfo(np.float64).tiny
CHUNK = 256  # conversations between two steps of the progress bar


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

    Its pictures, texts or turns should be labelled, of the kind the model will read, and none that
    it was trained on: what it has learnt by heart would make it too sure. `target` is the share of
    answers that must be right above the abstention threshold; with `keep_probabilities` only that
    threshold is new, and every reading's probabilities stay as they are.

    Raises:
        UsageError: as `evaluate_reading`; also for fewer than ten samples, or a target that is no
            share.
    """
    if not 0.0 < target <= 1.0:
        raise UsageError(f"The target accuracy must lie above 0 and be at most 1, got {target}.")
    labelled = int((dataset.codes >= 0).sum())
    if labelled < 2 * FOLDS:
        raise UsageError(f"Calibration needs {2 * FOLDS} labelled samples or more, got {labelled}.")
    asked = pipeline.answering(dataset.space)
    if dataset.places is not None and reads_dialogues(asked.model):
        logits, truth = turn_logits(asked, dataset, batch_size, progress)
    else:
        read = evaluate_reading(
            asked, dataset, batch_size=batch_size, workers=workers, progress=progress
        )
        # (N, C): only differences within a row count
        logits, truth = np.log(np.maximum(read.raw, SMALLEST)), read.labels
    if keep_probabilities:
        kept = replace(asked.model.calibration, n=len(truth))
        found = with_abstention(kept, logits, truth, target)
    else:
        fit = fit_several if asked.model.space.several else fit_calibration
        found = fit(logits, truth, target)
    fitted = with_calibration(asked.model, found).calibrations
    return EmoSymPipeline(replace(pipeline.model, calibrations=fitted), pipeline.card)


def turn_logits(
    pipeline: EmoSymPipeline,
    dataset: Dataset,
    batch_size: int,
    progress: Callable[[int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Read labelled turns, each with what was said before; as `talk_values.labelled_turns`."""
    reader = pipeline.model.reader
    talks, read = talks_of(reader, dataset), list[TalkReading]()
    for start in range(0, len(talks), CHUNK):
        some = talks[start : start + CHUNK]
        read += read_all_turns(reader, some, batch_size)
        if progress is not None:
            progress(sum(len(talk.sample.turns) for talk in some))
    return labelled_turns(talks, read)
