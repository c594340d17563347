"""Statement judgement (MVEI): is what is said about a picture correct?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from emosym.data.statement_labels import MARKS
from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.tasks.question import taught, turn_in_question
from emosym.tasks.task import Prediction, Task, Unparsed, parse_label, reward_by
from emosym.types import STATEMENT, Conversation, Message, Sample, Target

QUESTION = "Is this statement about the picture correct? Answer Correct or Incorrect."
_SYNONYMS = {
    **dict.fromkeys(("true", "yes", "right", "accurate"), "correct"),
    **dict.fromkeys(("false", "no", "wrong", "inaccurate", "untrue"), "incorrect"),
}
_DENIED = re.compile(
    r"\b(?:not|n't|isnt|never)\s+(?:\w+ly\s+)?(correct|true|right|accurate)\b", re.IGNORECASE
)
_TWICE = re.compile(r"\b(?:not|n't)\s+(?:incorrect|false|wrong|untrue)\b", re.IGNORECASE)


def statement() -> Task:
    """Return the task; a truth is a mark, or a mark and the class of its statement."""

    def conversation(sample: Sample) -> Conversation:
        turn = turn_in_question(sample)
        if not turn.frames or not (turn.text or "").strip():
            raise UsageError(f"Sample {sample.id!r} has no picture with a statement.")
        return (Message("user", (*turn.frames, f"Statement: {turn.text}\n{QUESTION}")),)

    def teach(sample: Sample) -> Conversation:
        mark = mark_of(sample.targets.get(STATEMENT))
        if mark is None:
            raise UsageError(f"Sample {sample.id!r} has no judgement of its statement.")
        return taught(conversation(sample), f"{mark.capitalize()}.")

    return Task(
        STATEMENT,
        None,
        conversation=conversation,
        teach=teach,
        parse=parse_mark,
        measure=measure_statements,
        reward=reward_by(parse_mark, lambda found, truth: float(found == mark_of(truth))),
    )


def statement_of(space: LabelSpace) -> Task:
    """Return the task whatever the label space of emotions is."""
    return statement()


def parse_mark(answer: object) -> str | Unparsed:
    """Return "correct" or "incorrect" as an answer says it; "not correct" is incorrect."""
    if not isinstance(answer, str):
        return Unparsed(repr(answer)[:80], "it is no text")
    plain = answer.replace("\u2019", "'").replace("n't ", " n't ")
    plain = _DENIED.sub("incorrect", _TWICE.sub("correct", plain))
    found = parse_label(plain, MARKS, _SYNONYMS)
    return Unparsed(answer, found.reason) if isinstance(found, Unparsed) else found


def mark_of(target: object) -> str | None:
    """Return the mark of a truth: its own, or the first of a mark and a class."""
    first = target[0] if isinstance(target, tuple) and target else target
    return str(first) if first in MARKS else None


def measure_statements(
    predictions: Sequence[Prediction], truths: Sequence[Target]
) -> dict[str, Any]:
    """Return the values of `metrics.statements.statement_values`.

    Raises:
        UsageError: for no samples, not as many of both, or a truth without a mark.
    """
    from emosym.metrics.checks import same_length
    from emosym.metrics.statements import UNREADABLE, statement_mark, statement_values

    same_length(predictions=predictions, truths=truths)
    marks = [mark_of(truth) for truth in truths]
    for truth, mark in zip(truths, marks, strict=True):
        if mark is None:
            raise UsageError(f"A truth must be correct or incorrect, got {truth!r:.80}.")
    guesses = [
        UNREADABLE if isinstance(found, Unparsed) or found not in MARKS else statement_mark(found)
        for found in map(_plain, predictions)
    ]
    classes = [
        str(truth[1]) if isinstance(truth, tuple) and len(truth) > 1 else None for truth in truths
    ]
    return dict(statement_values(guesses, [statement_mark(str(m)) for m in marks], classes))


def _plain(found: Prediction) -> Any:
    return found if isinstance(found, Unparsed) else mark_of(found)
