"""Multiple choice (EmoBench): which of a sample's own options is right?"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Any

from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.tasks.question import shown, taught
from emosym.tasks.task import Prediction, Task, Unparsed, reward_by
from emosym.types import CHOICE, Conversation, Message, Sample, Target

LETTERS = string.ascii_uppercase
HOW = "Answer with the letter of the right option only."
HOW_IN_WORDS = "Answer with the words of the right option only."


def choice() -> Task:
    """Return the task of answering with the words of one of the options.

    Which option is likeliest, whatever its place, is asked by `pipelines.likely_options`.
    """
    return Task(
        CHOICE,
        None,
        conversation=lambda sample: ask_options(sample, options_of(sample), HOW_IN_WORDS),
        teach=_teach,
        parse=parse_words,
        measure=measure_choices,
        reward=reward_by(parse_words, lambda found, truth: float(found == plain(str(truth)))),
    )


def choice_of(space: LabelSpace) -> Task:
    """Return the task whatever the label space of emotions is."""
    return choice()


def options_of(sample: Sample) -> tuple[str, ...]:
    """Return a sample's options, 2 to 26 of them.

    Raises:
        UsageError: when it has none, or others.
    """
    given = sample.attributes.get("choices")
    options = tuple(map(str, given)) if isinstance(given, (list, tuple)) else ()
    if not 2 <= len(options) <= len(LETTERS) or len({plain(o) for o in options}) < len(options):
        raise UsageError(
            f"Sample {sample.id!r} must have 2 to {len(LETTERS)} different options, has "
            f"{len(options)}."
        )
    return options


def ask_options(sample: Sample, options: Sequence[str], how: str = HOW) -> Conversation:
    """Return the question with lettered options in the order given."""
    listed = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=False))
    return (Message("user", (*shown(sample, words=True), f"{listed}\n{how}")),)


def plain(text: str) -> str:
    """Return a text's words, lower case, as options are compared."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def parse_words(answer: object) -> str | Unparsed:
    """Return the words of an answer, a letter before them left out."""
    if not isinstance(answer, str):
        return Unparsed(repr(answer)[:80], "it is no text")
    found = plain(re.sub(r"^\s*\(?[A-Za-z][.):]\s+", "", answer))
    return found or Unparsed(answer, "it is empty")


def measure_choices(predictions: Sequence[Prediction], truths: Sequence[Target]) -> dict[str, Any]:
    """Return `accuracy`, the share of answers that are the right option's words, and `unreadable`.

    Raises:
        UsageError: for no samples or not as many of both.
    """
    from emosym.metrics.checks import same_length

    count = same_length(predictions=predictions, truths=truths)
    if count == 0:
        raise UsageError("There are no samples to score.")
    right = [
        not isinstance(found, Unparsed) and plain(str(found)) == plain(str(truth))
        for found, truth in zip(predictions, truths, strict=True)
    ]
    unread = sum(isinstance(found, Unparsed) for found in predictions)
    return {"accuracy": sum(right) / count, "unreadable": unread / count}


def _teach(sample: Sample) -> Conversation:
    truth = sample.label_of(CHOICE)
    if truth is None:
        raise UsageError(f"Sample {sample.id!r} has no right option.")
    asked = ask_options(sample, options_of(sample), HOW_IN_WORDS)
    return taught(asked, f"{truth.strip().rstrip('.')}.")
