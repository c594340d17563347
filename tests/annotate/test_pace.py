"""Requests start evenly spread below the limits; a pause holds all of them."""

from __future__ import annotations

import pytest

from emosym.annotate.pace import Pace


class Clock:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def starts(pace: Pace, clock: Clock, count: int) -> list[float]:
    found = []
    for _ in range(count):
        pace.wait(clock.sleep)
        found.append(clock.now - 100.0)
    return found


def test_without_limits_nobody_waits() -> None:
    clock = Clock()
    assert starts(Pace(None, None, clock=clock), clock, 4) == [0, 0, 0, 0]


def test_requests_a_minute() -> None:
    clock = Clock()
    assert starts(Pace(120, None, clock=clock), clock, 4) == [0, 0.5, 1.0, 1.5]


def test_tokens_a_minute_follow_what_is_used() -> None:
    clock = Clock()
    pace = Pace(None, 6000, guess=100.0, clock=clock)  # 100 tokens take a second
    assert pace.wait(clock.sleep) == 100.0
    pace.settle(100.0, 300.0)  # 200 more than guessed: two seconds more
    assert pace.guess == 300.0
    assert pace.wait(clock.sleep) == 300.0 and clock.now == pytest.approx(103.0)
    pace.settle(300.0, 100.0)
    assert pace.guess == 200.0
    pace.wait(clock.sleep)
    assert clock.now == pytest.approx(106.0)


def test_the_tighter_limit_holds() -> None:
    clock = Clock()
    pace = Pace(60, 60000, guess=500.0, clock=clock)
    assert starts(pace, clock, 3) == [0, 1, 2]


def test_a_pause_holds_those_who_wait_already() -> None:
    clock = Clock()
    pace = Pace(60, None, clock=clock)
    pace.wait(clock.sleep)

    def interrupted(seconds: float) -> None:
        clock.sleep(seconds)
        if len(clock.slept) == 1:
            pace.pause(10.0)

    pace.wait(interrupted)
    assert clock.now == pytest.approx(111.0)  # its second, then the pause
    pace.wait(clock.sleep)
    assert clock.now == pytest.approx(112.0)


def test_a_stop_ends_the_wait() -> None:
    clock = Clock()
    pace = Pace(1, None, clock=clock)
    pace.wait(clock.sleep)
    pace.wait(lambda seconds: True)
    assert clock.now == 100.0
