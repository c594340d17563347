"""A reward of cues: what an explanation names must be there, in the form that TRL calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from emosym.errors import UsageError
from emosym.metrics.cues import named_cues
from emosym.rewards.text import Completion
from emosym.rewards.words import texts_and_truths, thought_part


def cue_precision(
    completions: Sequence[Completion],
    cues: Sequence[Any] | None = None,
    phrases: Mapping[str, Sequence[str]] | None = None,
    fewest_cues: int = 2,
    find: Callable[[str], Collection[str]] | None = None,
    **columns: Any,
) -> list[float | None]:
    """Return the share of named cues that are there, times min(1, named and there / fewest), 0..1.

    `phrases` (given by `functools.partial`) says how each cue is named: {"dog": ("dog", "puppy")},
    or `find` returns the cues that a text names; `cues` is the column of those that are there. The
    explanation is what stands in `<think>`, or a whole text without tags; a cue in the answer only
    is not explained by anything. Naming nothing gets 0, not 1, and one safe cue gets only its part
    of the fewest that are wanted, or of those that are there where they are less. A row without
    truth, or where nothing is there, gives None.

    Raises:
        UsageError: without phrases or the column, or for a length mismatch.
    """
    if phrases is None and find is None:
        raise UsageError(
            "This reward needs how cues are named: functools.partial(cue_precision, phrases=...)."
        )
    if fewest_cues < 1:
        raise UsageError(f"fewest_cues must be 1 or more, got {fewest_cues}.")
    rows: list[float | None] = []
    for text, truth in texts_and_truths(completions, cues, "cues"):
        there = None if truth is None else {str(cue) for cue in _listed(truth)}
        if not there:
            rows.append(None)
            continue
        thought = thought_part(text)
        said = set(find(thought)) if find is not None else named_cues(thought, phrases or {})
        hits = len(said & there)
        wanted = min(fewest_cues, len(there))
        rows.append(hits / len(said) * min(1.0, hits / wanted) if said else 0.0)
    return rows


def _listed(truth: object) -> Sequence[object]:
    if isinstance(truth, str):
        return [part.strip() for part in truth.split(",") if part.strip()]
    if isinstance(truth, Sequence):
        return truth
    raise UsageError(f"The cues of a row must be a list, got {truth!r:.80}.")
