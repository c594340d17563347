"""What a speaker feels, from words: one label, or several at once (GoEmotions)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emosym.emotions import LabelSpace, other_words
from emosym.errors import UsageError
from emosym.tasks.question import QUESTIONS, ask_turns, chosen_wording, taught
from emosym.tasks.task import (
    Prediction,
    Task,
    Unparsed,
    label_said,
    measure_labels,
    parse_labels,
    reward_by,
)
from emosym.types import TEXT_EMOTION, Conversation, Sample, Target


def text_emotion(space: LabelSpace, template: str = "speaker") -> Task:
    """Return the task for a label space; an answer may name several labels ("Joy, fear.").

    One label is given as it is, several as a tuple in the space's order. Where every truth is one
    label the values are those of `mer`, and an answer that names several is unreadable; where a
    truth is a tuple, or labels do not exclude each other, they are those of `metrics.label_sets`.
    """
    chosen_wording(template, tuple(QUESTIONS))
    synonyms = other_words(space)

    def parse(answer: object) -> Prediction:
        found = parse_labels(answer, space.labels, synonyms)
        return found[0] if isinstance(found, tuple) and len(found) == 1 else found

    def score(found: Any, truth: Any) -> float:
        from emosym.metrics.label_sets import set_f1

        return set_f1(labels_of(found), labels_of(truth))

    def answer(sample: Sample) -> str:
        labels = labels_of(sample.targets.get(TEXT_EMOTION, ()))
        if not labels:
            raise UsageError(f"Sample {sample.id!r} has no label for {TEXT_EMOTION}.")
        known = sorted(labels, key=space.index)
        return f"{', '.join(known).capitalize()}."

    def conversation(sample: Sample) -> Conversation:
        return ask_turns(sample, QUESTIONS[template])

    return Task(
        TEXT_EMOTION,
        space,
        conversation=conversation,
        teach=lambda sample: taught(conversation(sample), answer(sample)),
        parse=parse,
        measure=lambda predictions, truths: _measure(predictions, truths, space),
        reward=reward_by(parse, score),
    )


def labels_of(target: Target) -> tuple[str, ...]:
    """Return the labels of a truth or prediction: several as they are, of votes the one label."""
    if isinstance(target, tuple):
        return tuple(str(label) for label in target)
    label = label_said(target)
    return () if label is None else (label,)


def _measure(
    predictions: Sequence[Prediction], truths: Sequence[Target], space: LabelSpace
) -> dict[str, Any]:
    """Return the values of one label a sample, or of several."""
    from emosym.metrics.label_sets import label_set_values

    if not space.several and not any(isinstance(truth, tuple) for truth in truths):
        return measure_labels(predictions, truths, space)
    read = [None if isinstance(found, Unparsed) else labels_of(found) for found in predictions]
    return label_set_values(read, [labels_of(truth) for truth in truths], space.labels)
