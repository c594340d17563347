"""Rewards of named action units, in the form that TRL calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emosym.data.action_units import checked_units, units_in, units_told
from emosym.errors import UsageError
from emosym.metrics.label_sets import set_f1
from emosym.rewards.text import Completion, Names, accuracy, has_format
from emosym.rewards.words import answer_part, texts_and_truths


def action_units(
    completions: Sequence[Completion], units: Sequence[object] | None = None, **columns: Any
) -> list[float | None]:
    """Return the F1 of the answered action units against the true ones (`units`), 0..1.

    True units are codes, as a list or a text ("AU04, AU07"; "" for none). An answer that names no
    unit and does not say so gets 0, also where none is there; so does one in the thinking only.

    Raises:
        UsageError: without the column, for a length mismatch or an unknown unit.
    """
    rows: list[float | None] = []
    for text, truth in texts_and_truths(completions, units, "units"):
        if truth is None:
            rows.append(None)
            continue
        answer = answer_part(text)
        found = None if answer is None else units_told(answer)
        rows.append(0.0 if found is None else set_f1(found, _true(truth)))
    return rows


def facial_r1(
    completions: Sequence[Completion],
    label: Sequence[str | None] | None = None,
    units: Sequence[object] | None = None,
    label_space: Names = "ekman7",
    **columns: Any,
) -> list[float | None]:
    """Return Facial-R1's sum: F1 of action units + 1 for the emotion + 1 for the format, 0..3.

    Units count wherever the text names them, thinking included: they are the evidence there. The
    emotion counts as the answer alone. A row without units or emotion as truth gives None.

    Raises:
        UsageError: without a column, for a length mismatch, an unknown unit or label.
    """
    right = accuracy(completions, label=label, label_space=label_space)
    rows: list[float | None] = []
    for (text, truth), emotion in zip(
        texts_and_truths(completions, units, "units"), right, strict=True
    ):
        if truth is None or emotion is None:
            rows.append(None)
        else:
            named, there = units_in(text), _true(truth)
            seen = set_f1(named, there) if named or not there else 0.0
            rows.append(seen + emotion + float(has_format(text)))
    return rows


def _true(truth: object) -> tuple[str, ...]:
    if isinstance(truth, str):
        return units_in(truth)
    if isinstance(truth, Sequence):
        return checked_units(str(code) for code in truth)
    raise UsageError(f"True action units must be a list of codes, got {truth!r:.80}.")
