"""Any task's answer with its reason before it, and how sure it is after it.

The forms: `plain` is the task's own answer, `reasoned` is
`<think>why</think><answer>Awe.</answer>`, and `sure` adds `<confidence>0.7</confidence>` to it;
`rated` is answer and confidence without a reason. The rewards of `emosym.rewards` read all of them.
"""

from __future__ import annotations

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
# What is taught before any reward: every confidence alike, so that it says nothing yet.
CONFIDENCES = tuple(f"0.{tenth}" for tenth in range(1, 10))


def in_form(task: Task, form: str) -> Task:
    """Return a task whose question asks for a form, and whose taught answers have it.

    A taught reason is the sample's rationale. A taught confidence is one of CONFIDENCES, drawn by
    the sample's id alone.

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
        return taught(conversation(sample), written(sample, said, form))

    return replace(task, conversation=conversation, teach=teach)


def written(sample: Sample, said: str, form: str, rationale: str | None = None) -> str:
    """Return an answer in a form, with the sample's rationale or the one given."""
    reason = "" if form == RATED else f"<think>{rationale or sample.rationale}</think>"
    text = f"{reason}<answer>{said}</answer>"
    if form == REASONED:
        return text
    place = int(numpy_rng(0, f"taught-confidence-{sample.id}").integers(len(CONFIDENCES)))
    return f"{text}<confidence>{CONFIDENCES[place]}</confidence>"


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
