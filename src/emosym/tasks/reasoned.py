"""Any task's answer with its reason before it, and how sure it is after it.

The forms: `plain` is the task's own answer, `reasoned` is
`<think>why</think><answer>Awe.</answer>`, and `sure` adds `<confidence>0.7</confidence>` to it;
`rated` is answer and confidence without a reason. The rewards of `emosym.rewards` read all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from emosym.errors import UsageError
from emosym.rewards.text import has_format, stated_confidence, tagged
from emosym.seeds import numpy_rng
from emosym.tasks.question import taught
from emosym.tasks.task import Task
from emosym.types import Conversation, Message, Sample

PLAIN, REASONED, SURE, RATED = FORMS = ("plain", "reasoned", "sure", "rated")
ASKED = {
    REASONED: "Answer in the form <think>why</think><answer>the answer</answer>.",
    SURE: (
        "Answer in the form <think>why</think><answer>the answer</answer>"
        "<confidence>how sure, from 0 to 1</confidence>."
    ),
    RATED: (
        "Answer in the form <answer>the answer</answer>"
        "<confidence>how sure, from 0 to 1</confidence>."
    ),
}
CONFIDENCES = tuple(f"0.{tenth}" for tenth in range(1, 10))


def in_form(task: Task, form: str, sureness: Mapping[str, float] | None = None) -> Task:
    """Return a task whose question asks for a form, and whose taught answers have it.

    A taught reason is the sample's rationale. `sureness`, 0..1 by sample id, is the confidence that
    is taught; where it is None, any one is, and it says nothing until a reward teaches it to.

    Raises:
        UsageError: for an unknown form; `teach` raises it for a sample without a rationale.
    """
    if form == PLAIN:
        return task
    if form not in ASKED:
        raise UsageError(f"{form!r} is no form of an answer; valid are {', '.join(FORMS)}.")

    def conversation(sample: Sample) -> Conversation:
        return asked(task.conversation(sample), ASKED[form])

    def teach(sample: Sample) -> Conversation:
        if form != RATED and not sample.rationale:
            raise UsageError(
                f"Sample {sample.id!r} has no rationale, so its answer cannot be taught with a "
                f"reason: set the form to {PLAIN!r}, or give it one (emosym data annotate)."
            )
        said = "".join(str(part) for part in task.teach(sample)[-1].parts)
        text = written(sample, said, form)
        if form != REASONED:
            text = f"{text}<confidence>{taught_confidence(sample, sureness)}</confidence>"
        return taught(conversation(sample), text)

    return replace(task, conversation=conversation, teach=teach)


def written(sample: Sample, said: str, form: str) -> str:
    """Return an answer in a form, with the sample's rationale as its reason, unless it is RATED."""
    reason = "" if form == RATED else f"<think>{sample.rationale}</think>"
    return f"{reason}<answer>{said}</answer>"


def taught_confidence(sample: Sample, sureness: Mapping[str, float] | None) -> str:
    """Return the nearest of CONFIDENCES, or one drawn by the sample's id alone."""
    if sureness is None:
        place = int(numpy_rng(0, f"taught-confidence-{sample.id}").integers(len(CONFIDENCES)))
        return CONFIDENCES[place]
    tenths = round(10 * sureness[sample.id])
    return CONFIDENCES[min(max(tenths, 1), len(CONFIDENCES)) - 1]


def asked(conversation: Conversation, more: str) -> Conversation:
    """Return a conversation whose last question says one sentence more."""
    *before, last = conversation
    *parts, question = last.parts
    text = question.rstrip() if isinstance(question, str) else ""
    kept = parts if isinstance(question, str) else [*parts, question]
    return (*before, Message(last.role, (*kept, f"{text} {more}".strip())))


def has_form(answer: str, form: str) -> bool:
    """Return whether an answer has the form that was asked for."""
    if form == RATED:
        return bool(tagged(answer, "answer")) and stated_confidence(answer) is not None
    return has_format(answer)
