"""Two models on the same labelled pictures: paired differences, and what they show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from emosym.errors import UsageError
from emosym.evaluation.measure import evaluate_reading
from emosym.evaluation.results.predictions import Predictions, check_same_samples
from emosym.evaluation.results.result import make_result
from emosym.evaluation.understanding import log_losses
from emosym.metrics.intervals import Interval, paired_bootstrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from emosym.data.dataset import Dataset
    from emosym.pipelines.trained import EmoSymPipeline

LOWER_IS_BETTER = ("brier", "brier_raw", "nll", "nll_raw", "votes_brier", "votes_brier_raw")


def compare_models(
    first: EmoSymPipeline,
    second: EmoSymPipeline,
    dataset: Dataset,
    *,
    seed: int = 0,
    batch_size: int = 64,
    workers: int = 2,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Read a split with both models; return a result with every value of both and the difference.

    Measures: `accuracy`, `brier`, `nll` (and `_raw`, before temperature scaling), and where
    annotators voted `votes_brier`, the squared error against their shares. NLL counts a p of 0 as
    1e-12. Per measure: `<name>_first`, `<name>_second`, `<name>_difference` (second - first) with
    the bounds `_low` and `_high` of its paired bootstrap 95 % interval.

    Raises:
        UsageError: when the models have different label spaces, or a picture cannot be used.
    """
    if first.space.labels != second.space.labels:
        raise UsageError(
            f"The models answer in different label spaces: {', '.join(first.space.labels)} and "
            f"{', '.join(second.space.labels)}."
        )
    each: list[dict[str, np.ndarray]] = []
    for pipeline in (first, second):
        read = evaluate_reading(
            pipeline,
            dataset,
            seed=seed,
            batch_size=batch_size,
            workers=workers,
            progress=progress,
        )
        each.append(sample_scores(read.probabilities, read.raw, read.labels, read.votes))
    return make_result("compare", paired_values(each[0], each[1], seed), len(dataset), seed)


def compare_predictions(first: Predictions, second: Predictions, seed: int = 0) -> dict[str, Any]:
    """Return the result of `compare_models` for two predictions files of the same samples.

    Raises:
        UsageError: when the files are not of the same samples (`check_same_samples`).
    """
    check_same_samples(first, second)
    one, other = (
        sample_scores(read.calibrated, read.raw, read.labels, read.votes)
        for read in (first, second)
    )
    values = paired_values(one, other, seed)
    return make_result("compare", values, len(first.ids), seed)


def sample_scores(
    calibrated: np.ndarray, raw: np.ndarray, labels: np.ndarray, votes: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Return each measure of every picture, (N,) each; probabilities and votes (N, C)."""
    truth = np.eye(calibrated.shape[1])[labels]  # (N, C)
    scores = {
        "accuracy": (calibrated.argmax(axis=1) == labels).astype(np.float64),
        "brier": ((calibrated - truth) ** 2).sum(axis=1),
        "brier_raw": ((raw - truth) ** 2).sum(axis=1),
        "nll": log_losses(calibrated, labels),
        "nll_raw": log_losses(raw, labels),
    }
    if votes is not None:
        scores["votes_brier"] = ((calibrated - votes) ** 2).sum(axis=1)
        scores["votes_brier_raw"] = ((raw - votes) ** 2).sum(axis=1)
    return scores


def paired_values(
    first: dict[str, np.ndarray], second: dict[str, np.ndarray], seed: int
) -> dict[str, Any]:
    """Return the values of a comparison from scores (N,) of the same samples in the same order."""
    values: dict[str, Any] = {"mcnemar_p": mcnemar(first["accuracy"], second["accuracy"])}
    for name in first:
        found = paired_bootstrap(second[name], first[name], seed)
        values[f"{name}_first"] = float(first[name].mean())
        values[f"{name}_second"] = float(second[name].mean())
        values[f"{name}_difference"] = found.value
        values[f"{name}_low"], values[f"{name}_high"] = found.low, found.high
    return values


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Return the exact two-sided p of McNemar's test (1947) for right (1) and wrong (0), (N,)."""
    from scipy.stats import binomtest

    only_first = int(((first == 1) & (second == 0)).sum())
    only_second = int(((first == 0) & (second == 1)).sum())
    apart = only_first + only_second
    return 1.0 if apart == 0 else float(binomtest(only_first, apart, 0.5).pvalue)


def verdict(name: str, difference: Interval) -> str:
    """Return what second - first shows: better, worse, or no difference shown."""
    if not difference.excludes(0.0):
        return "no difference shown"
    return "better" if (difference.value < 0) == (name in LOWER_IS_BETTER) else "worse"
