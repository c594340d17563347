"""How near two labels lie in valence, arousal and dominance, without a tensor library."""

from __future__ import annotations

import math
from functools import cache

from emosym.emotions import LabelSpace
from emosym.errors import UsageError


@cache
def vad_nearness(space: LabelSpace) -> tuple[tuple[float, ...], ...]:
    """Return (C, C): 1 - ||vad(answer) - vad(truth)|| / largest distance in the space, 0..1.

    Raises:
        UsageError: when a word of the space has no valence/arousal/dominance norm.
    """
    norms = space.norms()
    if norms is None:
        raise UsageError(f"The label space {space.name!r} has no valence/arousal/dominance norms.")
    gaps = [[math.dist(one, other) for other in norms] for one in norms]
    largest = max(max(row) for row in gaps)
    return tuple(tuple(1.0 - gap / largest for gap in row) for row in gaps)
