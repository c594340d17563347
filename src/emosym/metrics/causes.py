"""Emotion-cause pairs (ECPE; the string form of EmoVerse on ECF 2.0).

One record is a target utterance; its gold and predicted pairs are one string each:
`i_emotion,j;i_emotion,j`, where utterance i carries the emotion that utterance j causes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from emosym.emotions import LABEL_SPACES, LabelSpace
from emosym.errors import UsageError, unknown_name
from emosym.metrics.checks import check_mode, same_length

_PAIR = re.compile(r"(\d+)_([a-z]+),(\d+)")


def split_pairs(text: str) -> frozenset[str]:
    """Return the distinct pieces of a pair string, lower case and without blanks.

    A piece that is no pair stays as it is: in a prediction it can only be wrong.

    Raises:
        UsageError: when `text` is no string.
    """
    if not isinstance(text, str):
        raise UsageError(
            f"Emotion-cause pairs must be a string like '3_joy,1;3_joy,2', got {text!r}."
        )
    pieces = ("".join(piece.split()).lower() for piece in text.split(";"))
    return frozenset(piece for piece in pieces if piece)


def _gold(text: str, row: int, space: LabelSpace) -> frozenset[str]:
    pieces = split_pairs(text)
    for piece in pieces:
        found = _PAIR.fullmatch(piece)
        if found is None:
            raise UsageError(
                f"Gold pair {piece!r} of record {row} is not of the form 'i_emotion,j'."
            )
        if found[2] not in space.labels:
            raise unknown_name("emotion", found[2], space.labels, f"(gold pair of record {row})")
    return pieces


def _emotion(piece: str) -> str | None:
    found = _PAIR.fullmatch(piece)
    return found[2] if found else None


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _scores(hits: int, predicted: int, gold: int) -> tuple[float, float, float]:
    """Return precision, recall and F1; a division by zero is 0."""
    return _ratio(hits, predicted), _ratio(hits, gold), _ratio(2 * hits, predicted + gold)


def cause_values(
    predicted: Sequence[str],
    gold: Sequence[str],
    mode: str = "corrected",
    space: LabelSpace = LABEL_SPACES["ecf6"],
) -> dict[str, float | int | list[float] | list[int]]:
    """Return pair scores over all records (N strings a side), 0..1, ready for a result file.

    `pair_precision`, `pair_recall`, `pair_f1`: of all pairs of all records together.
    `f1_per_emotion`, `support_per_emotion` (C entries, order of `space`): the same for the pairs of
    one emotion, and its number of gold pairs. `weighted_f1`: the former weighted by the latter.
    `records`: how many counted. Any division by zero is 0. A pair that is predicted twice counts
    once; a piece that is no pair, or names no emotion of `space`, is a wrong pair.

    'compat' passes over records without a gold pair, so that what is predicted there is free;
    'corrected' counts them.

    Raises:
        UsageError: for lengths that differ, no records, or a gold string that is not of this form.
    """
    compat = check_mode(mode)
    if same_length(predicted=predicted, gold=gold) == 0:
        raise UsageError("There are no records to score.")
    hits, made, true = (dict.fromkeys(space.labels, 0) for _ in range(3))
    strays = records = 0
    for row, (guess, answer) in enumerate(zip(predicted, gold, strict=True)):
        wanted, found = _gold(answer, row, space), split_pairs(guess)
        if compat and not wanted:
            continue
        records += 1
        for piece in wanted:
            true[str(_emotion(piece))] += 1
        for piece in found:
            emotion = _emotion(piece)
            if emotion not in made:
                strays += 1
                continue
            made[emotion] += 1
            hits[emotion] += piece in wanted
    support = [true[label] for label in space.labels]
    each = [_scores(hits[x], made[x], true[x])[2] for x in space.labels]
    total = sum(support)
    precision, recall, f1 = _scores(sum(hits.values()), sum(made.values()) + strays, total)
    return {
        "pair_precision": precision,
        "pair_recall": recall,
        "pair_f1": f1,
        "weighted_f1": _ratio(sum(f * n for f, n in zip(each, support, strict=True)), total),
        "f1_per_emotion": each,
        "support_per_emotion": support,
        "records": records,
    }
