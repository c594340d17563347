"""A bank of dialogues whose emotions are known: alike ones become examples in a prompt.

PRC-Emo puts dialogues that resemble the one in question before it. Here an entry is a turn with at
most HISTORY turns before it; entries are found by their words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emosym.errors import UsageError
from emosym.tasks.task import Task, Unparsed
from emosym.types import MER, NEXT_EMOTION, TEXT_EMOTION, Conversation, Sample, Turn

HISTORY = 2  # turns before the one in question that an example shows and is found by
SHOWABLE = (MER, TEXT_EMOTION, NEXT_EMOTION)  # their answers mean something without all turns


@dataclass(frozen=True, slots=True)
class DialogueBank:
    """N turns with a known answer to a task, each with the words before it.

    `shown` are questions with their answers, `said` the labels, `talks` names of the whole
    conversations; `words` is scikit-learn's vectorizer, `rows` the sparse unit vectors (N, V).
    """

    shown: tuple[Conversation, ...]
    said: tuple[str, ...]
    talks: tuple[tuple[tuple[str | None, str | None], ...], ...]
    words: Any
    rows: Any


def dialogue_bank(samples: Sequence[Sample], task: Task) -> DialogueBank:
    """Return the bank of samples whose label is known; pictures are left out of its examples.

    Raises:
        UsageError: for a task whose answer cannot stand alone, or samples without words or truth.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    if task.name not in SHOWABLE:
        raise UsageError(
            f"Examples are shown for the tasks {', '.join(SHOWABLE)}, not for {task.name!r}: its "
            "answers are of the whole dialogue."
        )
    known = [
        sample
        for sample in samples
        if sample.label_of(task.name) is not None and words_of(sample).strip()
    ]
    vectorizer = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", sublinear_tf=True)
    try:
        rows = vectorizer.fit_transform([words_of(sample) for sample in known])
    except ValueError:  # no sample, or none with a word
        raise UsageError(
            f"The data hold no turn with words and a true label of {task.name!r}: there is nothing "
            "to show as an example."
        ) from None
    shown = tuple(
        tuple(replace(message, learned=False) for message in task.teach(excerpt(sample)))
        for sample in known
    )
    labels = tuple(str(sample.label_of(task.name)) for sample in known)
    return DialogueBank(shown, labels, tuple(map(talk_of, known)), vectorizer, rows)


def excerpt(sample: Sample) -> Sample:
    """Return a sample that begins HISTORY turns before the one in question, without pictures."""
    place = last_turn(sample)
    first = max(place - HISTORY, 0)
    turns = tuple(replace(turn, frames=(), clip=None) for turn in sample.turns[first:])
    return replace(sample, turns=turns, focus=place - first)


def last_turn(sample: Sample) -> int:
    """Return the number of the turn in question."""
    return len(sample.turns) - 1 if sample.focus is None else sample.focus


def words_of(sample: Sample) -> str:
    """Return the words by which a turn is found: its own and those of HISTORY turns before it."""
    place = last_turn(sample)
    turns: tuple[Turn, ...] = sample.turns[max(place - HISTORY, 0) : place + 1]
    return " ".join(turn.text or "" for turn in turns)


def talk_of(sample: Sample) -> tuple[tuple[str | None, str | None], ...]:
    """Return what tells a conversation from others: who says what, all turns."""
    return tuple((turn.speaker, turn.text) for turn in sample.turns)


def alike(bank: DialogueBank, sample: Sample, count: int) -> list[int]:
    """Return up to `count` places of the entries most alike, the most alike first.

    Similarity is the cosine of TF-IDF vectors; of equal ones the first in the bank comes first.
    Turns of the sample's own conversation are never among them, nor are later turns looked at.
    """
    scores = (bank.rows @ bank.words.transform([words_of(sample)]).T).toarray()[:, 0]  # (N,)
    own, found = talk_of(sample), list[int]()
    for place in np.argsort(-scores, kind="stable").tolist():
        if len(found) == count:
            break
        if bank.talks[place] != own:
            found.append(place)
    return found


def with_examples(task: Task, bank: DialogueBank, count: int) -> Task:
    """Return a task that shows `count` alike dialogues with their answers before its question."""
    if count < 1:
        raise UsageError(f"The number of examples must be 1 or more, got {count}.")

    def before(sample: Sample) -> Conversation:
        # the most alike stands last, next to the question
        places = reversed(alike(bank, sample, count))
        return tuple(message for place in places for message in bank.shown[place])

    return replace(
        task,
        conversation=lambda sample: (*before(sample), *task.conversation(sample)),
        teach=lambda sample: (*before(sample), *task.teach(sample)),
    )


def voted(bank: DialogueBank, samples: Sequence[Sample], count: int) -> list[str | Unparsed]:
    """Return the commonest label of each sample's examples; of equally common ones the nearest's.

    It is what the examples tell without any model.
    """
    found: list[str | Unparsed] = []
    for sample in samples:
        labels = [bank.said[place] for place in alike(bank, sample, count)]
        common = Counter(labels).most_common(1)  # counts keep the order of first sight
        found.append(common[0][0] if common else Unparsed("", "there is no example"))
    return found
