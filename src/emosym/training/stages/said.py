"""What a model says about held-out samples, and what it scores."""

from __future__ import annotations

from collections.abc import Sequence

from emosym.data.storybook.facts import absent_objects, spoken
from emosym.errors import UsageError
from emosym.models.chat import ChatModel
from emosym.pipelines.task_reading import speak_words
from emosym.rewards.words import thought_part
from emosym.tasks.reasoned import PLAIN, RATED, has_form
from emosym.tasks.said import score_of, spoken_values
from emosym.tasks.task import Task, Unparsed
from emosym.types import Sample

SPOKEN = ("spoken_stated", "spoken_confidence", "spoken_ece", "spoken_brier", "spoken_roc_auc")


def said_values(
    chat: ChatModel,
    task: Task,
    samples: Sequence[Sample],
    form: str,
    longest: int,
    batch_size: int = 64,
) -> dict[str, float]:
    """Return what greedy answers to samples with a truth score.

    `score` is the mean of the task's reward, `unreadable` the share of answers that say nothing
    usable; `form` the share in the asked form. Then the task's own numbers, those of stated
    confidence (`tasks.said`), and of storybook pictures `names_absent`, the share of reasons that
    name an object which is not there, and `objects_named`, how many a reason names.
    """
    answers = speak_words(chat, task, samples, batch_size, longest)
    truths = [sample.targets[task.name] for sample in samples]
    found = [task.parse(answer) for answer in answers]
    scores = [score_of(task, one, truth) for one, truth in zip(found, truths, strict=True)]
    values = {
        "score": sum(scores) / len(scores),
        "unreadable": sum(isinstance(one, Unparsed) for one in found) / len(found),
    }
    own = task.measure(found, truths)
    values |= {k: float(v) for k, v in own.items() if isinstance(v, (int, float))}
    sure = spoken_values(task, answers, found, truths)
    values |= {k: float(sure[k]) for k in SPOKEN if sure.get(k) is not None}
    if form == PLAIN:
        return values
    values["form"] = sum(has_form(answer, form) for answer in answers) / len(answers)
    if form == RATED:
        return values
    reasons = [thought_part(answer) for answer in answers]
    try:
        absent = [bool(absent_objects(r, s)) for r, s in zip(reasons, samples, strict=True)]
    except UsageError:  # no pictures of the storybook, whose objects are known
        return values
    values["names_absent"] = sum(absent) / len(absent)
    values["objects_named"] = sum(len(spoken(reason)["object"]) for reason in reasons) / len(absent)
    return values
