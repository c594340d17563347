"""From measured jobs to a table: means over seeds, and paired differences to the base arm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emosym.studies.ablation.grid import Arm, Expectation, Part, Study, job_name, seeds_of
from emosym.studies.ablation.words import SCHEMA

LOWER = ("brier", "nll", "ece")
Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean over n seeds of paired differences, with the t interval; bounds None for n < 2."""

    value: float
    low: float | None
    high: float | None
    n: int


def higher_is_better(metric: str) -> bool:
    """Return whether more of a metric is better."""
    return not metric.removeprefix("ood_").startswith(LOWER)


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Return mean and standard error (with n - 1); the error of one value is None."""
    array = np.asarray(values, np.float64)
    error = float(array.std(ddof=1) / len(array) ** 0.5) if len(array) > 1 else None
    return float(array.mean()), error


def paired_difference(
    first: Mapping[int, float], second: Mapping[int, float], level: float = 0.95
) -> Difference | None:
    """Return mean(first - second) over the seeds that both have, with Student's t interval.

    The seeds are the sample: each draws labels, weights and the order of the pictures anew.
    """
    from scipy.stats import t

    seeds = sorted(set(first) & set(second))
    if not seeds:
        return None
    value, error = mean_and_error([first[s] - second[s] for s in seeds])
    if error is None:
        return Difference(value, None, None, 1)
    half = float(t.ppf(0.5 + level / 2, len(seeds) - 1)) * error
    return Difference(value, value - half, value + half, len(seeds))


def verdict_of(difference: Difference | None, metric: str) -> str:
    """Return better, worse, or no difference shown, of first against second."""
    if difference is None or difference.low is None or difference.high is None:
        return "no difference shown"
    if difference.low <= 0.0 <= difference.high:
        return "no difference shown"
    return "better" if (difference.value > 0) == higher_is_better(metric) else "worse"


def judged(expected: Expectation, difference: Difference | None) -> str:
    """Return whether an expectation is confirmed, refuted, or not shown.

    An expectation allows a range of differences. It is confirmed where the whole interval lies in
    that range, refuted where all of it lies outside on one side: above 0 (`first_higher`) or below
    (`second_higher`), above minus the margin (`first_not_lower`), within the margin on both sides
    (`no_difference`).
    """
    if difference is None or difference.low is None or difference.high is None:
        return "not shown"
    low, high = difference.low, difference.high
    allowed = {
        "first_higher": (0.0, math.inf),
        "second_higher": (-math.inf, 0.0),
        "first_not_lower": (-expected.margin, math.inf),
        "no_difference": (-expected.margin, expected.margin),
    }
    least, most = allowed[expected.direction]
    if least < low and high < most:
        return "confirmed"
    return "refuted" if high < least or low > most else "not shown"


def by_seed(
    study: Study, part: Part, arm: str, fraction: float, measured: Mapping[str, Values], metric: str
) -> dict[int, float]:
    """Return a metric of an arm per seed, as far as it is measured."""
    found = {}
    for seed in seeds_of(study, part.arms[arm], fraction):
        values = measured.get(job_name(part.name, arm, fraction, seed), {})
        if metric in values:
            found[seed] = values[metric]
    return found


def row_of(
    study: Study, part: Part, name: str, arm: Arm, fraction: float, measured: Mapping[str, Values]
) -> dict[str, Any] | None:
    """Return a row of the table; None where nothing of it is measured."""
    seeds = seeds_of(study, arm, fraction)
    jobs = [measured.get(job_name(part.name, name, fraction, s), {}) for s in seeds]
    metrics = list(dict.fromkeys(metric for values in jobs for metric in values))
    cells: dict[str, Any] = {}
    for metric in metrics:
        own = by_seed(study, part, name, fraction, measured, metric)
        mean, error = mean_and_error(list(own.values()))
        cell: dict[str, Any] = {"mean": mean, "se": error}
        if name == part.base:
            cells[metric] = {
                **cell, **dict.fromkeys(("difference", "low", "high")), "verdict": "base"
            }  # fmt: skip
            continue
        base = by_seed(study, part, part.base, fraction, measured, metric)
        found = paired_difference(own, base)
        cell["difference"] = None if found is None else found.value
        cell["low"] = None if found is None else found.low
        cell["high"] = None if found is None else found.high
        cells[metric] = {**cell, "verdict": verdict_of(found, metric)}
    if not cells:
        return None
    return {
        "arm": name,
        "label": arm.label,
        "fraction": fraction,
        "control": arm.control,
        "n": sum(bool(values) for values in jobs),
        "values": cells,
    }


def expectation_row(
    study: Study, expected: Expectation, measured: Mapping[str, Values]
) -> dict[str, Any]:
    """Return an expectation with what was found."""
    part = next(p for p in study.parts if p.name == expected.part)

    def gap(fraction: float) -> dict[int, float]:
        one, other = (
            by_seed(study, part, arm, fraction, measured, expected.metric)
            for arm in (expected.first, expected.second)
        )
        return {seed: one[seed] - other[seed] for seed in sorted(set(one) & set(other))}

    here = gap(expected.fraction)
    there = dict.fromkeys(here, 0.0)
    if expected.than_fraction is not None:
        there = gap(expected.than_fraction)
    found = paired_difference(here, there)
    return {
        **expected.model_dump(mode="json"),
        "difference": None if found is None else found.value,
        "low": None if found is None else found.low,
        "high": None if found is None else found.high,
        "n": 0 if found is None else found.n,
        "verdict": judged(expected, found),
    }


def make_table(study: Study, measured: Mapping[str, Values], about: Mapping[str, Any]) -> Any:
    """Return the whole table (`emosym.ablation/1`) of what is measured so far.

    `measured` maps job names to values; `about` is what else the table says of the run.
    """
    parts: list[dict[str, Any]] = []
    for part in study.parts:
        if part.hidden:
            continue
        rows = [
            row_of(study, part, name, arm, fraction, measured)
            for fraction in dict.fromkeys(
                f for arm in part.arms.values() for f in (arm.fractions or part.fractions)
            )
            for name, arm in part.arms.items()
            if fraction in (arm.fractions or part.fractions)
        ]
        metric = part.metric or ("emo_a_judge_a" if part.measure == "painting" else "accuracy")
        parts.append(
            {
                "name": part.name,
                "title": part.title,
                "question": part.question,
                "metric": metric,
                "higher_is_better": higher_is_better(metric),
                "base": part.base,
                "expectations": [
                    expectation_row(study, expected, measured)
                    for expected in study.expect
                    if expected.part == part.name
                ],
                "rows": [row for row in rows if row is not None],
            }
        )
    return {
        "schema": SCHEMA,
        "name": study.study,
        "n_test": study.data.test,
        "n_ood": study.data.ood,
        "n_dialogues": study.data.dialogues.test if study.data.dialogues else 0,
        "seeds": max((row["n"] for part in parts for row in part["rows"]), default=0),
        **about,
        "parts": parts,
    }
