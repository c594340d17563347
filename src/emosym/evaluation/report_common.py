"""What several sections of the report need: a run's label space, its values, a table."""

from __future__ import annotations

import numpy as np

from emosym.emotions import LABEL_SPACES, MIKELS8, LabelSpace
from emosym.evaluation.report_html import table, text
from emosym.evaluation.report_words import word_of, written
from emosym.evaluation.run_folder import Row, Run

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
    """Return the label space whose emotions the run's readings name, else mikels8."""
    for row in (*run.test, *run.user):
        if "probabilities" in row:
            for space in LABEL_SPACES.values():
                if set(space.labels) == set(row["probabilities"]):
                    return space
    return MIKELS8


def values_of(run: Run, name: str) -> Row:
    """Return a result's values; `understanding` is computed from readings if no file has it."""
    if name in run.results:
        values: Row = run.results[name]["values"]
        return values
    space = space_of(run)
    rows = [r for r in run.test if "error" not in r and r.get("label") in space.labels]
    if name != "understanding" or not rows:
        return {}
    from emosym.evaluation.understanding import evaluate_understanding

    shares = np.asarray([[row["probabilities"][k] for k in space.labels] for row in rows])
    return evaluate_understanding(shares, [space.index(r["label"]) for r in rows], None, space)


def meaning_table(values: Row, metrics: tuple[str, ...]) -> str:
    """Return the `metrics` that have a value as a table with what each says."""
    rows = [
        [
            text(word_of(metric).title),
            f"<b>{text(written(metric, values[metric]))}</b>",
            f'<span class="small">{text(word_of(metric).meaning)}</span>',
        ]
        for metric in metrics
        if values.get(metric) is not None
    ]
    return table(["Measure", "Value", "What it says"], rows, numeric=False) if rows else ""
