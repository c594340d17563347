"""What is opened at the first use, once, whichever threads ask for it first together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Part = TypeVar("Part")


class Once(Generic[Part]):
    """A part that `make` opens at the first call; all calls return the same one.

    A call that comes while it is being opened waits. Where `make` fails, the next call tries again.
    """

    def __init__(self, make: Callable[[], Part]) -> None:
        """Remember how to open it."""
        self._make, self._lock = make, threading.Lock()
        self._found: list[Part] = []

    @property
    def opened(self) -> Part | None:
        """The part, None where nobody has asked for it yet."""
        return self._found[0] if self._found else None

    def __call__(self) -> Part:
        """Return the part."""
        if not self._found:
            with self._lock:
                if not self._found:
                    self._found.append(self._make())
        return self._found[0]
