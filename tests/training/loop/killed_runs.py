"""Runs of the loop that die at a place of a plan, each in a fork of this process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from emosym.errors import StoppedEarly
from emosym.training.loop import state


def run_plans(out: Path, plans: list[str]) -> None:
    """Train once for each plan, "kind:value", and check that it ended as planned.

    `whole` and `end` go to their end, in folder "whole" and "killed"; `step` is killed at step
    `value`, `save` while it writes a state, `stop` ends by a deadline. Says which states are left.
    """
    from tests.training.loop import test_loop  # once, not in every fork

    for kind, value in [plan.split(":") for plan in plans]:
        child = os.fork()
        if not child:
            code = 1
            try:
                code = _run_plan(test_loop, out, kind, value)
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if kind in ("whole", "end"):
            assert status == 0, status
        elif kind == "stop":
            assert os.WEXITSTATUS(status) == 75, status
        else:
            assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
            left = sorted(p.name for p in (out / "killed" / "state").glob("*"))
            sys.stdout.write(f"{kind} {value} {left}\n")


def _run_plan(test_loop: Any, out: Path, kind: str, value: str) -> int:
    if kind == "save":
        state.save_file = _dying_save(state.save_file)
    settings = test_loop.settings_of(out / ("whole" if kind == "whole" else "killed"))
    if kind == "stop":
        settings = replace(settings, deadline=float(value))
    try:
        model = test_loop.train(settings, hook=_at_step(int(value)) if kind == "step" else None)
    except StoppedEarly as error:
        sys.stdout.write(f"{error}\n")
        return error.exit_code
    state.save_file(dict(model.state_dict()), out / f"{kind}.safetensors")
    return 0


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _at_step(last: int) -> Callable[[int], None]:
    return lambda step: _die() if step == last else None


def _dying_save(save_file: Callable[..., None]) -> Callable[..., None]:
    """Write files until the fifth, of which the disk gets half of what it should."""
    calls: list[Any] = []

    def dying(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 5:
            arguments[1].write_bytes(b"half")
            _die()
        save_file(*arguments)

    return dying
