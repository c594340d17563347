"""Recipes of what TRL trains, at toy size; and a run that dies by SIGKILL twice and goes on."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emosym.config.load import resolve_recipe
from emosym.training.run import run_recipe
from emosym.training.stages import text_rewards, trl_run

CALLS = [0]
OPTIM = {"steps": 4, "batch_size": 2, "lr": 0.02, "log_every": 1, "checkpoint_every": 2}


def recipe_of(stage: str, out: Path, checkpoint: Path, data: Path, **more: Any) -> Any:
    raw = {
        "stage": stage,
        "out": str(out),
        "init": str(checkpoint),
        "data": {"root": str(data)},
        "optim": {**OPTIM, "bf16": False, **more.pop("optim", {})},
        "longest": 6,
        "held_out": 2,
        **more,
    }
    return resolve_recipe(raw, "test")


def few_letters(completions: list[Any], **_: Any) -> list[float | None]:
    """Pay for every letter that is not there."""
    return [-float(len(completion[0]["content"])) / 10 for completion in completions]


def grpo_killed(checkpoint: Path, data: Path, out: Path) -> None:
    """Train to the end in out/whole; in out/cut die while a state is written, and at a step.

    Says after each run which states it has left, those that are whole with a star.
    """
    import datasets  # once, not in every fork
    import trl

    assert datasets and trl
    plans: tuple[tuple[str, Callable[[], None] | None], ...] = (
        ("whole", None),
        ("cut", _die_saving),
        ("cut", _die_at_third_step),
        ("cut", None),
    )
    for folder, plan in plans:
        child = os.fork()
        if not child:
            code = 1
            try:
                _train(checkpoint, data, out / folder, plan)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert status == (0 if plan is None else signal.SIGKILL), (folder, status)
        states = sorted((out / folder / "state").glob("checkpoint-*"))
        left = [f"{path.name}{'*' * (path / trl_run.WHOLE).is_file()}" for path in states]
        sys.stdout.write(f"{folder} {left}\n")


def _train(checkpoint: Path, data: Path, out: Path, plan: Callable[[], None] | None) -> None:
    text_rewards.OTHERS["few_letters"] = _counted
    if plan is not None:
        plan()
    recipe = recipe_of(
        "rl_text", out, checkpoint, data, num_generations=4, rewards={"few_letters": 1.0}
    )
    run_recipe(recipe, progress=False)


def _counted(completions: list[Any], **more: Any) -> list[float | None]:
    CALLS[0] += 1
    return few_letters(completions, **more)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_saving() -> None:
    """Die when the first state is written but for the mark that it is whole."""
    write = trl_run.write_text

    def dying(path: Path, text: str) -> None:
        if path.name == trl_run.WHOLE:
            _die()
        write(path, text)

    trl_run.write_text = dying


def _die_at_third_step() -> None:
    """Die while the answers of the third step are rewarded, after the state of the second."""

    def dying(completions: list[Any], **more: Any) -> list[float | None]:
        rewards = _counted(completions, **more)
        if CALLS[0] == 3:
            _die()
        return rewards

    text_rewards.OTHERS["few_letters"] = dying
