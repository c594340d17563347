"""Open vocabulary: which emotions, in any words, several at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from emosym.data.wheel_tables import Wheels
from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.rewards.words import MOST_WORDS, answer_words, true_words
from emosym.tasks.question import ask_turns, taught
from emosym.tasks.task import Prediction, Task, Unparsed, reward_by
from emosym.types import OPEN, Conversation, Sample, Target

PICTURE = "Which emotions does this picture show or evoke? Name all that fit, with commas."
SPEAKER = "Which emotions does the speaker feel? Name all that fit, with commas."
PENALISED = "wheel_f1_penalised"


def open_words(wheels: Wheels | None = None) -> Task:
    """Return the task; with `wheels` words are compared on them, else as they are written.

    A truth is a tuple of words. An answer is words with commas: "Relieved, a bit proud."
    """

    def conversation(sample: Sample) -> Conversation:
        silent = not any(turn.text and turn.text.strip() for turn in sample.turns)
        return ask_turns(sample, PICTURE if silent else SPEAKER)

    def teach(sample: Sample) -> Conversation:
        words = words_of(sample.targets.get(OPEN))
        if not words:
            raise UsageError(f"Sample {sample.id!r} has no true emotion words.")
        return taught(conversation(sample), f"{', '.join(words).capitalize()}.")

    def score(found: Any, truth: Any) -> float:
        from emosym.metrics.label_sets import set_f1
        from emosym.metrics.wheel import wheel_f1

        wanted = words_of(truth)
        known = None if wheels is None else wheel_f1(found, wanted, wheels)
        return set_f1(found, wanted) if known is None else known

    return Task(
        OPEN,
        None,
        conversation=conversation,
        teach=teach,
        parse=parse_words,
        measure=lambda predictions, truths: measure_words(predictions, truths, wheels),
        reward=reward_by(parse_words, score),
    )


def open_of(space: LabelSpace) -> Task:
    """Return the task whatever the label space of emotions is: any words are answers."""
    return open_words()


def parse_words(answer: object) -> tuple[str, ...] | Unparsed:
    """Return the emotion words that an answer names (`rewards.words.answer_words`)."""
    if not isinstance(answer, str):
        return Unparsed(repr(answer)[:80], "it is no text")
    found = answer_words(answer)
    if found is not None:
        return found
    empty = not any(letter.isalnum() for letter in answer)
    told = f"it names no emotion words with commas, or more than {MOST_WORDS}"
    return Unparsed(answer, "it is empty" if empty else told)


def words_of(target: object) -> tuple[str, ...]:
    """Return a truth or prediction as words; () where it holds none."""
    if isinstance(target, (str, tuple)):
        return true_words(target) or ()
    return ()


def measure_words(
    predictions: Sequence[Prediction], truths: Sequence[Target], wheels: Wheels | None = None
) -> dict[str, Any]:
    """Return the values of N answers.

    `word_precision` and `word_recall` are mean shares of words as they are written, `word_f1` that
    of these two means; `constant_word_f1` is that of the most frequent true word said of every
    sample. `unreadable` is the share of answers that name nothing. With `wheels` also those of
    `metrics.wheel.wheel_values`, the same of the second ring (`level2_wheel_f1`), of the constant
    answer (`constant_wheel_f1`), and `wheel_f1_penalised`: the mean over samples of their own F1
    times `length_penalty`.

    Raises:
        UsageError: for no samples, not as many of both, or a truth that is no words.
    """
    from emosym.metrics.checks import same_length

    if same_length(predictions=predictions, truths=truths) == 0:
        raise UsageError("There are no samples to score.")
    true = [words_of(truth) for truth in truths]
    missing = next((truth for truth, words in zip(truths, true, strict=True) if not words), None)
    if missing is not None:
        raise UsageError(f"A truth must be emotion words, got {missing!r:.80}.")
    said = [found if isinstance(found, tuple) else () for found in predictions]
    counts = Counter(word for words in true for word in words)
    constant = [(min(counts, key=lambda word: (-counts[word], word)),)] * len(true)
    values: dict[str, Any] = dict(_shares(said, true))
    values["constant_word_f1"] = _shares(constant, true)["word_f1"]
    values["unreadable"] = sum(isinstance(p, Unparsed) for p in predictions) / len(predictions)
    if wheels is not None:
        values |= _on_wheels(said, true, constant, wheels)
    return values


def word_counts(said: Sequence[Sequence[Any]], true: Sequence[Sequence[str]]) -> Any:
    """Return float64 (N, 3): share of named words that are true, of true ones named, and 1."""
    import numpy as np

    rows = []
    for words, wanted in zip(said, true, strict=True):
        hits = len(set(words) & set(wanted))
        rows.append((hits / len(set(words)) if words else 0.0, hits / len(set(wanted)), 1.0))
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def word_scores(sums: Any) -> dict[str, float]:
    """Return the values that a sum (3,) of `word_counts` tells."""
    precision, recall = (float(part / sums[2]) for part in sums[:2])
    total = precision + recall
    f1 = 2.0 * precision * recall / total if total else 0.0
    return {"word_f1": f1, "word_precision": precision, "word_recall": recall}


def _shares(said: Sequence[Sequence[Any]], true: Sequence[Sequence[str]]) -> dict[str, float]:
    return word_scores(word_counts(said, true).sum(axis=0))


def _on_wheels(
    said: Sequence[Sequence[Any]],
    true: Sequence[Sequence[str]],
    constant: Sequence[Sequence[str]],
    wheels: Wheels,
) -> dict[str, Any]:
    from emosym.metrics.checks import mean_defined
    from emosym.metrics.wheel import length_penalty, wheel_f1, wheel_values

    values = wheel_values(said, true, wheels)
    values["level2_wheel_f1"] = wheel_values(said, true, wheels, level=2)["wheel_f1"]
    values["constant_wheel_f1"] = wheel_values(constant, true, wheels)["wheel_f1"]
    each = []
    for words, wanted in zip(said, true, strict=True):
        score = wheel_f1(words, wanted, wheels)
        lasts = length_penalty(len(words), len(wanted))
        each.append(None if score is None else score * lasts)
    values[PENALISED] = mean_defined(each)
    return values
