"""How fast requests may start: evenly spread below the limits, with pauses on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Pace:
    """A schedule of starts that threads share.

    Each start moves the next one by the longest of 60 s / `requests` and 60 s x tokens /
    `tokens` (limits per minute, None is no limit), so no minute holds more, and no second either.
    A request's tokens are guessed when it starts, by the mean of those so far, and settled when
    they are known.
    """

    requests: float | None
    tokens: float | None
    guess: float = 1000.0
    clock: Callable[[], float] = time.monotonic
    _next: float = 0.0
    _settled: int = 0
    _pauses: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, sleep: Callable[[float], object] = time.sleep) -> float:
        """Wait for the next start; returns the tokens guessed for it, at once if `sleep` says True.

        Who waits while a pause begins takes a new place after it, so that a pause ends in no rush.
        """
        while True:
            start, pauses, guess = self._reserve()
            while (left := start - self.clock()) > 0:
                if sleep(left):
                    return guess
            if self._pauses == pauses:
                return guess

    def _reserve(self) -> tuple[float, int, float]:
        with self._lock:
            start = max(self.clock(), self._next)
            gaps = [60.0 / self.requests] if self.requests else []
            gaps += [60.0 * self.guess / self.tokens] if self.tokens else []
            self._next = start + max(gaps, default=0.0)
            return start, self._pauses, self.guess

    def settle(self, guessed: float, used: float) -> None:
        """Correct the schedule by what a request really used."""
        with self._lock:
            self._settled += 1
            self.guess += (used - self.guess) / self._settled
            if self.tokens and used > guessed:
                self._next += 60.0 * (used - guessed) / self.tokens

    def pause(self, seconds: float) -> None:
        """Let nothing start for some seconds from now."""
        with self._lock:
            self._next = max(self._next, self.clock() + seconds)
            self._pauses += 1
