"""What a face expresses: its action units with their strength, and one emotion or a compound."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from emosym.data.action_units import UNITS, checked_units, units_in
from emosym.data.unit_tables import ActionUnits, peak_of
from emosym.emotions import LABEL_SPACES, LabelSpace, other_words
from emosym.errors import UsageError
from emosym.tasks.question import taught, turn_in_question
from emosym.tasks.task import Prediction, Task, Unparsed, parse_labels, reward_by
from emosym.types import EXPRESSION, Conversation, Message, Sample, Target

QUESTION = (
    "What does the face express? Name its action units, each with a strength of 0 to 5 where you "
    "can tell, and the emotion or emotions."
)
STRONGEST = 5.0
_UNIT = re.compile(
    r"\bau[ _]?0*([1-9][0-9]?)(?:\s*[=:(]\s*([0-9]{1,2}(?:\.[0-9]{1,4})?)\)?)?", re.I
)


def expression(space: LabelSpace = LABEL_SPACES["ekman7"]) -> Task:
    """Return the task; emotions are labels of `space`, several being a compound.

    A truth is a tuple of units, "AU04" or with a strength "AU04=2.5", and emotions. An answer is
    "AU04 (2.5); AU23. Anger, surprise."; units may be said by their phrases, then without strength.
    """

    def parse(answer: object) -> tuple[str, ...] | Unparsed:
        return parse_expression(answer, space)

    def conversation(sample: Sample) -> Conversation:
        frames = turn_in_question(sample).frames
        if not frames:
            raise UsageError(f"Sample {sample.id!r} has no picture of a face in its turn.")
        return (Message("user", (*frames, QUESTION)),)

    def teach(sample: Sample) -> Conversation:
        target = sample.targets.get(EXPRESSION)
        if not isinstance(target, tuple) or not target:
            raise UsageError(f"Sample {sample.id!r} has no truth of what its face expresses.")
        return taught(conversation(sample), expression_in_words(map(str, target)))

    def score(found: Any, truth: Any) -> float:
        from emosym.metrics.label_sets import set_f1

        (units, _, felt), (true_units, _, true_felt) = (parts_of(side) for side in (found, truth))
        return (set_f1(units, true_units) + set_f1(felt, true_felt)) / 2.0

    return Task(
        EXPRESSION,
        space,
        conversation=conversation,
        teach=teach,
        parse=parse,
        measure=lambda predictions, truths: measure_expressions(predictions, truths, space),
        reward=reward_by(parse, score),
    )


def parts_of(target: object) -> tuple[tuple[str, ...], dict[str, float], tuple[str, ...]]:
    """Return the units, the strengths of those that have one, and the emotions of a truth."""
    units, strengths, felt = set(), {}, []
    for part in target if isinstance(target, tuple) else ():
        code, _, strength = str(part).partition("=")
        if code in UNITS:
            units.add(code)
            if strength:
                strengths[code] = float(strength)
        else:
            felt.append(str(part))
    return tuple(sorted(units)), strengths, tuple(felt)


def expression_target(
    units: Mapping[str, float | None] | Sequence[str], emotions: Sequence[str]
) -> tuple[str, ...]:
    """Return a truth of the task of units, with strengths of 0..5 or None, and emotions.

    Raises:
        UsageError: for an unknown unit, or a strength outside 0..5 (NaN included).
    """
    strengths = dict(units) if isinstance(units, Mapping) else dict.fromkeys(units)
    parts = []
    for code in checked_units(strengths):
        strength = strengths[code]
        if strength is not None and not 0.0 <= strength <= STRONGEST:
            raise UsageError(f"The strength of {code} must be within 0..5, got {strength}.")
        parts.append(code if strength is None else f"{code}={strength:g}")
    return (*parts, *emotions)


def units_of_peak(found: ActionUnits) -> dict[str, float | None]:
    """Return the units of the frame in which a face moves most, with strengths where told.

    OpenFace's intensities, 0..5, are strengths; a table without a value above 1 is taken for
    py-feat's chances, which are none: None.
    """
    peak = peak_of(found)
    row = found.frames.tolist().index(peak.frame)
    values = dict(zip(found.units, found.intensity[row].tolist(), strict=True))
    openface = bool((found.intensity[found.intensity == found.intensity] > 1.0).any())
    return {
        unit: values[unit] if openface and values[unit] == values[unit] else None
        for unit in peak.units
    }


def expression_in_words(target: Any) -> str:
    """Return a truth as an answer says it."""
    units, strengths, felt = parts_of(tuple(target))
    told = [f"{code} ({strengths[code]:g})" if code in strengths else code for code in units]
    return f"{'; '.join(told) or 'No action unit'}. {', '.join(felt).capitalize() or 'None'}."


def parse_expression(answer: object, space: LabelSpace) -> tuple[str, ...] | Unparsed:
    """Return the units, strengths and emotions that an answer names; strengths over 5 are none."""
    if not isinstance(answer, str):
        return Unparsed(repr(answer)[:80], "it is no text")
    strengths: dict[str, float | None] = dict.fromkeys(units_in(answer, near=True))
    for number, strength in _UNIT.findall(answer):
        code = f"AU{int(number):02d}"
        if code in UNITS and strength and float(strength) <= STRONGEST:
            strengths[code] = float(strength)
    felt = parse_labels(_UNIT.sub(" ", answer), space.labels, other_words(space))
    emotions = () if isinstance(felt, Unparsed) else felt
    if not strengths and not emotions:
        empty = not any(letter.isalnum() for letter in answer)
        return Unparsed(answer, "it is empty" if empty else "it names no unit and no emotion")
    return expression_target(strengths, emotions)


def measure_expressions(
    predictions: Sequence[Prediction], truths: Sequence[Target], space: LabelSpace
) -> dict[str, Any]:
    """Return the values of N answers.

    Units: those of `metrics.label_sets` as `unit_*`, `unit_f1_per_label` an entry a unit of the
    table. Emotions: the same as `emotion_*`, exact match being that of the whole compound.
    `strength_mae`: mean |difference| of strengths that both sides tell, `strengths` how many.
    `unreadable`: share of answers that say nothing.

    Raises:
        UsageError: for no samples, not as many of both, or an emotion that is not in the space.
    """
    from emosym.metrics.label_sets import label_set_values

    made = [None if isinstance(found, Unparsed) else parts_of(found) for found in predictions]
    true = [parts_of(truth) for truth in truths]
    values: dict[str, Any] = {}
    for name, place, labels in (("unit", 0, tuple(UNITS)), ("emotion", 2, space.labels)):
        said = [None if parts is None else parts[place] for parts in made]
        wanted = [parts[place] for parts in true]
        found = label_set_values(said, wanted, labels)
        values |= {f"{name}_{key}": value for key, value in found.items() if key != "unreadable"}
    gaps = [
        abs(parts[1][code] - strength)
        for parts, (_, strengths, _) in zip(made, true, strict=True)
        if parts is not None
        for code, strength in strengths.items()
        if code in parts[1]
    ]
    values["strength_mae"] = sum(gaps) / len(gaps) if gaps else None
    values["strengths"] = len(gaps)
    values["unreadable"] = sum(parts is None for parts in made) / len(made)
    return values
