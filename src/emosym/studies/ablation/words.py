"""The ablation's table, `table.json`: its schema checked, and as LaTeX and Markdown.

    {"schema": "emosym.ablation/1", "note"?, "name", "n_test", "n_ood", "seeds", "created", "git",
     "versions", "hardware", "minutes", "parts": [
        {"name", "question", "metric", "higher_is_better", "base", "expectations": [
            {"text", "part", "first", "second", "fraction", "metric", "direction", "difference",
             "low", "high", "n", "verdict"}],
         "rows": [{"arm", "label", "fraction", "control", "n", "values": {metric:
            {"mean", "se", "difference", "low", "high", "verdict"}}}]}]}

`difference` is first minus second in an expectation, arm minus base in a row, paired by seed, with
its 95 % interval `low`..`high`; null where it was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emosym.errors import UsageError
from emosym.evaluation.report.words import latex

SCHEMA = "emosym.ablation/1"
SHARE_METRICS = (
    "accuracy",
    "ece",
    "ood_accuracy",
    "macro_f1",
    "ood_macro_f1",
    "coverage",
    "emo_a_judge_a",
    "emo_a_judge_b",
    "coverage_of_real",
    "fidelity_relative",
    "mer_accuracy",
    "mer_weighted_f1",
    "msa_acc7",
    "fer_micro_f1",
    "ecpe_pair_f1",
    "ecpe_self_and_previous_pair_f1",
    "ecpe_predicted_pair_f1",
    "contradictions_contradiction_accuracy",
    "reasons_names_cause",
    "reasons_other_names_cause",
    "image_accuracy",
    "set_f1",
    "ood_set_f1",
    "accuracy_short",
    "accuracy_long",
    *(f"accuracy_{n}" for n in range(5)),
)
NAMES = {
    "accuracy": "accuracy",
    "brier": "Brier score",
    "nll": "log loss",
    "ece": "ECE",
    "ood_accuracy": "accuracy out of domain",
    "ood_brier": "Brier score out of domain",
    "brier_raw": "Brier score (raw)",
    "ood_brier_raw": "Brier score (raw) out of domain",
    "emo_a_judge_a": "Emo-A, judge A",
    "emo_a_judge_b": "Emo-A, judge B",
    "fidelity_relative": "attribute fidelity over real",
    "distance_relative": "variety over real",
    "coverage": "coverage",
    "edge_energy_ratio": "edge energy over real",
    "mer_accuracy": "emotion: right",
    "mer_weighted_f1": "emotion: weighted F1",
    "msa_acc7": "sentiment of seven grades: right",
    "fer_micro_f1": "action units: F1",
    "ecpe_pair_f1": "cause pairs, emotions given: F1",
    "ecpe_self_and_previous_pair_f1": "this turn and the one before: F1",
    "ecpe_predicted_pair_f1": "cause pairs, emotions found: F1",
    "contradictions_contradiction_accuracy": "words and face differ: right",
    "reasons_names_cause": "reasons that name the cause",
    "reasons_other_names_cause": "another turn's reason that does",
    "image_accuracy": "emotion of a picture: right",
    "set_f1": "F1 of one or two words",
    "accuracy_short": "accuracy, as many sentences as in training",
    "accuracy_long": "accuracy, more sentences than in training",
}
_NEEDED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("table", ("name", "n_test", "seeds", "parts")),
    ("part", ("name", "question", "metric", "higher_is_better", "base", "expectations", "rows")),
    ("expectation", ("text", "first", "second", "direction", "verdict")),
    ("row", ("arm", "label", "fraction", "control", "n", "values")),
)


def check_table(table: Mapping[str, Any]) -> None:
    """Check that `table` is an ablation's.

    Raises:
        UsageError: for another schema, or a missing field; names the part and the field.
    """
    if table.get("schema") != SCHEMA:
        raise UsageError(
            f"The ablation table has schema {table.get('schema')!r}; this version reads {SCHEMA!r}."
        )
    needed = dict(_NEEDED)
    _require(table, needed["table"], "The ablation table")
    for part in table["parts"]:
        _require(part, needed["part"], f"Part {part.get('name')!r} of the ablation table")
        for kind, rows in (("expectation", part["expectations"]), ("row", part["rows"])):
            for row in rows:
                _require(row, needed[kind], f"Part {part['name']!r}: the {kind} {_id(row)!r}")


def _id(row: Mapping[str, Any]) -> Any:
    return row.get("arm") or row.get("text")


def _require(found: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    for name in names:
        if name not in found:
            raise UsageError(f"{where} lacks {name!r}.")


def metric_name(metric: str) -> str:
    """Return what a metric is called in words."""
    return NAMES.get(metric, metric.replace("_", " "))


def amount(metric: str, value: float | None, signed: bool = False) -> str:
    """Return a value: shares in percent with one decimal, others with four; None as a dash."""
    if value is None:
        return "–"
    sign = "+" if signed else ""
    return f"{100 * value:{sign}.1f}" if metric in SHARE_METRICS else f"{value:{sign}.4f}"


def mean_and_error(metric: str, cell: Mapping[str, Any]) -> str:
    """Return 'mean ± standard error', without the error where there is one seed."""
    error = cell.get("se")
    tail = "" if error is None else f" ± {amount(metric, error)}"
    return f"{amount(metric, cell.get('mean'))}{tail}"


def difference(metric: str, found: Mapping[str, Any]) -> str:
    """Return 'difference [low, high]', or a dash where there is none."""
    if found.get("difference") is None:
        return "–"
    told = amount(metric, found["difference"], signed=True)
    if found.get("low") is None or found.get("high") is None:
        return told
    low, high = (amount(metric, found[key], signed=True) for key in ("low", "high"))
    return f"{told} [{low}, {high}]"


def unit(metric: str) -> str:
    """Return the metric with its unit, as a column's head."""
    return f"{metric_name(metric)}{' (%)' if metric in SHARE_METRICS else ''}"


def _cells(part: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    metric = part["metric"]
    cell = row["values"].get(metric, {})
    name = f"{row['label']}{' (control)' if row['control'] else ''}"
    return [
        name,
        f"{100 * row['fraction']:g} %",
        str(row["n"]),
        mean_and_error(metric, cell),
        difference(metric, cell),
        str(cell.get("verdict", "–")),
    ]


def primary_markdown(table: Mapping[str, Any]) -> list[str]:
    """Return the primary tests of a table as lines of Markdown, and what is odd of its jobs."""
    lines: list[str] = []
    if table.get("primary"):
        head = ["Primary test", "Seeds", "Difference [95 %]", "p", "p (Holm)", "Power", "Verdict"]
        lines += [f"| {' | '.join(head)} |", "|---|--:|--:|--:|--:|--:|---|"]
    for row in table.get("primary", ()):
        found = {"difference": row["mean"], "low": row["low"], "high": row["high"]}
        cells = [row["text"], str(row["n"]), difference(row["metric"], found)]
        cells += [_short(row[name]) for name in ("p", "p_holm", "power")]
        lines.append(f"| {' | '.join([*cells, row['verdict']])} |".replace("\n", " "))
    for name, told in table.get("diverged", {}).items():
        lines += ["", f"{name} diverged and counts as knowing nothing: {told}"]
    for name, version in table.get("made_otherwise", {}).items():
        lines += ["", f"{name} was made with {version}, the others with {table['made_with']}."]
    return [*lines, ""] if lines else []


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def ablation_markdown(table: Mapping[str, Any]) -> str:
    """Return the parts as Markdown: question, expectations with verdicts, the main metric.

    Raises:
        UsageError: when `table` is no ablation's (`check_table`).
    """
    check_table(table)
    lines: list[str] = primary_markdown(table)
    for part in table["parts"]:
        lines += [f"### {part.get('title') or part['name']}: {part['question']}", ""]
        for one in part["expectations"]:
            metric = one.get("metric", part["metric"])
            lines.append(
                f"- {one['text']} **{one['verdict']}**: {difference(metric, one)} "
                f"({unit(metric)}, n = {one.get('n', '–')} seeds)"
            )
        head = ["Arm", "Labels", "Seeds", unit(part["metric"])]
        head += [f"Difference to {part['base']} [95 %]", "Verdict"]
        lines += ["", f"| {' | '.join(head)} |", "|---|--:|--:|--:|--:|---|"]
        for row in part["rows"]:
            cells = [cell.replace("|", r"\|") for cell in _cells(part, row)]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def ablation_latex(table: Mapping[str, Any]) -> str:
    """Return one LaTeX table (booktabs), a block for each part, with its main metric.

    Raises:
        UsageError: when `table` is no ablation's (`check_table`).
    """
    check_table(table)
    lines = [r"\begin{tabular}{lrrrrl}", r"\toprule"]
    lines.append(r"Arm & Labels & Seeds & Mean $\pm$ s.e. & Difference [95\,\%] & Verdict \\")
    for part in table["parts"]:
        title = latex(f"{part['name']}, {unit(part['metric'])}, against {part['base']}")
        lines += [r"\midrule", rf"\multicolumn{{6}}{{l}}{{\textit{{{title}}}}} \\"]
        for row in part["rows"]:
            lines.append(" & ".join(latex(cell) for cell in _cells(part, row)) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])
