"""A task: how a sample is asked about, how an answer is read, measured and rewarded."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.types import Conversation, Sample, Target, Votes

SIMILAR = 0.8  # of difflib's ratio: "happines" is "happiness"
FEWEST_LETTERS = 5  # of a word taken for another one by its spelling: "said" is not "sad"
MOST_PIECES = 256


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
    only and no label stands there. Where several are named, what stands in `<answer>` tags counts,
    or else the first sentence, if it names one only.
    """
    if not isinstance(answer, str):
        return Unparsed(repr(answer)[:80], "it is no text")
    found = _named(_inside(answer), labels, synonyms or {})
    if len(found) > 1:
        first = _named(re.split(r"[.!?\n]", _inside(answer).strip(), maxsplit=1)[0], labels, {})
        found = first if len(first) == 1 else found
    if len(found) == 1:
        return found.pop()
    if not re.search(r"[^\W_]", answer):
        return Unparsed(answer, "it is empty")
    named = ", ".join(label for label in labels if label in found)
    return Unparsed(answer, f"it names {named}" if found else "it names no label")


def parse_labels(
    answer: object, labels: Sequence[str], synonyms: Mapping[str, str] | None = None
) -> tuple[str, ...] | Unparsed:
    """Return all labels that an answer names, in the order of `labels`, each once.

    Every piece between commas, semicolons, slashes, line ends, "and" or "or" is read by itself,
    as `parse_label` reads words; a piece that names nothing is passed over.
    """
    if not isinstance(answer, str):
        return Unparsed(repr(answer)[:80], "it is no text")
    pieces = re.split(r"[,;/|\n]|\band\b|\bor\b", _inside(answer).lower())[:MOST_PIECES]
    found = {label for piece in pieces for label in _named(piece, labels, synonyms or {})}
    if found:
        return tuple(label for label in labels if label in found)
    empty = not re.search(r"[^\W_]", answer)
    return Unparsed(answer, "it is empty" if empty else "it names no label")


def _inside(answer: str) -> str:
    """Return what stands between `<answer>` tags, or all of it without them."""
    from emosym.rewards.text import tagged

    return tagged(answer, "answer") or answer


def _named(text: str, labels: Sequence[str], synonyms: Mapping[str, str]) -> set[str]:
    """Return the labels that a text names; by likeness of spelling only where it names none."""
    words = re.findall(r"[^\W_]+", text.lower())
    said = f" {' '.join(words)} "
    known = {_plain(word): label for word, label in synonyms.items()}
    known |= {_plain(label): label for label in labels}
    found = {label for word, label in known.items() if f" {word} " in said}
    if not found:
        long = [word for word in dict.fromkeys(words[:64]) if len(word) >= FEWEST_LETTERS]
        near = [difflib.get_close_matches(word, known, 1, SIMILAR) for word in long]
        found = {known[match[0]] for match in near if match}
    return found


def _plain(word: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", word.lower()))


def task_labels(task: Task) -> tuple[str, ...]:
    """Return the labels that answer a task.

    Raises:
        UsageError: for a task whose answers are no labels.
    """
    if task.space is None:
        raise UsageError(f"The task {task.name!r} has no labels to choose from.")
    return task.space.labels


def label_said(target: object) -> str | None:
    """Return the one label of a truth or prediction: of votes the data set's, or the weightiest."""
    if isinstance(target, Votes):
        weights = target.weights
        return target.label or (max(weights, key=lambda word: weights[word]) if weights else None)
    if isinstance(target, tuple):
        return str(target[0]) if len(target) == 1 else None
    return target if isinstance(target, str) else None


def label_codes(
    predictions: Sequence[Prediction], truths: Sequence[Target], space: LabelSpace
) -> tuple[list[int], list[int]]:
    """Return class indices (N,) of both sides, a prediction being -1 where it is no one label.

    Raises:
        UsageError: for a truth that is no one label, or a label that is not in the space.
    """
    from emosym.metrics.classification import UNREADABLE

    guesses, answers = [], []
    for found in predictions:
        label = label_said(found)
        guesses.append(UNREADABLE if label is None else space.index(label))
    for truth in truths:
        label = label_said(truth)
        if label is None:
            raise UsageError(f"A true label must be one label, got {truth!r:.80}.")
        answers.append(space.index(label))
    return guesses, answers


def measure_labels(
    predictions: Sequence[Prediction], truths: Sequence[Target], space: LabelSpace
) -> dict[str, Any]:
    """Return the values of `metrics.classification.recognition_values`, with the majority's.

    An unparsed answer is a miss of the true class and no false alarm of another.

    Raises:
        UsageError: when there are no samples, not as many of both, or a label is not in the space.
    """
    from emosym.metrics.classification import recognition_values

    return dict(recognition_values(*label_codes(predictions, truths, space), len(space)))


def reward_by(
    parse: Callable[[str], Prediction], score: Callable[[Any, Any], float]
) -> Callable[..., list[float | None]]:
    """Return a `Task.reward`: `score` of what an answer says and is true, see `reward_each`.

    The truths come in a column `label`, or ms-swift's `solution`; other columns do not count. The
    reward raises a `UsageError` when there is neither.
    """

    def reward(
        completions: Sequence[Any],
        label: Sequence[Any] | None = None,
        solution: Sequence[Any] | None = None,
        **_: Any,
    ) -> list[float | None]:
        truths = label if label is not None else solution
        if truths is None:
            raise UsageError("A reward needs the true answers in a column 'label' or 'solution'.")
        return reward_each(parse, score, completions, truths)

    return reward


def reward_each(
    parse: Callable[[str], Prediction],
    score: Callable[[Any, Any], float],
    completions: Sequence[Any],
    truths: Sequence[Any],
) -> list[float | None]:
    """Return `score(parsed completion, truth)` of each; 0 if unparsed, None without a truth.

    A truth that is a text is read as an answer is, if it is one: data sets for GRPO keep the true
    answer in a column.

    Raises:
        UsageError: when there are not as many truths, or a completion is neither text nor messages.
    """
    from emosym.rewards.text import completion_text

    if len(completions) != len(truths):
        raise UsageError(f"{len(completions)} completions but {len(truths)} true labels.")
    rows: list[float | None] = []
    for said, truth in zip(completions, truths, strict=True):
        found, wanted = parse(completion_text(said)), truth
        if isinstance(truth, str):
            read = parse(truth)
            wanted = truth if isinstance(read, Unparsed) else read
        if wanted is None:
            rows.append(None)
        else:
            rows.append(0.0 if isinstance(found, Unparsed) else score(found, wanted))
    return rows
