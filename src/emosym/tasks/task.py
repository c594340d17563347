"""A task: how a sample is asked about, how an answer is read, measured and rewarded."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from emosym.emotions import LabelSpace
from emosym.types import Conversation, Sample, Target

SIMILAR = 0.8  # of difflib's ratio: "happines" is "happiness", "said" is not "sad"


@dataclass(frozen=True, slots=True)
class Unparsed:
    """An answer that says nothing a task can use, and why; it counts as wrong, never as a class."""

    answer: str
    reason: str


Prediction: TypeAlias = "Target | Unparsed"


@dataclass(frozen=True, slots=True)
class Task:
    """One question about samples, as plain functions.

    `space` holds its labels, or is None where answers are no labels. `conversation` turns a sample
    into chat messages; of a sample whose truth is known, `teach` appends the answer, marked as what
    is to be learned. `parse` reads an answer and never raises. `measure` compares predictions (N)
    with truths (N). `reward` has TRL's form: one number a completion, None where it does not apply.
    """

    name: str
    space: LabelSpace | None
    conversation: Callable[[Sample], Conversation]
    teach: Callable[[Sample], Conversation]
    parse: Callable[[str], Prediction]
    measure: Callable[[Sequence[Prediction], Sequence[Target]], dict[str, Any]]
    reward: Callable[..., list[float | None]]


def parse_label(
    answer: object, labels: Sequence[str], synonyms: Mapping[str, str] | None = None
) -> str | Unparsed:
    """Return the one label that an answer names.

    Case and punctuation do not matter, nor words around the label. `synonyms` maps other words to
    labels. A word that is no label counts as the label it is nearly spelled like, where that is one
    only and no label stands there.
    """
    if not isinstance(answer, str):
        return Unparsed(repr(answer)[:80], "it is no text")
    words = re.findall(r"[^\W_]+", answer.lower())
    said = f" {' '.join(words)} "
    known = {_plain(label): label for label in labels}
    known.update({_plain(word): label for word, label in (synonyms or {}).items()})
    found = {label for word, label in known.items() if f" {word} " in said}
    if not found:
        near = [difflib.get_close_matches(word, known, 1, SIMILAR) for word in words[:64]]
        found = {known[match[0]] for match in near if match}
    if len(found) == 1:
        return found.pop()
    if not words:
        return Unparsed(answer, "it is empty")
    named = ", ".join(label for label in labels if label in found)
    return Unparsed(answer, f"it names {named}" if found else "it names no label")


def _plain(word: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", word.lower()))


def measure_labels(
    predictions: Sequence[Prediction], truths: Sequence[Target], space: LabelSpace
) -> dict[str, Any]:
    """Return accuracy, weighted F1, recall per class and the share of unreadable answers.

    An unparsed answer is a miss of the true class and no false alarm of another.

    Raises:
        UsageError: when there are no samples, not as many of both, or a label is not in the space.
    """
    from emosym.metrics.classification import UNREADABLE, recognition_values

    guesses = [
        UNREADABLE if isinstance(found, Unparsed) else space.index(str(found))
        for found in predictions
    ]
    answers = [space.index(str(truth)) for truth in truths]
    return dict(recognition_values(guesses, answers, len(space)))


def reward_labels(
    parse: Callable[[str], Prediction], completions: Sequence[Any], truths: Sequence[Any]
) -> list[float | None]:
    """Return 1 where a completion names the true label, 0 where not, None where none is known.

    Raises:
        UsageError: when there are not as many truths, or a completion is neither text nor messages.
    """
    from emosym.errors import UsageError
    from emosym.rewards.text import completion_text

    if len(completions) != len(truths):
        raise UsageError(f"{len(completions)} completions but {len(truths)} true labels.")
    return [
        None if truth is None else float(parse(completion_text(said)) == truth)
        for said, truth in zip(completions, truths, strict=True)
    ]
