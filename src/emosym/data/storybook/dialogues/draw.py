"""Draw a conversation: its steps, then what is felt about each, its words and its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from emosym.data.storybook.dialogues.grammar import addressed, drawn
from emosym.data.storybook.dialogues.rules import (
    INTENSITIES,
    NEUTRAL_DEGREE,
    Showing,
    draw_showing,
    feelings,
    sentiment_of,
)
from emosym.data.storybook.dialogues.structure import MOVED, Step, draw_steps, kind_of_step
from emosym.data.storybook.dialogues.vocabulary import (
    DEGREES,
    KINDS,
    NAMES,
    NEUTRAL,
    PLAIN,
    TAGS,
    THINGS,
    Kind,
    naming,
    telling,
    telling_offset,
)
from emosym.data.storybook.shot import Shot
from emosym.data.storybook.world import (
    LIGHTS,
    OBJECTS,
    SCENES,
    SIDES,
    SPLITS,
    VARIANTS,
    draw_places,
)
from emosym.errors import UsageError
from emosym.seeds import numpy_rng

# Poses that go with any feeling, so that they give none away.
ACTIONS = ("running", "sitting", "crouching", "arms crossed", "hands on hips", "arms spread")
FACING = {"left": 1, "middle": 1, "right": -1}
THIRD_SPEAKER = 0.25
SPEAKS_AGAIN = 0.15
BY_NAME = 0.25
MOST_OBJECTS = 2
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Event:
    """What turn `turn` tells; no two events of a conversation have the same thing."""

    turn: int
    kind: Kind
    happening: int
    thing: str
    teller: str


@dataclass(frozen=True, slots=True)
class DialogueTurn:
    """One turn and what is true of it.

    `intensity` is 1..3, or 0 where nobody is moved; `sentiment` is -3..3. `about` is the turn whose
    event this turn tells or names, `cause` the same where it moves the speaker.
    """

    speaker: str
    text: str
    emotion: str
    intensity: int
    sentiment: float
    about: int | None
    cause: int | None
    showing: Showing
    shot: Shot


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation; `events` are in the order in which they are told."""

    index: int
    split: str
    turns: tuple[DialogueTurn, ...]
    events: tuple[Event, ...]

    def event(self, turn: int | None) -> Event | None:
        """Return the event that a turn tells."""
        return next((event for event in self.events if event.turn == turn), None)


@dataclass(frozen=True, slots=True)
class _Cast:
    """Who speaks and where: what stays the same through a conversation."""

    names: tuple[str, ...]
    looks: tuple[tuple[int, int, int, int], ...]
    scene: str
    light: str
    variant: int


def draw_dialogue(seed: int, index: int, split: str = "train") -> Dialogue:
    """Draw conversation `index` of a split: the same for the same arguments on every machine.

    Raises:
        UsageError: for an unknown split or a negative index.
    """
    if split not in SPLITS:
        raise UsageError(f"Unknown split {split!r}. Valid: {', '.join(SPLITS)}.")
    if index < 0:
        raise UsageError(f"A conversation's index must be 0 or more, got {index}.")
    rng = numpy_rng(seed, f"storybook-dialogues-{split}", index)
    steps, cast = draw_steps(rng), _draw_cast(rng)
    speakers = _draw_speakers(rng, len(steps), len(cast.names))
    events = _draw_events(rng, steps, [cast.names[speaker] for speaker in speakers])
    turns = []
    for turn, (step, speaker) in enumerate(zip(steps, speakers, strict=True)):
        event = next((event for event in events if event.turn == step.event), None)
        others = [name for name in cast.names if name != cast.names[speaker]]
        listener = _pick(rng, others) if rng.random() < BY_NAME else None
        turns.append(
            _draw_turn(rng, turn, step, event, events, cast, speaker, listener, split != "train")
        )
    return Dialogue(index, split, tuple(turns), events)


def _pick(rng: np.random.Generator, options: Sequence[Item]) -> Item:
    return options[int(rng.integers(len(options)))]


def _draw_cast(rng: np.random.Generator) -> _Cast:
    count = 3 if rng.random() < THIRD_SPEAKER else 2
    names = tuple(NAMES[i] for i in rng.permutation(len(NAMES))[:count])
    hair, clothes = rng.permutation(4)[:count], rng.permutation(6)[:count]
    looks = tuple(
        (int(rng.integers(4)), int(rng.integers(4)), int(hair[i]), int(clothes[i]))
        for i in range(count)
    )
    return _Cast(names, looks, _pick(rng, SCENES), _pick(rng, LIGHTS), int(rng.integers(VARIANTS)))


def _draw_speakers(rng: np.random.Generator, length: int, count: int) -> list[int]:
    speakers = [0]  # who stands on the left
    while len(speakers) < length:
        others = [speaker for speaker in range(count) if speaker != speakers[-1]]
        again = rng.random() < SPEAKS_AGAIN
        speakers.append(speakers[-1] if again else _pick(rng, others))
    return speakers


def _draw_events(
    rng: np.random.Generator, steps: tuple[Step, ...], speakers: list[str]
) -> tuple[Event, ...]:
    events: list[Event] = []
    for turn, step in enumerate(steps):
        if step.what != "tell":
            continue
        kind = _pick(rng, KINDS)
        used = {event.thing for event in events}
        thing = _pick(rng, [thing for thing in kind.things if thing not in used])
        happening = int(rng.integers(len(kind.happenings)))
        events.append(Event(turn, kind, happening, thing, speakers[turn]))
    return tuple(events)


def _draw_turn(
    rng: np.random.Generator,
    turn: int,
    step: Step,
    event: Event | None,
    events: tuple[Event, ...],
    cast: _Cast,
    speaker: int,
    listener: str | None,
    held_out: bool,
) -> DialogueTurn:
    kind = event.kind if event else None
    row = kind_of_step(step, turn)
    emotion, intensity = NEUTRAL, 0
    if kind is not None and rng.random() < MOVED[row]:
        emotion = _pick(rng, feelings(kind, row == "ahead"))
        intensity = int(rng.choice(list(INTENSITIES), p=list(INTENSITIES.values())))
    showing = draw_showing(rng, emotion, kind, row == "ahead")
    degree = intensity
    if kind is not None and emotion == NEUTRAL and rng.random() < NEUTRAL_DEGREE:
        degree = _pick(rng, tuple(DEGREES))
    return DialogueTurn(
        speaker=cast.names[speaker],
        text=_words(rng, step, event, showing.claim, degree, listener, held_out),
        emotion=emotion,
        intensity=intensity,
        sentiment=sentiment_of(emotion, intensity, kind),
        about=step.event,
        cause=None if emotion == NEUTRAL else step.event,
        showing=showing,
        shot=_draw_shot(rng, step, event, events, cast, speaker, showing.face),
    )


def _words(
    rng: np.random.Generator,
    step: Step,
    event: Event | None,
    claim: str | None,
    degree: int,
    listener: str | None,
    held_out: bool,
) -> str:
    """Say what a turn is about, then what it claims to feel, then how much it means."""
    if event is None:
        said = [drawn(rng, _pick(rng, PLAIN), held_out)]
    elif step.what == "tell":
        slots = telling(event.kind, event.happening, event.thing)
        offset = telling_offset(event.happening, event.thing)
        said = [drawn(rng, slots, held_out, offset)]
    else:
        said = [drawn(rng, naming(event.thing), held_out, THINGS.index(event.thing))]
    if listener is not None:
        said[0] = addressed(listener, said[0])
    if claim is not None:
        said.append(drawn(rng, TAGS[claim], held_out))
    if degree in DEGREES:
        said.append(drawn(rng, DEGREES[degree], held_out))
    return " ".join(said)


def _draw_shot(
    rng: np.random.Generator,
    step: Step,
    event: Event | None,
    events: tuple[Event, ...],
    cast: _Cast,
    speaker: int,
    face: str,
) -> Shot:
    """Draw the speaker, beside other things, and what is told where that can be drawn."""
    told = [] if event is None or step.what != "tell" else [event.thing]
    shown = [thing for thing in told if thing in OBJECTS]
    talked_of = {event.thing for event in events}
    others = [item for item in OBJECTS if item not in talked_of]
    count = int(rng.integers(1, MOST_OBJECTS + 1))
    order = rng.permutation(len(others))[: max(0, count - len(shown))]
    objects = tuple(sorted([*shown, *(others[i] for i in order)], key=OBJECTS.index))
    side = SIDES[(0, 2, 1)[speaker]]
    return Shot(
        scene=cast.scene,
        light=cast.light,
        objects=objects,
        face=face,
        action=_pick(rng, ACTIONS),
        side=side,
        places=draw_places(rng, objects, side),
        variant=cast.variant,
        looks=cast.looks[speaker],
        colours=tuple(int(rng.integers(3)) for _ in objects),
        facing=FACING[side],
    )
