"""A reward that respects a tree of emotions, in the form that TRL calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emosym.errors import UsageError
from emosym.metrics.trees import path_f1
from emosym.rewards.text import Completion
from emosym.rewards.words import answer_words, texts_and_truths
from emosym.trees import path_of


def tree(
    completions: Sequence[Completion],
    label: Sequence[str | None] | None = None,
    emotion_tree: str = "parrott",
    **columns: Any,
) -> list[float | None]:
    """Return how many ancestors answer and truth share in a tree, 0..1: F1 of their paths.

    An answer that names no word of the tree, several words, or stands in the thinking only gets 0.
    A row without a truth gives None.

    Raises:
        UsageError: without the column, for a length mismatch, an unknown tree, or a truth that is
            no word of it.
    """
    rows: list[float | None] = []
    for text, truth in texts_and_truths(completions, label, "label"):
        if truth is None:
            rows.append(None)
            continue
        wanted = path_of(str(truth), emotion_tree)
        if wanted is None:
            raise UsageError(f"{str(truth)!r:.60} is no emotion of the tree {emotion_tree!r}.")
        words = answer_words(text) or ()
        found = path_of(words[0], emotion_tree) if len(words) == 1 else None
        rows.append(path_f1(found, wanted))
    return rows
