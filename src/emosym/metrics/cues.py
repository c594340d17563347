"""What a text names, held against what is there: precision and recall of cues by kind.

A cue is anything that a function finds in a text: an action unit, an emotion, a thing. `Facts` maps
each kind of cue to the cues of one text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from emosym.errors import UsageError
from emosym.metrics.checks import same_length

Facts: TypeAlias = Mapping[str, frozenset[str]]
Counts: TypeAlias = dict[str, np.ndarray]
_WORD = re.compile(r"[^\W_]+")


def plain_words(text: str) -> str:
    """Return a text as `stands_in` looks through it: its words, lower case, blanks around each."""
    return f" {' '.join(_WORD.findall(text.lower()))} "


def stands_in(phrase: str, plain: str) -> bool:
    """Tell whether the words of a phrase follow each other in `plain_words` of a text."""
    words = plain_words(phrase)
    return words != "  " and words in plain


def named_cues(text: str, phrases: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Return the cues of which a phrase stands in a text: {"dog": ("dog", "puppy")}."""
    plain = plain_words(text)
    return frozenset(
        cue for cue, ways in phrases.items() if any(stands_in(way, plain) for way in ways)
    )


def count_cues(said: Sequence[Facts], there: Sequence[Facts], kinds: Sequence[str]) -> Counts:
    """Return for each kind an array (3, N): named and there, named, there.

    Raises:
        UsageError: for lengths that differ.
    """
    same_length(said=said, there=there)
    found: dict[str, list[tuple[int, int, int]]] = {kind: [] for kind in kinds}
    for named, true in zip(said, there, strict=True):
        for kind in kinds:
            hits = len(named[kind] & true[kind])
            found[kind].append((hits, len(named[kind]), len(true[kind])))
    return {kind: np.array(rows, dtype=np.int64).reshape(-1, 3).T for kind, rows in found.items()}


def cue_values(
    said: Sequence[Facts], there: Sequence[Facts], kinds: Sequence[str]
) -> dict[str, float | int | None]:
    """Return `cue_precision`, `cue_recall`, `cue_f1` over all kinds, and for each kind its own.

    Sums over the N texts: precision is the share of what is named that is there, recall the share
    of what is there that is named; None where nothing is named, or there. `cues` counts what is
    there. Of a kind they are called `precision_<kind>`, `recall_<kind>` and `cues_<kind>`.

    Raises:
        UsageError: for no texts or lengths that differ.
    """
    if same_length(said=said, there=there) == 0:
        raise UsageError("There are no texts to score.")
    sums = {kind: rows.sum(axis=1) for kind, rows in count_cues(said, there, kinds).items()}
    total = np.sum(list(sums.values()), axis=0)
    values: dict[str, float | int | None] = {
        "cue_precision": _ratio(total[0], total[1]),
        "cue_recall": _ratio(total[0], total[2]),
        "cue_f1": _ratio(2 * total[0], total[1] + total[2]),
        "cues": int(total[2]),
    }
    for kind, (hits, named, true) in sums.items():
        values[f"precision_{kind}"] = _ratio(hits, named)
        values[f"recall_{kind}"] = _ratio(hits, true)
        values[f"cues_{kind}"] = int(true)
    return values


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
