"""What an answer says, whether it is right, and how well the confidence that it states holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from emosym.metrics.calibration import brier_confidence, expected_calibration_error, roc_auc
from emosym.metrics.risk import risk_values
from emosym.rewards.spoken import spoken_confidence
from emosym.tasks.cause_values import pairs_text
from emosym.tasks.task import Prediction, Task, Unparsed
from emosym.types import CausePair, Target, Votes


def spoken_values(
    task: Task,
    answers: Sequence[str],
    predictions: Sequence[Prediction],
    truths: Sequence[Target],
) -> dict[str, Any]:
    """Return how well confidence that answers state in words holds; {} where none states any.

    `spoken_stated` is the share of answers that do (`rewards.spoken`). Of those: `spoken_ece`,
    `spoken_brier`, `spoken_roc_auc`, `spoken_confidence` (their mean), `spoken_accuracy`, and the
    values of `metrics.risk` as `spoken_*`. An answer is right where its task's reward is 1.
    """
    stated = [None if text is None else spoken_confidence(text) for text in answers]
    places = [place for place, sure in enumerate(stated) if sure is not None]
    if not places:
        return {}
    confidence = np.array([stated[place] for place in places], dtype=np.float64)
    right = np.array([score_of(task, predictions[place], truths[place]) == 1.0 for place in places])
    values: dict[str, Any] = {
        "stated": len(places) / len(stated),
        "confidence": float(confidence.mean()),
        "accuracy": float(right.mean()),
        "ece": expected_calibration_error(confidence, right),
        "brier": brier_confidence(confidence, right),
        "roc_auc": roc_auc(confidence, right),
        **risk_values(confidence, right),
    }
    return {f"spoken_{name}": value for name, value in values.items()}


def score_of(task: Task, prediction: Prediction, truth: Target) -> float:
    """Return the reward of a prediction, 0..1; 0 for an unparsed one."""
    if isinstance(prediction, Unparsed):
        return 0.0
    earned = task.reward([said(prediction)], label=[truth])[0]
    return 0.0 if earned is None else float(earned)


def said(value: Prediction) -> str:
    """Return a value as an answer says it: labels, a number, units, pairs in their string form."""
    if isinstance(value, Unparsed):
        return value.answer
    if isinstance(value, Votes):
        return value.label or max(value.weights, key=lambda word: value.weights[word])
    if isinstance(value, tuple):
        if value and all(isinstance(part, tuple) for part in value):
            return pairs_text(CausePair(*part) for part in value)
        return ", ".join(str(part) for part in value) or "none"
    return str(value)
