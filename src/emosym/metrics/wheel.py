"""Open-vocabulary emotion words compared on emotion wheels (the score of OV-MERD, MER-UniBench).

A word is mapped by its base forms to words of the wheels that these are synonyms of; the first of
them in alphabetical order that is on a wheel gives the label of that wheel's ring. Words that map
to nothing are dropped. The alphabetical rule has a quirk that is kept, so that scores can be
compared: "fear" has "fearless" among its base forms, and is called by a positive label on four of
the five published wheels.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from emosym.data.wheel_tables import Wheels, wheel_word
from emosym.errors import UsageError
from emosym.metrics.checks import mean_defined, same_length

Words = Collection[str]
LEVELS = (1, 2)


def candidates(word: str, wheels: Wheels) -> tuple[str, ...]:
    """Return the wheel words that a word stands for, in alphabetical order; () for unknown ones."""
    bases = wheels.forms.get(wheel_word(word), ())
    return tuple(sorted({like for base in bases for like in wheels.synonyms.get(base, ())}))


def ring_labels(words: Words, wheels: Wheels, wheel: int, level: int = 1) -> frozenset[str]:
    """Return what words are called by on a wheel (0, 1, ...), unknown ones dropped.

    Raises:
        UsageError: for a level other than 1 and 2, or a wheel that is not there.
    """
    if level not in LEVELS:
        raise UsageError(f"The level of a wheel must be 1 or 2, got {level!r}.")
    if not 0 <= wheel < len(wheels.rings):
        raise UsageError(f"There are {len(wheels.rings)} wheels; wheel {wheel} is not among them.")
    ring = wheels.rings[wheel][level - 1]
    found = set()
    for word in words:
        first = next((like for like in candidates(word, wheels) if like in ring), None)
        if first is not None:
            found.add(ring[first])
    return frozenset(found)


def wheel_f1(predicted: Words, truth: Words, wheels: Wheels, level: int = 1) -> float | None:
    """Return the F1 of one sample, 0..1: the mean over the wheels that know its truth.

    None where no wheel knows it.
    """
    each = []
    for wheel in range(len(wheels.rings)):
        wanted = ring_labels(truth, wheels, wheel, level)
        if wanted:
            found = ring_labels(predicted, wheels, wheel, level)
            each.append(2.0 * len(found & wanted) / (len(found) + len(wanted)))
    return sum(each) / len(each) if each else None


def length_penalty(predicted: int, truth: int) -> float:
    """Return 1 for at most as many words as are true, else ln(truth + 1) / ln(predicted + 1)."""
    if predicted <= truth:
        return 1.0
    return math.log(truth + 1) / math.log(predicted + 1)


def wheel_values(
    predicted: Sequence[Words | None], truth: Sequence[Words], wheels: Wheels, level: int = 1
) -> dict[str, Any]:
    """Return the wheel score of N answers, None being an unreadable one, ready for a result file.

    Of a wheel, precision and recall are means over the samples whose truth it knows (a prediction
    that it does not know counts 0), and F1 is that of the two means. `wheel_f1`,
    `wheel_precision`, `wheel_recall` and `wheel_hit_rate` (share of samples of which at least one
    true label is named) are means over the wheels, `*_per_wheel` the values of each, None where it
    knows no truth. `scored_per_wheel` counts its samples. `unknown_words`: share of predicted words
    that no wheel knows; `words_per_answer`: how many an answer names.
    `all_labels_wheel_f1` and `all_labels_wheel_hit_rate` are those of an answer that names every
    word there is: a hit rate says nothing without them.

    Raises:
        UsageError: for no samples, lengths that differ, or another level.
    """
    count = same_length(predicted=predicted, truth=truth)
    if count == 0:
        raise UsageError("There are no samples to score.")
    said = [frozenset(words or ()) for words in predicted]
    names = [word for words in said for word in words]
    on_wheels = frozenset(word for ring, _ in wheels.rings for word in ring)
    known = sum(not on_wheels.isdisjoint(candidates(word, wheels)) for word in names)
    usual = wheel_scores(wheel_counts([on_wheels] * count, truth, wheels, level).sum(axis=0))
    return {
        **wheel_scores(wheel_counts(said, truth, wheels, level).sum(axis=0)),
        "all_labels_wheel_f1": usual["wheel_f1"],
        "all_labels_wheel_hit_rate": usual["wheel_hit_rate"],
        "unknown_words": 1.0 - known / len(names) if names else None,
        "words_per_answer": len(names) / count,
    }


def wheel_counts(
    said: Sequence[Words], truth: Sequence[Words], wheels: Wheels, level: int = 1
) -> np.ndarray:
    """Return float64 (N, W, 4) of each sample and wheel, zeros where the wheel knows no truth.

    Share of named labels that are true, share of true labels that are named, whether one is, and
    1: `wheel_scores` of a sum over samples are their values.
    """
    counts = np.zeros((len(truth), len(wheels.rings), 4))
    sets = [(frozenset(words), frozenset(true)) for words, true in zip(said, truth, strict=True)]
    for wheel in range(len(wheels.rings)):
        mapped = {
            words: ring_labels(words, wheels, wheel, level)
            for words in dict.fromkeys(words for pair in sets for words in pair)
        }
        for row, (words, true) in enumerate(sets):
            found, wanted = mapped[words], mapped[true]
            if wanted:
                hits = len(found & wanted)
                precision = hits / len(found) if found else 0.0
                counts[row, wheel] = precision, hits / len(wanted), hits > 0, 1.0
    return counts


def wheel_scores(sums: np.ndarray) -> dict[str, Any]:
    """Return the values that sums (W, 4) of `wheel_counts` tell; see `wheel_values`."""
    each: dict[str, list[float | None]] = {
        name: [] for name in ("f1", "precision", "recall", "hit_rate")
    }
    for precision, recall, hits, scored in sums.tolist():
        total = precision + recall
        found: tuple[float | None, ...] = (None,) * 4
        if scored:
            f1 = 2.0 * precision * recall / total / scored if total else 0.0
            found = f1, precision / scored, recall / scored, hits / scored
        for name, value in zip(each, found, strict=True):
            each[name].append(value)
    values: dict[str, Any] = {}
    for name, rows in each.items():
        values |= {f"wheel_{name}": mean_defined(rows), f"{name}_per_wheel": rows}
    return values | {"scored_per_wheel": [int(scored) for scored in sums[:, 3]]}
