"""EmotionThinker's reward: how much the score of a reasoning is trusted depends on its group."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from emosym.errors import UsageError
from emosym.rewards.text import Completion, Names, TextReward, accuracy, completion_text, has_format

FORMAT, OUTCOME, REASONING = 0.3, 1.0, 0.5  # weights, as published


def trust(right: Sequence[bool], reasoning: Sequence[float]) -> float:
    """Return tau in 0..1 of one group of answers to one prompt.

    1 where right answers reason at least as well as wrong ones on average, else e to the (negative)
    difference. A group without wrong answers is trusted; one without right answers is held against
    a reasoning of 0, so that good words for wrong answers never count in full.
    """
    good = [score for score, ok in zip(reasoning, right, strict=True) if ok]
    bad = [score for score, ok in zip(reasoning, right, strict=True) if not ok]
    if not bad:
        return 1.0
    ahead = (sum(good) / len(good) if good else 0.0) - sum(bad) / len(bad)
    return math.exp(min(0.0, ahead))


def trust_weighted(
    completions: Sequence[Completion],
    label: Sequence[str | None] | None = None,
    prompts: Sequence[object] | None = None,
    reasoning: TextReward | None = None,
    label_space: Names = "mikels8",
    **columns: Any,
) -> list[float | None]:
    """Return 0.3 format + 1.0 outcome + 0.5 tau reasoning of each completion.

    `reasoning` (given by `functools.partial`) is a reward of 0..1, such as one of cues or a judge
    of your own; None counts as 0. Equal `prompts` that follow each other are one group, as TRL
    sends them; without prompts all completions are. A row without truth gives None.

    Raises:
        UsageError: without `reasoning` or a label column, or for a length mismatch.
    """
    if reasoning is None:
        raise UsageError(
            "This reward needs what scores a reasoning: functools.partial(trust_weighted, "
            "reasoning=...)."
        )
    right = accuracy(completions, label=label, label_space=label_space)
    scores = reasoning(completions, label=label, prompts=prompts, **columns)
    thought = [_share(score) for score in scores]
    keys = [None] * len(completions) if prompts is None else [repr(prompt) for prompt in prompts]
    if len(keys) != len(completions) or len(thought) != len(completions):
        raise UsageError(f"{len(completions)} completions need as many prompts and scores.")
    rows: list[float | None] = []
    for _, places in groupby(range(len(completions)), key=lambda place: keys[place]):
        group = list(places)
        known = [place for place in group if right[place] is not None]
        tau = trust([right[p] == 1.0 for p in known], [thought[p] for p in known])
        for place in group:
            outcome = right[place]
            shape = float(has_format(completion_text(completions[place])))
            whole = FORMAT * shape + REASONING * tau * thought[place]
            rows.append(None if outcome is None else whole + OUTCOME * outcome)
    return rows


def _share(score: float | None) -> float:
    """Return a score within 0..1; nothing and NaN are 0."""
    return min(1.0, max(0.0, score)) if score is not None and score == score else 0.0
