"""The primary tests of a study: few, named before the first run, corrected for their number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from emosym.metrics.differences import crossed_difference, holm, paired_test, power_of
from emosym.studies.ablation.grid import PrimaryTest, Study, job_name, seeds_of
from emosym.studies.ablation.table import Values, by_seed

LEVEL = 0.05


def differences_of(
    study: Study, test: PrimaryTest, measured: Mapping[str, Values]
) -> dict[int, float]:
    """Return first - second of a test per seed that both arms have."""
    part = next(part for part in study.parts if part.name == test.part)
    one, other = (
        by_seed(study, part, arm, test.fraction, measured, test.metric)
        for arm in (test.first, test.second)
    )
    return {seed: one[seed] - other[seed] for seed in sorted(set(one) & set(other))}


def crossed_of(
    study: Study, test: PrimaryTest, right: Mapping[str, np.ndarray]
) -> dict[str, float] | None:
    """Return a test's difference with seeds and test pictures both as samples; exploratory.

    `right` (N,) bool says by job which test pictures were read right. None where a seed of an arm
    lacks it, and for another metric than accuracy.
    """
    part = next(part for part in study.parts if part.name == test.part)
    names = [
        [
            job_name(part.name, arm, test.fraction, seed)
            for seed in seeds_of(study, part.arms[arm], test.fraction)
        ]
        for arm in (test.first, test.second)
    ]
    pairs = [pair for pair in zip(*names, strict=False) if all(name in right for name in pair)]
    if test.metric != "accuracy" or len(pairs) < 2:
        return None
    rows = [right[one].astype(float) - right[other].astype(float) for one, other in pairs]
    found = crossed_difference(np.stack(rows))
    return None if found is None else asdict(found)


def primary_rows(
    study: Study,
    measured: Mapping[str, Values],
    right: Mapping[str, np.ndarray] | None = None,
) -> list[dict[str, Any]]:
    """Return the primary tests with what was found; p is corrected for all of them (Holm).

    A test of which fewer than two seeds are measured has no numbers, and counts as p = 1: it is
    one of those that were promised. `power` is the chance to find the smallest effect of interest
    with as many seeds, at the deviation found and without correction. `with_pictures` has the
    interval where the test pictures are a sample, too (`crossed_of`, from `right`).
    """
    rows: list[dict[str, Any]] = []
    for test in study.primary:
        gaps = differences_of(study, test, measured)
        found = paired_test(list(gaps.values()), -test.margin if test.kind == "not_lower" else 0.0)
        row = {**test.model_dump(mode="json"), "n": len(gaps), "seeds": sorted(gaps)}
        row["with_pictures"] = crossed_of(study, test, right or {})
        numbers = ("mean", "low", "high", "deviation", "p")
        row |= {name: None if found is None else getattr(found, name) for name in numbers}
        effect = test.smallest if test.kind == "higher" else test.margin
        row["power"] = None if found is None else power_of(effect, found.deviation, found.n, LEVEL)
        rows.append(row)
    corrected = holm([1.0 if row["p"] is None else row["p"] for row in rows])
    for row, p in zip(rows, corrected, strict=True):
        row["p_holm"] = p
        row["verdict"] = verdict(row)
    return rows


def verdict(row: Mapping[str, Any]) -> str:
    """Return shown, or not shown; and of what is not shown, whether the study could have seen it.

    "excluded": the whole interval lies below the smallest effect that would matter.
    """
    if row["p"] is None:
        return "not measured"
    if row["p_holm"] < LEVEL:
        return "shown"
    if row["kind"] == "higher" and row["high"] < row["smallest"]:
        return "not shown; an effect that matters is excluded"
    return "not shown"
