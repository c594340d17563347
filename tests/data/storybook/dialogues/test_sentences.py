from __future__ import annotations

from collections.abc import Iterator

from emosym.annotate.emotion_words import emotion_words
from emosym.data.storybook.dialogues.grammar import Slots, addressed, spoken, ways
from emosym.data.storybook.dialogues.vocabulary import (
    DEGREES,
    KINDS,
    PLAIN,
    TAGS,
    THINGS,
    naming,
    telling,
    telling_offset,
)
from emosym.emotions import LABEL_SPACES


def every_slots() -> Iterator[tuple[Slots, int]]:
    """Yield the slots of every sentence there is, with the offset of what was chosen before."""
    for slots in (*TAGS.values(), *DEGREES.values(), *PLAIN):
        yield slots, 0
    for thing in THINGS:
        yield naming(thing), THINGS.index(thing)
    for kind in KINDS:
        for thing in kind.things:
            for happening in range(len(kind.happenings)):
                yield telling(kind, happening, thing), telling_offset(happening, thing)


def sentences(held_out: bool) -> list[str]:
    return [
        spoken(slots, way)
        for slots, offset in every_slots()
        for way in ways(slots, held_out, offset)
    ]


def test_training_shares_no_sentence_with_what_is_held_out_and_every_one_is_told_apart() -> None:
    train, held_out = sentences(False), sentences(True)
    assert len(set(train + held_out)) == len(train) + len(held_out) > 1500
    assert 0.2 < len(held_out) / (len(train) + len(held_out)) < 0.3


def test_every_part_of_a_held_out_sentence_is_known_from_training() -> None:
    parts: dict[bool, set[str]] = {True: set(), False: set()}
    for held_out, known in parts.items():
        for slots, offset in every_slots():
            for way in ways(slots, held_out, offset):
                known.update(options[choice] for options, choice in zip(slots, way, strict=True))
    assert parts[True] == parts[False]


def test_no_emotion_word_is_said() -> None:
    labels = {label for space in LABEL_SPACES.values() for label in space.labels}
    for sentence in (*sentences(False), *sentences(True)):
        assert emotion_words(sentence, sorted(labels)) == ()


def test_somebody_is_addressed_with_a_small_letter_but_i() -> None:
    assert addressed("Mia", "The kite! Oh.") == "Mia, the kite! Oh."
    assert addressed("Mia", "I see a pencil.") == "Mia, I see a pencil."
