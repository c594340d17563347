"""Sentences put together from slots; a fixed quarter of the ways to fill them is held out.

A way is one choice per slot. Where its numbers sum to a multiple of 4 it is held out: training
dialogues never say it, the others say nothing else. So no whole sentence is shared, and every part
of every sentence is.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np

Slots = tuple[tuple[str, ...], ...]
Way = tuple[int, ...]
EVERY = 4


@cache
def ways(slots: Slots, held_out: bool, offset: int = 0) -> tuple[Way, ...]:
    """Return the ways to fill slots that are held out, or the others.

    `offset` stands for choices that were made before, such as the thing a sentence is about.
    """
    every = itertools.product(*(range(len(options)) for options in slots))
    return tuple(way for way in every if ((sum(way) + offset) % EVERY == 0) == held_out)


def spoken(slots: Slots, way: Way) -> str:
    """Return the words of one way to fill slots."""
    return "".join(options[choice] for options, choice in zip(slots, way, strict=True))


def drawn(rng: np.random.Generator, slots: Slots, held_out: bool, offset: int = 0) -> str:
    """Return the words of a way drawn uniformly."""
    found = ways(slots, held_out, offset)
    return spoken(slots, found[int(rng.integers(len(found)))])


def addressed(name: str, text: str) -> str:
    """Return a sentence said to somebody by name."""
    kept = text.startswith("I ")
    return f"{name}, {text if kept else text[0].lower() + text[1:]}"
