"""Facial expression recognition: which action units a face shows, said as phrases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emosym.data.action_units import UNITS, checked_units, unit_phrases, units_told
from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.tasks.question import chosen_wording, published, shown, taught, turn_in_question
from emosym.tasks.task import Prediction, Task, Unparsed, reward_by
from emosym.types import FER, Conversation, Message, Sample, Target

QUESTION = "What does the face of the speaker show?"
WORDINGS = ("emosym", "emoverse")


def fer(template: str = "emosym") -> Task:
    """Return the task, in our wording or the published one (`emoverse`).

    An answer is phrases between semicolons: "Brows lowered; lips tightened." A phrase that is no
    unit's ("slightly puzzled") is passed over, where another one is.
    """
    chosen_wording(template, WORDINGS)

    def conversation(sample: Sample) -> Conversation:
        if not turn_in_question(sample).frames:
            raise UsageError(f"Sample {sample.id!r} has no picture of a face in its turn.")
        if template == "emoverse":
            return published(sample, "Detail the facial expressions used in the image.")
        return (Message("user", (*shown(sample, words=True), QUESTION)),)

    def score(found: Any, truth: Any) -> float:
        from emosym.metrics.label_sets import set_f1

        return set_f1(found, truth)

    return Task(
        FER,
        None,
        conversation=conversation,
        teach=lambda sample: taught(conversation(sample), f"{unit_phrases(true_units(sample))}."),
        parse=parse_units,
        measure=measure_units,
        reward=reward_by(parse_units, score),
    )


def true_units(sample: Sample) -> tuple[str, ...]:
    """Return the true action units of a sample.

    Raises:
        UsageError: when none are known, or one is not in the table.
    """
    found = sample.targets.get(FER)
    if not isinstance(found, tuple):
        raise UsageError(f"Sample {sample.id!r} has no action units.")
    return checked_units(str(code) for code in found)


def parse_units(answer: object) -> tuple[str, ...] | Unparsed:
    """Return the action units that an answer names, sorted; () where it says that there is none."""
    if not isinstance(answer, str):
        return Unparsed(repr(answer)[:80], "it is no text")
    found = units_told(answer)
    if found is None:
        empty = not answer.strip(" \t\r\n.;,!")
        return Unparsed(answer, "it is empty" if empty else "it names no action unit")
    return found


def measure_units(predictions: Sequence[Prediction], truths: Sequence[Target]) -> dict[str, Any]:
    """Return the values of `metrics.label_sets`, lists with an entry a unit of the table.

    Raises:
        UsageError: for no samples, not as many of both, or a truth that is no units of the table.
    """
    from emosym.metrics.label_sets import label_set_values

    found, wanted = unit_sets(predictions), unit_sets(truths)
    if any(units is None for units in wanted):
        raise UsageError("True action units must be a tuple of codes.")
    return label_set_values(found, [units or () for units in wanted], tuple(UNITS))


def unit_sets(values: Sequence[Prediction]) -> list[tuple[str, ...] | None]:
    """Return units as checked codes, None for what is unparsed."""
    return [
        checked_units(str(code) for code in value) if isinstance(value, tuple) else None
        for value in values
    ]


def fer_of(space: LabelSpace) -> Task:
    """Return the task whatever the label space of emotions is: its labels are action units."""
    return fer()
