"""A deadline: the time of the wall clock, as `time.time()` gives it, after which work stops.

A monotonic clock would not mean the same in every process. Whoever looks at a deadline first does
a piece of work: a run that is called again and again always comes to its end.
"""

from __future__ import annotations

import time


def is_late(deadline: float | None) -> bool:
    """Return whether a deadline has come; None never comes."""
    return deadline is not None and time.time() >= deadline
