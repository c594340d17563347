"""What several sections of the report need: a run's label space and its values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emosym.emotions import LABEL_SPACES, MIKELS8, LabelSpace
from emosym.errors import UsageError
from emosym.evaluation.results.run_folder import Row, Run

READ_TABLE = (
    "accuracy",
    "best_accuracy",
    "of_best",
    "macro_f1",
    "polarity_accuracy",
    "ece",
    "brier_multiclass",
    "best_brier_multiclass",
    "nll",
    "roc_auc",
    "votes_kl",
    "outside_share",
)
PAINT_TABLE = (
    "emo_a_judge_a",
    "emo_a_judge_a_of_real",
    "emo_a_judge_b",
    "emo_a_judge_b_of_real",
    "coverage",
    "coverage_of_real",
    "distance_relative",
    "fidelity_relative",
    "edge_energy_ratio",
    "self_agreement",
)


def space_of(run: Run) -> LabelSpace:
    """Return the label space of the run: that of its reading result, else of its readings.

    Without either it is mikels8.
    """
    told = run.results.get("understanding", {}).get("labels")
    if told:
        return space_from(told)
    for row in (*run.test, *run.user):
        if "probabilities" in row:
            return space_from(list(row["probabilities"]))
    classes = len(run.results.get("understanding", {}).get("values", {}).get("confusion", ()))
    if classes not in (0, len(MIKELS8)):  # an older result does not name its classes
        return LabelSpace("unnamed", tuple(f"class {number}" for number in range(1, classes + 1)))
    return MIKELS8


def space_from(labels: Sequence[str]) -> LabelSpace:
    """Return the known label space with these labels, in any order, else one of their own."""
    for space in LABEL_SPACES.values():
        if set(space.labels) == set(labels):
            return space
    return LabelSpace("own", tuple(labels))


def values_of(run: Run, name: str) -> Row:
    """Return a result's values; `understanding` is computed from readings if no file has it."""
    if name in run.results:
        values: Row = run.results[name]["values"]
        return values
    space = space_of(run)
    rows = [r for r in run.test if "error" not in r and r.get("label") in space.labels]
    if name != "understanding" or not rows:
        return {}
    return measured(rows, space, "probabilities")


def raw_values_of(run: Run) -> Row:
    """Return the reading measures of the test readings' raw probabilities, empty without any."""
    space = space_of(run)
    rows = [r for r in run.test if "error" not in r and r.get("label") in space.labels]
    if not rows or not all(row.get("raw_probabilities") for row in rows):
        return {}
    return measured(rows, space, "raw_probabilities")


def measured(rows: Sequence[Row], space: LabelSpace, key: str) -> Row:
    """Return the measures of labelled readings by the probabilities under `key`.

    Raises:
        UsageError: when a reading lacks an emotion of `space`, or holds no probabilities.
    """
    from emosym.evaluation.understanding import evaluate_understanding

    for row in rows:
        missing = [label for label in space.labels if label not in row[key]]
        if missing:
            raise UsageError(
                f"The reading {row['id']!r} gives no probability for {missing[0]!r}, as the others "
                f"do; all need {', '.join(space.labels)}."
            )
    shares = np.asarray([[row[key][k] for k in space.labels] for row in rows])
    return evaluate_understanding(shares, [space.index(r["label"]) for r in rows], None, space)


def origin_of(run: Run, name: str) -> tuple[int | None, object]:
    """Return of how many and with which seed a result was measured, as far as is known."""
    if name in run.results:
        return int(run.results[name]["n"]), run.results[name]["seed"]
    labelled = sum("error" not in row and row.get("label") is not None for row in run.test)
    count = labelled if name == "understanding" else len(run.paintings)
    return count or None, run.about.get("seed")
