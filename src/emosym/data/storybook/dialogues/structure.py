"""Who speaks of what: the order of told and named events, drawn or enumerated with probabilities.

A step tells an event, names one that another turn tells, or does neither. Words alone reveal the
steps; what is felt is drawn afterwards and moves none of them, so shares of steps are exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

LENGTHS = {2: 0.1, 3: 0.2, 4: 0.3, 5: 0.2, 6: 0.2}
FIRST = {"tell": 0.84, "plain": 0.13, "ahead": 0.03}
LATER = {"tell": 0.23, "previous": 0.47, "earlier": 0.22, "plain": 0.08, "ahead": 0.025}
AHEAD = (1, 2)  # turns until an event that was named before is told
# How often a step moves its speaker; an event that is named before it is told always does.
MOVED = {"tell": 0.56, "name": 0.9, "ahead": 1.0, "plain": 0.0}


class Step(NamedTuple):
    """`event` is the turn that tells what this one is about: itself, another, or None."""

    what: str  # tell, name, plain
    event: int | None


def kind_of_step(step: Step, turn: int) -> str:
    """Return the row of MOVED that a step is in."""
    ahead = step.what == "name" and step.event is not None and step.event > turn
    return "ahead" if ahead else step.what


def next_steps(before: tuple[Step, ...], length: int) -> list[tuple[float, Step]]:
    """Return what may come after some steps of a conversation of `length` turns: (share, step)."""
    turn = len(before)
    told = [place for place, step in enumerate(before) if step.what == "tell"]
    promised = [step.event for step in before if step.event is not None and step.event >= turn]
    if turn in promised:
        return [(1.0, Step("tell", turn))]
    found: list[tuple[float, Step]] = []
    shares = LATER if before else FIRST
    for what, share in shares.items():
        if what in ("tell", "plain"):
            places = [turn if what == "tell" else None]
        elif what == "previous":
            places = [place for place in told if place == turn - 1]
        elif what == "earlier":
            places = [place for place in told if place < turn - 1]
        else:
            places = [turn + gap for gap in AHEAD if turn + gap < length and not promised]
        name = what if what in ("tell", "plain") else "name"
        found += [(share / len(places), Step(name, place)) for place in places]
    total = sum(share for share, _ in found)
    return [(share / total, step) for share, step in found]


def draw_steps(rng: np.random.Generator) -> tuple[Step, ...]:
    """Draw the steps of one conversation."""
    length = int(rng.choice(list(LENGTHS), p=list(LENGTHS.values())))
    steps: tuple[Step, ...] = ()
    while len(steps) < length:
        options = next_steps(steps, length)
        chosen = int(rng.choice(len(options), p=[share for share, _ in options]))
        steps = (*steps, options[chosen][1])
    return steps


def all_steps() -> Iterator[tuple[float, tuple[Step, ...]]]:
    """Yield every conversation's steps with their probability; these sum to 1."""
    for length, share in LENGTHS.items():
        stack: list[tuple[float, tuple[Step, ...]]] = [(share, ())]
        while stack:
            weight, steps = stack.pop()
            if len(steps) == length:
                yield weight, steps
                continue
            stack += [(weight * p, (*steps, step)) for p, step in next_steps(steps, length)]
