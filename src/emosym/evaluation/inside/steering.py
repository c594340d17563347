"""Pushing [CTX] along an emotion's direction: what follows, dose by dose, against random pushes.

A direction is the difference of two means, as in activation addition (arXiv 2308.10248): of the
states of an emotion's pictures, and of all. A random push of the same norm, at the same place and
depth, is what any disturbance of that size would do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from emosym.evaluation.inside.states import think_pushed
from emosym.models.reader.prefix import Prefix
from emosym.models.reader.reasoner import EmotionReasoner, Thought
from emosym.seeds import numpy_rng, torch_rng

DOSES = (-1.0, 0.5, 1.0, 2.0, 4.0)  # beside 0; 1 is from the mean of all to that of the emotion
OWN, RANDOM = "own", "random"


@dataclass(frozen=True, slots=True)
class Directions:
    """Of each emotion and [CTX], at every depth but the last: (C, K, D, H) each, of equal norms."""

    own: torch.Tensor
    random: torch.Tensor

    def of(self, kind: str, targets: np.ndarray, depth: int) -> torch.Tensor:
        """Return the pushes (B, K, H) of dose 1 towards targets (B,)."""
        table = self.own if kind == OWN else self.random
        return table[torch.from_numpy(targets), :, depth]


def directions(states: np.ndarray, labels: np.ndarray, classes: int, seed: int) -> Directions:
    """Return the directions of states (N, K, D, H) of [CTX]; random ones from (seed, "push")."""
    mean = states.mean(axis=0)
    own = np.stack([states[labels == c].mean(axis=0) - mean for c in range(classes)])
    drawn = torch.randn(own.shape, generator=torch_rng(seed, "push"))
    norms = torch.from_numpy(np.linalg.norm(own, axis=-1, keepdims=True))
    random = drawn / drawn.norm(dim=-1, keepdim=True) * norms
    return Directions(torch.from_numpy(own).float(), random.float())


def draw_targets(labels: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """Draw another class for each of (N,) class indices, each alike: (seed, "target")."""
    shift = numpy_rng(seed, "target").integers(1, classes, len(labels))
    return np.asarray((labels + shift) % classes, dtype=np.int64)


def push_each(
    reasoner: EmotionReasoner,
    prefixes: Sequence[Prefix],
    pushes: torch.Tensor,
    depth: int,
    ask: Callable[[Thought], np.ndarray],
) -> np.ndarray:
    """Return what `ask` says (B, ...) of every prefix's thought under its own push (N, K, H)."""
    found, start = [], 0
    for prefix in prefixes:
        stop = start + len(prefix.next_position)
        push = pushes[start:stop].to(reasoner.device)
        found.append(ask(think_pushed(reasoner, prefix, depth, push)))
        start = stop
    return np.concatenate(found)
