"""Rewards of open-vocabulary answers on emotion wheels, in the form that TRL calls.

The wheels come in as `functools.partial(wheel, wheels=read_wheels(folder))`: a partial has a name
and can be sent to another process.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from emosym.data.wheel_tables import Wheels
from emosym.data.word_rows import LONGEST_PHRASE
from emosym.errors import UsageError
from emosym.metrics.wheel import candidates, length_penalty, ring_labels, wheel_f1
from emosym.rewards.text import Completion, completion_text, tagged
from emosym.rewards.words import answer_words, texts_and_truths, true_words

MOST_THOUGHT = 4096  # words of a thinking that are looked at
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")


def wheel(
    completions: Sequence[Completion],
    label: Sequence[object] | None = None,
    wheels: Wheels | None = None,
    wheel_level: int = 1,
    **columns: Any,
) -> list[float | None]:
    """Return the wheel F1 of the answered words against the true words (`label`), 0..1.

    An answer without words, or that stands in the thinking only, gets 0; a row whose truth no wheel
    knows, or that has none, None.

    Raises:
        UsageError: without wheels or a label column, for a length mismatch, or another level.
    """
    return _scored(completions, label, wheels, wheel_level, penalised=False)


def wheel_penalised(
    completions: Sequence[Completion],
    label: Sequence[object] | None = None,
    wheels: Wheels | None = None,
    wheel_level: int = 1,
    **columns: Any,
) -> list[float | None]:
    """Return the same, times ln(true + 1) / ln(named + 1) where more words are named than true."""
    return _scored(completions, label, wheels, wheel_level, penalised=True)


def _scored(
    completions: Sequence[Completion],
    label: Sequence[object] | None,
    wheels: Wheels | None,
    level: int,
    penalised: bool,
) -> list[float | None]:
    known = _given(wheels)
    rows: list[float | None] = []
    for text, truth in texts_and_truths(completions, label, "label"):
        wanted, said = true_words(truth), answer_words(text) or ()
        score = None if wanted is None else wheel_f1(said, wanted, known, level)
        if score is not None and penalised and wanted:
            score *= length_penalty(len(said), len(wanted))
        rows.append(score)
    return rows


def alignment(
    completions: Sequence[Completion],
    wheels: Wheels | None = None,
    wheel_level: int = 1,
    **columns: Any,
) -> list[float | None]:
    """Return how far thinking and answer name the same emotions, 0..1.

    Emotion words of both are mapped onto each wheel; the reward is their Jaccard index, as a mean
    over the wheels. Where either names none, it is 0: silence agrees with nothing.

    Raises:
        UsageError: without wheels, or for another level.
    """
    known = _given(wheels)
    rows: list[float | None] = []
    for completion in completions:
        text = completion_text(completion)
        said = answer_words(text) if tagged(text, "answer") is not None else None
        thought = emotion_words(tagged(text, "think") or "", known)
        each = []
        for number in range(len(known.rings)):
            one = ring_labels(said or (), known, number, wheel_level)
            other = ring_labels(thought, known, number, wheel_level)
            each.append(len(one & other) / len(one | other) if one and other else 0.0)
        rows.append(sum(each) / len(each))
    return rows


def emotion_words(text: str, wheels: Wheels) -> tuple[str, ...]:
    """Return the words and phrases of a text that the wheels know, each once, in order."""
    words = [word.replace("\u2019", "'") for word in _WORD.findall(text.lower())][:MOST_THOUGHT]
    found = []
    place = 0
    while place < len(words):
        for size in range(LONGEST_PHRASE, 0, -1):
            phrase = " ".join(words[place : place + size])
            known = next((p for p in (phrase, phrase.replace("'", "\u2019")) if _on(p, wheels)), "")
            if known and place + size <= len(words):
                found.append(known)
                place += size - 1
                break
        place += 1
    return tuple(dict.fromkeys(found))


def _on(phrase: str, wheels: Wheels) -> bool:
    return bool(candidates(phrase, wheels))


def _given(wheels: Wheels | None) -> Wheels:
    if wheels is None:
        raise UsageError(
            "This reward needs the tables of the wheels: functools.partial(wheel, "
            "wheels=emosym.data.wheel_tables.read_wheels(folder))."
        )
    return wheels
