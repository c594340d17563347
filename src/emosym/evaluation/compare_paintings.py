"""Two painters, judged by the same networks: the difference of Emo-A, and what it shows."""

from __future__ import annotations

from typing import Any

import numpy as np

from emosym.errors import UsageError
from emosym.evaluation.compare import mcnemar
from emosym.evaluation.results.painting_predictions import PaintingPredictions
from emosym.evaluation.results.result import make_result
from emosym.metrics.intervals import paired_bootstrap, unpaired_bootstrap

NAME = "compare-paintings"


def compare_paintings(
    first: PaintingPredictions, second: PaintingPredictions, seed: int = 0
) -> dict[str, Any]:
    """Return a result with every measure of both painters and the difference.

    Per judge `emo_a_<judge>` (share judged to be what was asked) and `probability_<judge>` (mean
    probability of it): `_first`, `_second`, `_difference` (second - first), and its 95 % bootstrap
    interval `_low`, `_high`. Paintings of one emotion, number and seed start from the same noise:
    where both files hold the same ones (`paired` 1) the differences are paired, and
    `mcnemar_p_<judge>` is there; else (0) each side is resampled by itself. `n` counts the
    paintings of both sides.

    Raises:
        UsageError: for other emotions or judges.
    """
    check_same_judges(first, second)
    sides = (painting_scores(first), painting_scores(second))
    paired = first.keys == second.keys
    values: dict[str, Any] = {
        "paired": int(paired),
        "n_first": len(first.keys),
        "n_second": len(second.keys),
    }
    difference = paired_bootstrap if paired else unpaired_bootstrap
    for name in sides[0]:
        one, other = sides[0][name], sides[1][name]
        found = difference(other, one, seed)
        values[f"{name}_first"], values[f"{name}_second"] = float(one.mean()), float(other.mean())
        values[f"{name}_difference"] = found.value
        values[f"{name}_low"], values[f"{name}_high"] = found.low, found.high
        if paired and name.startswith("emo_a_"):
            values[f"mcnemar_p_{name.removeprefix('emo_a_')}"] = mcnemar(one, other)
    count = len(first.keys) + len(second.keys)
    return make_result(NAME, values, count, seed, extractors=dict(first.judges))


def check_same_judges(first: PaintingPredictions, second: PaintingPredictions) -> None:
    """Refuse to compare paintings that other networks judged, or in another label space.

    Raises:
        UsageError: naming the first difference.
    """
    if first.emotions != second.emotions:
        raise UsageError(
            f"The label spaces differ: {', '.join(first.emotions)} against "
            f"{', '.join(second.emotions)}."
        )
    for judge in sorted({*first.judges, *second.judges}):
        if first.judges.get(judge) != second.judges.get(judge):
            raise UsageError(
                f"{judge} is not the same network in both files, so its numbers cannot be "
                "compared: judge both with the same base."
            )


def painting_scores(paintings: PaintingPredictions) -> dict[str, np.ndarray]:
    """Return each measure of every painting, (P,) each."""
    rows = np.arange(len(paintings.asked))
    scores: dict[str, np.ndarray] = {}
    for judge, shares in paintings.shares.items():
        name = judge.replace("-", "_")
        right = shares.argmax(axis=1) == paintings.asked
        scores[f"emo_a_{name}"] = right.astype(np.float64)
        scores[f"probability_{name}"] = shares[rows, paintings.asked]
    return scores
