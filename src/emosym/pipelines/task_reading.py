"""What a model answers in EmoVerse's tasks about the turns of a data set: read, or spoken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import softmax

from emosym.data.action_units import UNIT_SPACE
from emosym.data.dataset import Dataset
from emosym.emotions import SCORES, SENTIMENT3, SENTIMENT7
from emosym.errors import UsageError
from emosym.models.calibration import calibrated, named, said_labels
from emosym.models.chat import ChatModel
from emosym.models.emosym_model import EmoSymModel, finds_causes
from emosym.models.reader.answering import answer_all
from emosym.models.reader.talks import (
    Talk,
    TalkReading,
    found_causes,
    read_all_turns,
    talks_of,
)
from emosym.pipelines.trained_dialogue import reads_dialogues
from emosym.tasks.names import ECPE_PREDICTED
from emosym.tasks.task import Prediction, Task
from emosym.types import ECPE, FER, MER, MSA, TEXT_EMOTION, Sample

READ = (MER, TEXT_EMOTION, MSA, FER, ECPE, ECPE_PREDICTED)  # tasks that latents answer
ANSWER_TOKENS = 128
# (model, talk, its reading, the class of each turn's emotion) -> an answer a turn
Answers = Callable[[EmoSymModel, Talk, TalkReading, np.ndarray], Sequence[Prediction]]


@dataclass(frozen=True, slots=True)
class TaskReadings:
    """What was read of N samples: `predictions` by task, and calibrated `probabilities` (N, C).

    These are of the labels that the model answers in; NaN where a sample was not read.
    """

    predictions: Mapping[str, list[Prediction]]
    probabilities: np.ndarray


def can_read(model: EmoSymModel, name: str) -> bool:
    """Return whether a model's latents answer a task; else it can only be asked in words."""
    known = {space.name for space in model.spaces}
    needed = {
        MER: not model.space.several,
        TEXT_EMOTION: True,
        MSA: bool(known & {SENTIMENT3.name, SENTIMENT7.name}),
        FER: UNIT_SPACE.name in known,
        ECPE: finds_causes(model),
        ECPE_PREDICTED: finds_causes(model),
    }
    return reads_dialogues(model) and needed.get(name, False)


def read_tasks(
    model: EmoSymModel, dataset: Dataset, names: Sequence[str], batch_size: int = 16
) -> TaskReadings:
    """Answer tasks about all turns of a data set from one pass a conversation.

    There is one prediction a task and sample. In `ecpe` the emotions of all turns are given, in
    `ecpe_predicted` they are what the model finds.

    Raises:
        UsageError: for a task that this model's latents do not answer, or data that are no
            conversations.
    """
    for name in names:
        if not can_read(model, name):
            raise UsageError(
                f"This model has no head for {name!r}; with --spoken it is asked in words."
            )
    talks = talks_of(model.reader, dataset)
    answers: dict[str, list[Prediction]] = {name: [""] * len(dataset) for name in names}
    whole = np.full((len(dataset), len(model.space)), np.nan)
    read = read_all_turns(model.reader, talks, batch_size)
    for talk, one in zip(talks, read, strict=True):
        shares = calibrated(one.logits.astype(np.float64), model.calibration)
        found, own = named(shares, model.calibration), talk.rows >= 0
        whole[talk.rows[own]] = shares[own]
        for name in names:
            told = ANSWERS[name](model, talk, one, found)
            for row, answer in zip(talk.rows.tolist(), told, strict=True):
                if row >= 0:
                    answers[name][row] = answer
    return TaskReadings(answers, whole)


def with_found(model: EmoSymModel, dataset: Dataset, batch_size: int = 16) -> list[Sample]:
    """Return a data set's samples with what latents find in place of the truth of their turn.

    These are its emotion and, where the model finds causes, its cause pairs.

    Raises:
        UsageError: when the model does not read emotions, or the data are no conversations.
    """
    names = [MER, *([ECPE_PREDICTED] if can_read(model, ECPE_PREDICTED) else [])]
    read = read_tasks(model, dataset, names, batch_size).predictions
    pairs = read.get(ECPE_PREDICTED, [()] * len(dataset))
    return [
        with_emotion(sample, str(emotion), caused)
        for sample, emotion, caused in zip(dataset, read[MER], pairs, strict=True)
    ]


def with_emotion(sample: Sample, emotion: str, caused: Prediction) -> Sample:
    """Return a sample whose turn in focus is said to have an emotion and cause pairs."""
    turns = list(sample.turns)
    assert sample.focus is not None  # samples of conversations are turns in focus
    turns[sample.focus] = replace(turns[sample.focus], emotion=emotion)
    targets = {**sample.targets, MER: emotion, ECPE: caused}
    return replace(sample, turns=tuple(turns), targets=targets)  # type: ignore[arg-type]


def _emotions(
    model: EmoSymModel, talk: Talk, one: TalkReading, found: np.ndarray
) -> list[Prediction]:
    return [model.space.labels[place] for place in found.tolist()]


def _text_emotions(
    model: EmoSymModel, talk: Talk, one: TalkReading, found: np.ndarray
) -> list[Prediction]:
    """Return the labels that reach their thresholds, where several can be true."""
    if not model.space.several:
        return _emotions(model, talk, one, found)
    shares = calibrated(one.logits.astype(np.float64), model.calibration)
    said = said_labels(shares, model.calibration)
    return [
        tuple(label for label, there in zip(model.space.labels, row, strict=True) if there)
        for row in said.tolist()
    ]


def _sentiments(
    model: EmoSymModel, talk: Talk, one: TalkReading, found: np.ndarray
) -> list[Prediction]:
    logits = {space.name: rows for space, rows in one.others.items()}
    if SENTIMENT7.name in logits:
        scores = softmax(logits[SENTIMENT7.name], axis=1) @ np.array(list(SCORES.values()))
        return [float(score) for score in scores]
    return [SENTIMENT3.labels[place] for place in logits[SENTIMENT3.name].argmax(1).tolist()]


def _units(model: EmoSymModel, talk: Talk, one: TalkReading, found: np.ndarray) -> list[Prediction]:
    logits = next(rows for space, rows in one.others.items() if space.name == UNIT_SPACE.name)
    codes = [label.upper() for label in UNIT_SPACE.labels]
    return [tuple(c for c, x in zip(codes, row, strict=True) if x > 0) for row in logits.tolist()]


def _causes_given(
    model: EmoSymModel, talk: Talk, one: TalkReading, found: np.ndarray
) -> list[Prediction]:
    return _causes(model, talk, one, talk.labels)


def _causes_predicted(
    model: EmoSymModel, talk: Talk, one: TalkReading, found: np.ndarray
) -> list[Prediction]:
    return _causes(model, talk, one, found)


def _causes(
    model: EmoSymModel, talk: Talk, one: TalkReading, emotions: np.ndarray
) -> list[Prediction]:
    """Return the pairs of each turn, counted from the conversation's first turn."""
    found = found_causes(model.reader, talk, one.emotion, emotions)
    return [tuple(pair for pair, _ in pairs) for pairs in found]


ANSWERS: dict[str, Answers] = {
    MER: _emotions,
    TEXT_EMOTION: _text_emotions,
    MSA: _sentiments,
    FER: _units,
    ECPE: _causes_given,
    ECPE_PREDICTED: _causes_predicted,
}


def speak_answers(
    model: EmoSymModel, task: Task, samples: Sequence[Sample], batch_size: int = 16
) -> list[str]:
    """Ask a trained model a task in words, as `speak_words`."""
    return speak_words(model.reader.chat, task, samples, batch_size)


def speak_words(
    chat: ChatModel,
    task: Task,
    samples: Sequence[Sample],
    batch_size: int = 16,
    longest: int = ANSWER_TOKENS,
) -> list[str]:
    """Ask a task about every sample in words and return the greedy answers, in order.

    An answer has `longest` tokens at most. Samples of like length are asked together; an answer
    does not depend on its batch beyond rounding.
    """
    asked = [task.conversation(sample) for sample in samples]
    lengths = [
        sum(len(part) for message in one for part in message.parts if isinstance(part, str))
        for one in asked
    ]
    order = sorted(range(len(asked)), key=lambda i: (lengths[i], i))
    answers = [""] * len(asked)
    for start in range(0, len(order), batch_size):
        some = order[start : start + batch_size]
        said = answer_all(chat, [asked[i] for i in some], longest)
        for place, text in zip(some, said, strict=True):
            answers[place] = text
    return answers
