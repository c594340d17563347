"""Emotion-cause pairs (ECPE; the string form of EmoVerse on ECF 2.0).

One record is a target utterance; its gold and predicted pairs are one string each:
`i_emotion,j;i_emotion,j`, where utterance i carries the emotion that utterance j causes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from emosym.emotions import LABEL_SPACES, LabelSpace
from emosym.errors import UsageError, unknown_name
from emosym.metrics.checks import same_length

CAUSE_MODES = ("corrected", "compat", "semeval")
NEUTRAL = "neutral"
Values: TypeAlias = dict[str, float | int | list[float] | list[int]]
Record: TypeAlias = tuple[Collection[str], Collection[str]]
_PAIR = re.compile(r"(\d+)_([a-z]+),(\d+)")
_TARGET = re.compile(r"(\d+)_([a-z]+)")


def split_pairs(text: str) -> frozenset[str]:
    """Return the distinct pieces of a pair string, lower case and without blanks.

    A piece that is no pair stays as it is: in a prediction it can only be wrong.

    Raises:
        UsageError: when `text` is no string.
    """
    pieces = ("".join(piece.split()).lower() for piece in _text(text).split(";"))
    return frozenset(piece for piece in pieces if piece)


def _text(text: str) -> str:
    if not isinstance(text, str):
        raise UsageError(
            f"Emotion-cause pairs must be a string like '3_joy,1;3_joy,2', got {text!r}."
        )
    return text


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


def _literal_emotion(piece: str) -> str | None:
    """Return what stands between '_' and the next '_' or ',', or None where the script fails."""
    parts = piece.split(",")[0].split("_")
    return parts[1] if len(parts) > 1 else None


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _scores(
    records: Sequence[Record], emotion_of: Callable[[str], str | None], space: LabelSpace
) -> Values:
    """Return the values of (predicted, gold) pieces, each counted as often as it is given."""
    made = Counter(emotion_of(piece) for found, _ in records for piece in found)
    true = Counter(emotion_of(piece) for _, wanted in records for piece in wanted)
    hits = Counter(emotion_of(p) for found, wanted in records for p in found if p in wanted)
    each = [_ratio(2 * hits[name], made[name] + true[name]) for name in space.labels]
    support = [true[name] for name in space.labels]
    weighted = sum(f1 * count for f1, count in zip(each, support, strict=True))
    return {
        "pair_precision": _ratio(hits.total(), made.total()),
        "pair_recall": _ratio(hits.total(), true.total()),
        "pair_f1": _ratio(2 * hits.total(), made.total() + true.total()),
        "weighted_f1": _ratio(weighted, sum(support)),
        "f1_per_emotion": each,
        "support_per_emotion": support,
        "records": len(records),
    }


def cause_values(
    predicted: Sequence[str],
    gold: Sequence[str],
    mode: str = "corrected",
    space: LabelSpace = LABEL_SPACES["ecf6"],
    targets: Sequence[str] | None = None,
) -> Values:
    """Return pair scores over all records (N strings a side), ready for a result file.

    `pair_precision`, `pair_recall`, `pair_f1`: of all pairs of all records together.
    `f1_per_emotion`, `support_per_emotion` (C entries, order of `space`): the same for the pairs of
    one emotion, and its number of gold pairs. `weighted_f1`: the former weighted by the latter.
    `records`: how many counted. Any division by zero is 0.

    'corrected': case and blanks do not matter, a pair that is predicted twice counts once, a piece
    that is no pair, or names no emotion of `space`, is a wrong pair. 'semeval' (SemEval-2024 task
    3): the same, but predicted `neutral` pairs are left out. 'compat' (the published EmoVerse
    script): strings as they are, a repeated right pair is right again, so that scores may exceed 1,
    and records without a gold pair are passed over, so that what is predicted there is free. That
    script fails on a piece without an emotion, such as an empty answer, and on an emotion that is
    never predicted or never true: `script_fails_on_pieces` and `script_fails_on_emotions` count
    those, and a value beside counts above 0 is none that it would have printed.

    `self_and_previous_pair_f1`, `self_and_previous_weighted_f1`: what the answer "this utterance
    and the one before cause it" scores on the same records. `targets`, N strings `i_emotion`, say
    what each record asks of. Without them it is taken from the gold pairs, and where there are none
    nothing is predicted, which flatters that answer in 'corrected' and 'semeval'.

    Raises:
        UsageError: for lengths that differ, no records, an unknown mode, or a gold string or a
            target that is not of this form.
    """
    if mode not in CAUSE_MODES:
        raise UsageError(f"The mode must be one of {', '.join(CAUSE_MODES)}, got {mode!r}.")
    if same_length(predicted=predicted, gold=gold) == 0:
        raise UsageError("There are no records to score.")
    pieces = [_gold(text, row, space) for row, text in enumerate(gold)]
    if targets is None:
        asked = [min(some).partition(",")[0] if some else "" for some in pieces]
    else:
        same_length(targets=targets, gold=gold)
        asked = [_target(text, row) for row, text in enumerate(targets)]
    records = _records(predicted, gold, mode)
    emotion_of = _literal_emotion if mode == "compat" else _emotion
    values = _scores(records, emotion_of, space)
    if mode == "compat":
        named = [{_literal_emotion(p) for r in records for p in r[side]} for side in (0, 1)]
        strays = [p for r in records for p in (*r[0], *r[1]) if _literal_emotion(p) is None]
        values["script_fails_on_pieces"] = len(strays)
        values["script_fails_on_emotions"] = len(set(space.labels) - (named[0] & named[1]))
    usual = [_self_and_previous(target, space) for target in asked]
    trivial = _scores(_records(usual, gold, mode), emotion_of, space)
    values["self_and_previous_pair_f1"] = trivial["pair_f1"]
    values["self_and_previous_weighted_f1"] = trivial["weighted_f1"]
    return values


def _records(predicted: Sequence[str], gold: Sequence[str], mode: str) -> list[Record]:
    """Return the (predicted, gold) pieces of every record that counts."""
    if mode == "compat":
        return [
            (_text(guess).split(";"), answer.split(";"))
            for guess, answer in zip(predicted, gold, strict=True)
            if split_pairs(answer)
        ]
    records: list[Record] = []
    for guess, answer in zip(predicted, gold, strict=True):
        found = split_pairs(guess)
        if mode == "semeval":
            found = frozenset(piece for piece in found if _emotion(piece) != NEUTRAL)
        records.append((found, split_pairs(answer)))
    return records


def _target(text: str, row: int) -> str:
    found = "".join(_text(text).split()).lower()
    if _TARGET.fullmatch(found) is None:
        raise UsageError(f"The target {text!r} of record {row} is not of the form 'i_emotion'.")
    return found


def _self_and_previous(target: str, space: LabelSpace) -> str:
    """Return the pairs of a target with itself and the utterance before it, in the string form."""
    place, _, emotion = target.partition("_")
    if emotion not in space.labels:
        return ""  # an utterance without an emotion has no cause
    causes = [number for number in (int(place), int(place) - 1) if number > 0]
    return ";".join(f"{target},{number}" for number in causes)
