"""A reward of agreement with several annotators, in the form that TRL calls."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.rewards.text import Completion, Names, answer_label, spaces_of
from emosym.rewards.words import texts_and_truths

ABSTAINED = ("", "none", "abstain", "unsure")


def agreement(
    completions: Sequence[Completion],
    votes: Sequence[Any] | None = None,
    label_space: Names = "mikels8",
    **columns: Any,
) -> list[float | None]:
    """Return the answered label's votes over those of the most frequent label, 0..1.

    `votes` holds a row of labels, one a voter ("" or None abstains), or weights by label. Of a tie
    each earns 1. An answer that names no label, or several, gets 0. A row in which nobody voted, or
    weights sum to zero, gives None.

    Raises:
        UsageError: without the column, for a length mismatch, a label that is not in the space, or
            a weight that is no number of 0 or more.
    """
    pairs = texts_and_truths(completions, votes, "votes")
    rows: list[float | None] = []
    for (text, given), space in zip(pairs, spaces_of(label_space, len(pairs)), strict=True):
        counts = vote_counts(given, space)
        most = max(counts.values(), default=0.0)
        answer = answer_label(text, space)
        rows.append(None if most <= 0.0 else counts.get(answer or "", 0.0) / most)
    return rows


def vote_counts(given: Any, space: LabelSpace) -> dict[str, float]:
    """Return weights by label of a row of votes; {} where nobody voted. Errors: `agreement`."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        pairs = list(given.items())
    elif isinstance(given, Sequence) and not isinstance(given, str):
        pairs = list(Counter(given).items())
    else:
        raise UsageError(f"Votes must be a list of labels or weights by label, got {given!r:.60}.")
    counts: dict[str, float] = {}
    for label, weight in pairs:
        if label is None or str(label).strip().lower() in ABSTAINED or weight is None:
            continue
        number = float(weight) if isinstance(weight, (int, float)) else math.nan
        if not 0.0 <= number < math.inf:
            raise UsageError(f"The votes for {label!r} must be 0 or more, got {weight!r:.40}.")
        name = space.labels[space.index(str(label))]
        counts[name] = counts.get(name, 0.0) + number
    return counts
