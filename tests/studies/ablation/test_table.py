"""Means, errors, paired differences and verdicts, by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from scipy.stats import t
from tests.studies.ablation.makers import small

from emosym.studies.ablation.grid import Expectation, Study
from emosym.studies.ablation.table import (
    Difference,
    judged,
    make_table,
    mean_and_error,
    paired_difference,
    verdict_of,
)


def test_mean_and_standard_error_by_hand() -> None:
    assert mean_and_error([1.0, 2.0, 3.0]) == (2.0, pytest.approx(1 / math.sqrt(3)))
    assert mean_and_error([4.0]) == (4.0, None)


def test_differences_are_paired_by_seed_with_students_interval() -> None:
    found = paired_difference({0: 0.9, 1: 0.8, 2: 0.7, 9: 0.0}, {2: 0.5, 0: 0.8, 1: 0.5, 7: 1.0})
    assert found is not None and found.low is not None and found.high is not None
    # seeds 0, 1, 2: .1, .3, .2; the standard deviation is .1
    assert (found.value, found.n) == (pytest.approx(0.2), 3)
    half = t.ppf(0.975, 2) * 0.1 / math.sqrt(3)
    assert (found.low, found.high) == (pytest.approx(0.2 - half), pytest.approx(0.2 + half))
    assert paired_difference({0: 1.0}, {1: 1.0}) is None
    assert paired_difference({0: 1.0}, {0: 0.5}) == Difference(0.5, None, None, 1)


@pytest.mark.parametrize(
    ("metric", "low", "high", "expected"),
    [
        ("accuracy", 0.1, 0.3, "better"),
        ("brier", 0.1, 0.3, "worse"),
        ("ood_brier_raw", -0.3, -0.1, "better"),
        ("accuracy", -0.1, 0.3, "no difference shown"),
        ("coverage", -0.3, -0.1, "worse"),
    ],
)
def test_a_verdict_needs_an_interval_without_zero(
    metric: str, low: float, high: float, expected: str
) -> None:
    assert verdict_of(Difference((low + high) / 2, low, high, 3), metric) == expected


@pytest.mark.parametrize(
    ("direction", "low", "high", "expected"),
    [
        ("first_higher", 0.01, 0.2, "confirmed"),
        ("first_higher", -0.2, -0.01, "refuted"),
        ("first_higher", -0.01, 0.2, "not shown"),
        ("second_higher", -0.2, -0.01, "confirmed"),
        ("second_higher", 0.01, 0.2, "refuted"),
        ("first_not_lower", -0.009, 0.2, "confirmed"),
        ("first_not_lower", -0.02, 0.2, "not shown"),
        ("first_not_lower", -0.009, -0.001, "confirmed"),  # lower, but by less than the margin
        ("first_not_lower", -0.02, -0.001, "not shown"),
        ("first_not_lower", -0.03, -0.011, "refuted"),
        ("no_difference", -0.005, 0.009, "confirmed"),
        ("no_difference", -0.02, 0.009, "not shown"),
        ("no_difference", 0.002, 0.009, "confirmed"),  # not zero, but within the margin
        ("no_difference", 0.002, 0.02, "not shown"),
        ("no_difference", 0.011, 0.02, "refuted"),
        ("no_difference", -0.03, -0.011, "refuted"),
    ],
)
def test_an_expectation_is_confirmed_refuted_or_not_shown(
    direction: str, low: float, high: float, expected: str
) -> None:
    asked = Expectation(text="", part="p", first="a", second="b", direction=direction, margin=0.01)  # type: ignore[arg-type]
    assert judged(asked, Difference((low + high) / 2, low, high, 3)) == expected
    assert judged(asked, None) == "not shown"


def test_the_table_of_measured_jobs(tmp_path: Path) -> None:
    raw = small()
    raw["expect"] += [
        {**raw["expect"][0], "fraction": 0.5, "than_fraction": 1.0, "text": "more at 50 %"}
    ]
    study = Study.model_validate({k: v for k, v in raw.items() if k != "full"})
    measured = {
        f"align/{arm}/labels-{percent}/seed-{seed}": {"accuracy": value, "brier": 1 - value}
        for arm, percent, seed, value in (
            ("ours", 100, 0, 0.9), ("ours", 100, 1, 0.7), ("none", 100, 0, 0.8),
            ("none", 100, 1, 0.5), ("ours", 50, 0, 0.8), ("none", 50, 0, 0.4),
            ("ours", 50, 1, 0.6), ("none", 50, 1, 0.1),
        )
    }  # fmt: skip
    table = make_table(study, measured, {"minutes": 1.0})
    align, rl = table["parts"]
    rows = {(row["arm"], row["fraction"]): row for row in align["rows"]}
    assert set(rows) == {("ours", 0.5), ("none", 0.5), ("ours", 1.0), ("none", 1.0)}
    cell = rows["ours", 1.0]["values"]["accuracy"]
    assert cell["mean"] == pytest.approx(0.8) and cell["se"] == pytest.approx(0.1)
    assert cell["difference"] == pytest.approx(0.15)  # .1 and .2
    assert rows["none", 1.0]["values"]["accuracy"]["verdict"] == "base"
    assert rows["ours", 1.0]["values"]["brier"]["difference"] == pytest.approx(-0.15)
    first, second = align["expectations"]
    assert first["difference"] == pytest.approx(0.15) and first["n"] == 2
    # at 50 %: .4 and .5; at 100 %: .1 and .2; so .3 more, for both seeds
    assert second["difference"] == pytest.approx(0.3)
    assert second["verdict"] == "confirmed"
    assert rl["rows"] == [] and table["minutes"] == 1.0
