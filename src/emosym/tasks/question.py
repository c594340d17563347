"""A question about a sample with a label as its answer: what tasks on emotions share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from emosym.emotions import LabelSpace
from emosym.errors import UsageError, unknown_name
from emosym.tasks.task import (
    Task,
    label_said,
    measure_labels,
    parse_label,
    reward_by,
)
from emosym.types import Conversation, Frame, Message, Sample, Turn

EMOVERSE_SYSTEM = "You are an sentiment and emotion analysis expert."  # as published
# `emosym` is the published wording; `speaker` asks of words (`text_emotion`); `turns` stands before
# a conversation that is read all turns at once.
QUESTIONS: dict[str, str] = {
    "emosym": "What is the emotion of the image?",
    "picture": "What does this picture make a viewer feel, and why?",
    "speaker": "What emotion does the speaker feel?",
    "turns": "What emotion does each speaker feel?",
}


def label_task(name: str, space: LabelSpace, template: str) -> Task:
    """Return the task of answering one of the QUESTIONS with a label of a space."""
    question = QUESTIONS[chosen_wording(template, tuple(QUESTIONS))]
    return labelled(name, space, lambda sample: ask(sample, question))


def labelled(
    name: str,
    space: LabelSpace,
    conversation: Callable[[Sample], Conversation],
    synonyms: Mapping[str, str] | None = None,
) -> Task:
    """Return the task of answering any question with one label of a space."""
    parse = partial(parse_label, labels=space.labels, synonyms=synonyms)

    return Task(
        name,
        space,
        conversation=conversation,
        teach=lambda sample: taught(conversation(sample), f"{true_label(sample, name)}."),
        parse=parse,
        measure=lambda predictions, truths: measure_labels(predictions, truths, space),
        reward=reward_by(parse, lambda found, truth: float(found == label_said(truth))),
    )


def true_label(sample: Sample, task: str) -> str:
    """Return the one label that is true of a sample, as an answer begins: "Joy".

    Raises:
        UsageError: when the sample has none.
    """
    label = label_said(sample.targets.get(task))
    if label is None:
        raise UsageError(f"Sample {sample.id!r} has no label for {task}.")
    return label.capitalize()


def taught(asked: Conversation, answer: str) -> Conversation:
    """Return a conversation with its answer, marked as what is to be learned."""
    return (*asked, Message("assistant", (answer,), learned=True))


def chosen_wording(template: str, wordings: Sequence[str]) -> str:
    """Return the name of a wording; a UsageError names the nearest of those there are."""
    if template not in wordings:
        raise unknown_name("wording", template, wordings)
    return template


def turn_in_question(sample: Sample) -> Turn:
    """Return the turn in focus, or the last one.

    Raises:
        UsageError: when the sample has no such turn.
    """
    place = len(sample.turns) - 1 if sample.focus is None else sample.focus
    if not 0 <= place < len(sample.turns):
        raise UsageError(
            f"Sample {sample.id!r} has {len(sample.turns)} turns, and no turn {place + 1}."
        )
    return sample.turns[place]


def published(sample: Sample, query: str) -> Conversation:
    """Return a query in EmoVerse's form: its system prompt, the turn's pictures, then the words.

    Only the turn in question is shown, as published.
    """
    frames = turn_in_question(sample).frames
    return (Message("system", (EMOVERSE_SYSTEM,)), Message("user", (*frames, query)))


def one_line(text: str | None) -> str:
    """Return a text with line ends and repeated blanks as single blanks."""
    return " ".join((text or "").split())


def ask(sample: Sample, question: str) -> Conversation:
    """Return what a sample shows and the question; see `shown`.

    Raises:
        UsageError: when the sample has neither.
    """
    return (Message("user", (*shown(sample), question)),)


def ask_turns(sample: Sample, question: str) -> Conversation:
    """Return the same of what somebody says and shows: words stand beside a single picture too."""
    return (Message("user", (*shown(sample, words=True), question)),)


def shown(sample: Sample, words: bool = False) -> Sequence[str | Frame]:
    """Return what a conversation shows of a sample, up to the turn in question, which comes last.

    One picture is shown alone, unless its `words` are wanted. Of anything else each turn shows its
    pictures, then its words, a line a turn with its speaker's name.

    Raises:
        UsageError: when there is neither.
    """
    if sample.is_picture and not words:
        return sample.images
    last = len(sample.turns) if sample.focus is None else sample.focus + 1
    parts = lines_of(sample.turns[:last], lambda _, turn: said_by(turn))
    if not parts:
        raise UsageError(f"Sample {sample.id!r} has neither a picture nor words.")
    return parts


def lines_of(turns: Sequence[Turn], line: Callable[[int, Turn], str | None]) -> list[str | Frame]:
    """Return the turns' pictures, each turn's before its `line(number, turn)`; None: no line.

    Numbers count from 0. Lines that follow each other are one part.
    """
    parts: list[str | Frame] = []
    for number, turn in enumerate(turns):
        parts += turn.frames
        words = line(number, turn)
        if words is None:
            continue
        before = parts[-1] if parts else None
        if isinstance(before, str):
            parts[-1] = f"{before}{words}\n"
        else:
            parts.append(f"{words}\n")
    return parts


def said_by(turn: Turn) -> str | None:
    """Return a turn's words after its speaker's name; None where nothing is said."""
    if not turn.text or not turn.text.strip():
        return None
    return f"{turn.speaker}: {turn.text}" if turn.speaker else turn.text
