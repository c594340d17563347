"""Processes of tests, forked from one server that has imported what takes longest.

Importing torch, transformers and peft takes a process several times what its test asks of it. The
server is that of `multiprocessing`: it starts with the first fork and ends with the tests. A fork
is a process as any other, to be killed and sent signals, with memory of its own. What a clean
interpreter loads is asked of a clean one, in tests/test_imports.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# What a fork imports beyond these, it imports alone.
IMPORTED = (
    "emosym.studies.ablation.jobs",
    "emosym.training.run",
    "emosym.training.stages.feedback",
    "emosym.training.stages.joint",
    "emosym.training.stages.rl",
    "emosym.training.storybook.judges",
    "emosym.training.storybook.reader",
    "emosym.pipelines.trained",
    "peft",
    "scipy.stats",
    "sklearn.metrics",
    "torch.utils.tensorboard",
    "transformers.models.clip.modeling_clip",
    "transformers.models.qwen2_vl.modeling_qwen2_vl",
)


def forking() -> BaseContext:
    """The server's way of starting processes, for pools too; new interpreters but on Linux."""
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    return context


@contextmanager
def forked(
    target: Callable[..., None], *arguments: Any, log: Path, **environment: str
) -> Iterator[BaseProcess]:
    """Call `target` in a fork, at the root of the repository; what it says goes to `log`.

    The fork is killed at the end if it has not ended. Its exit code is as that of a command, and
    minus the number of a signal that ended it.
    """
    variables = {**os.environ, **environment}
    process = forking().Process(target=_call, args=(target, arguments, log, variables))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def in_fork(
    target: Callable[..., None],
    *arguments: Any,
    log: Path,
    timeout: float = 600.0,
    **environment: str,
) -> tuple[int, str]:
    """Call `target` in a fork until it ends; returns its exit code and what it said."""
    with forked(target, *arguments, log=log, **environment) as process:
        process.join(timeout)
        code = process.exitcode
    assert code is not None, f"it ran longer than {timeout:.0f} s: {log.read_text()[-4000:]}"
    return code, log.read_text()


def command_in(folder: Path, words: Sequence[str]) -> None:
    """Run the `emosym` command in a folder: what a fork may be asked to do."""
    from emosym.apps.cli.main import main

    os.chdir(folder)
    sys.argv = ["emosym", *words]
    main()


def _call(
    target: Callable[..., None], arguments: tuple[Any, ...], log: Path, environment: dict[str, str]
) -> None:
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    with log.open("ab") as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
    for output in (sys.stdout, sys.stderr):
        output.reconfigure(line_buffering=True)  # what is said before a kill is not lost
    target(*arguments)
