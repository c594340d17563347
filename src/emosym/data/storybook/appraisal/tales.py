"""Tales: sentences beside a picture, each of which acts on the three appraisals.

A sentence turns one bit over or changes two bits round. These do not commute: whoever forgets the
order, or a sentence, ends in another state. Each can be undone, so the first state counts to the
end. Train and val tell up to two sentences; test up to four.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from emosym.data.storybook.appraisal.words import appraisal_rationale_of, state_in_words
from emosym.data.storybook.appraisal.world import (
    BITS_OF,
    LABEL_OF,
    Bits,
    draw_appraisal_story,
    posterior_of_bits,
    shown_bits,
)
from emosym.data.storybook.world import Story
from emosym.emotions import MIKELS8

LONGEST = {"train": 2, "val": 2, "test": 4}  # sentences; every number up to it is as likely
MOST = max(LONGEST.values())


@dataclass(frozen=True, slots=True)
class Operation:
    """What a sentence does to (valence, control, people): bit i becomes bit order[i], or its other.

    `sentences` say the same in several ways.
    """

    name: str
    order: tuple[int, int, int]
    flips: Bits
    sentences: tuple[str, ...]


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "valence turns",
        (0, 1, 2),
        (1, 0, 0),
        ("Then the roof flew off.", "Then the wind turned round.", "Then the day changed."),
    ),
    Operation(
        "control turns",
        (0, 1, 2),
        (0, 1, 0),
        ("Then the ground gave way.", "Then the rope changed hands.", "Then the wheel turned."),
    ),
    Operation(
        "people turns",
        (0, 1, 2),
        (0, 0, 1),
        ("Then the gate swung round.", "Then the boat came by.", "Then a bell rang."),
    ),
    Operation(
        "valence and control change round",
        (1, 0, 2),
        (0, 0, 0),
        ("Then they changed places.", "Then near became far.", "Then left became right."),
    ),
    Operation(
        "control and people change round",
        (0, 2, 1),
        (0, 0, 0),
        ("Then they changed coats.", "Then big became small.", "Then old became new."),
    ),
    Operation(
        "valence and people change round",
        (2, 1, 0),
        (0, 0, 0),
        ("Then they changed names.", "Then up became down.", "Then first became last."),
    ),
)


@dataclass(frozen=True, slots=True)
class Tale:
    """What is told beside a picture: n sentences, and the n + 1 states before and after each.

    `states` are true; the last makes the emotion. `shown` begin with what the picture shows, which
    one bit in fifty is wrong.
    """

    operations: tuple[Operation, ...]
    sentences: tuple[str, ...]
    states: tuple[Bits, ...]
    shown: tuple[Bits, ...]


def after(operation: Operation, bits: Bits) -> Bits:
    """Return the state after a sentence."""
    first, second, third = (
        bits[place] ^ flip for place, flip in zip(operation.order, operation.flips, strict=True)
    )
    return first, second, third


def before(operation: Operation, bits: Bits) -> Bits:
    """Return the state before a sentence, given the one after it."""
    found = [0, 0, 0]
    for place, (origin, flip) in enumerate(zip(operation.order, operation.flips, strict=True)):
        found[origin] = bits[place] ^ flip
    return found[0], found[1], found[2]


def draw_tale_story(seed: int, index: int, split: str = "train") -> Story:
    """Draw the picture of tale `index`; its label is the emotion at the end; see `tale_of`.

    Raises:
        UsageError: as `draw_appraisal_story`.
    """
    story = draw_appraisal_story(seed, index, split, "tales")
    bits = BITS_OF[story.label]
    for operation, _ in _told(story):
        bits = after(operation, bits)
    label = LABEL_OF[bits]
    return replace(story, label=label, votes=tuple(float(i == label) for i in range(len(MIKELS8))))


def tale_of(story: Story) -> Tale:
    """Return what is told beside a picture that `draw_tale_story` drew."""
    told = _told(story)
    states = [BITS_OF[story.label]]
    for operation, _ in reversed(told):
        states.insert(0, before(operation, states[0]))
    return Tale(
        tuple(operation for operation, _ in told),
        tuple(sentence for _, sentence in told),
        tuple(states),
        tuple(states_from(shown_bits(story), [operation for operation, _ in told])),
    )


def states_from(bits: Bits, operations: list[Operation]) -> list[Bits]:
    """Return the states from a first one on, n + 1 of n sentences."""
    states = [bits]
    for operation in operations:
        states.append(after(operation, states[-1]))
    return states


def _told(story: Story) -> list[tuple[Operation, str]]:
    rng = np.random.default_rng([story.wording, 3])
    count = int(rng.integers(LONGEST[story.split] + 1))
    told = []
    for number in rng.integers(len(OPERATIONS), size=count):
        operation = OPERATIONS[int(number)]
        told.append((operation, operation.sentences[int(rng.integers(len(operation.sentences)))]))
    return told


def tale_posterior_of(story: Story) -> np.ndarray:
    """Return the exact P(emotion at the end | picture and sentences), (8,)."""
    return posterior_of_bits(tale_of(story).shown[-1])


def steps_of_tale(story: Story) -> tuple[str, ...]:
    """Return what the picture shows, then each sentence and the state after it; blind to the label.

    Such as "Then the roof flew off: ill, under control, apart."
    """
    tale = tale_of(story)
    steps = [appraisal_rationale_of(story)]
    for sentence, bits in zip(tale.sentences, tale.shown[1:], strict=True):
        steps.append(f"{sentence.removesuffix('.')}: {state_in_words(bits)}.")
    return tuple(steps)


def tale_rationale_of(story: Story) -> str:
    """Return the steps in one line."""
    return " ".join(steps_of_tale(story))
