"""What an answer of emotion words says, and what stands in each part of a completion."""

from __future__ import annotations

import re
from collections.abc import Sequence

from emosym.data.word_rows import listed_words
from emosym.errors import UsageError
from emosym.rewards.text import Completion, completion_text, tagged

MOST_WORDS = 256  # of one answer; a longer list is an attempt to name everything
_TAGGED = re.compile(r"</?(?:think|answer|confidence)>")


def answer_part(text: str) -> str | None:
    """Return what stands between `<answer>` tags, all of a text without tags, or else None."""
    return tagged(text, "answer") if _TAGGED.search(text) else text


def thought_part(text: str) -> str:
    """Return what stands between `<think>` tags, all of a text without tags, or else ""."""
    return (tagged(text, "think") if _TAGGED.search(text) else text) or ""


def answer_words(text: str) -> tuple[str, ...] | None:
    """Return the emotion words that a completion answers, lower case, each once, in order.

    They are what `data.word_rows.listed_words` finds. None where there is no answer, or more than
    MOST_WORDS of them.
    """
    answer = answer_part(text)
    if answer is None:
        return None
    found = listed_words(answer)
    return found if 0 < len(found) <= MOST_WORDS else None


def true_words(truth: object) -> tuple[str, ...] | None:
    """Return true emotion words, given as a list or as an answer would say them; None for None.

    Raises:
        UsageError: for anything else.
    """
    if truth is None:
        return None
    if isinstance(truth, str):
        return answer_words(truth) or ()
    if isinstance(truth, Sequence) and all(isinstance(word, str) for word in truth):
        return tuple(dict.fromkeys(word.strip().lower() for word in truth if word.strip()))
    raise UsageError(f"True emotion words must be a list of words, got {truth!r:.80}.")


def texts_and_truths(
    completions: Sequence[Completion], truths: Sequence[object] | None, column: str
) -> list[tuple[str, object]]:
    """Return each completion's text with its truth.

    Raises:
        UsageError: without the column, or when there are not as many truths.
    """
    if truths is None:
        raise UsageError(f"This reward needs the column {column!r} with what is true.")
    if isinstance(truths, str) or len(truths) != len(completions):
        raise UsageError(f"{len(completions)} completions need as many rows of {column!r}.")
    return [(completion_text(c), truth) for c, truth in zip(completions, truths, strict=True)]
