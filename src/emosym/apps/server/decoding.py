"""Pictures decoded by processes of their own, which may die and are started again."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

import emosym
from emosym.apps.server.decoder import ANSWER, ASK, PIXELS
from emosym.apps.server.keys import VARIABLE
from emosym.apps.server.limits import Limits, Refused
from emosym.errors import UsageError

COMMAND = (sys.executable, "-m", "emosym.apps.server.decoder")
DIED = (
    "The process that decodes pictures ended while it had this one, and is started again: send "
    "the picture once more, alone."
)
log = logging.getLogger(__name__)
Value = TypeVar("Value")


def environment() -> dict[str, str]:
    """Return what a process that decodes hostile bytes may know: this package's place, no key."""
    kept = {name: value for name, value in os.environ.items() if name != VARIABLE}
    places = [str(Path(emosym.__file__).parents[1]), kept.get("PYTHONPATH", "")]
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return kept | one | {"PYTHONPATH": os.pathsep.join(filter(None, places))}


class Decoders:
    """A few processes that decode; each has one picture at a time."""

    def __init__(self, count: int, limits: Limits, on_restart: Callable[[], None]) -> None:
        """Hold what to start; `start` does it. `on_restart` is told of every process that died."""
        self.count, self.limits, self.on_restart = count, limits, on_restart
        self._idle: asyncio.Queue[asyncio.subprocess.Process] = asyncio.Queue()
        self._all: set[asyncio.subprocess.Process] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def processes(self) -> list[int]:
        """The numbers of the processes that live."""
        return [one.pid for one in self._all if one.returncode is None]

    @property
    def busy(self) -> int:
        """How many of them decode now."""
        return len(self._all) - self._idle.qsize()

    async def start(self) -> None:
        """Start the processes."""
        await asyncio.gather(*(self._begin() for _ in range(self.count)))

    async def close(self) -> None:
        """End the processes."""
        for task in list(self._tasks):
            task.cancel()
        for process in list(self._all):
            await self._end(process)

    async def decode(self, data: bytes, name: str, side: int | None) -> Image.Image:
        """Return a picture as RGB, cut square to `side` where its shape is no odd one.

        Raises:
            UsageError: for what is no picture within the limits.
            Refused: 503 when the process died, 422 when it took too long.
        """
        while (process := await self._idle.get()).returncode is not None:
            self._replace(process)  # it died of nobody's picture
        # a caller that leaves does not stop it, else impatient ones would wear processes out
        return await asyncio.shield(self._track(self._exchange(process, data, name, side or 0)))

    async def _exchange(
        self, process: asyncio.subprocess.Process, data: bytes, name: str, side: int
    ) -> Image.Image:
        """Have one picture decoded, then give the process back, or replace it."""
        whole, seconds = False, self.limits.decode_seconds
        late: list[bool] = []

        def end() -> None:
            late.append(True)
            process.kill()

        clock = asyncio.get_running_loop().call_later(seconds, end)
        try:
            image = await self._ask(process, data, name, side)
            whole = True
        except UsageError:
            whole = True
            raise
        except (asyncio.IncompleteReadError, OSError):
            if late:
                raise Refused(422, f"{name} takes more than {seconds:g} s to decode.") from None
            raise Refused(503, DIED, 1) from None
        finally:
            clock.cancel()
            if whole:
                self._idle.put_nowait(process)
            else:  # its streams are in the middle of something
                self._replace(process)
        return image

    def _track(self, work: Coroutine[Any, Any, Value]) -> asyncio.Task[Value]:
        """Begin work that is ended with the rest; its error is looked at by whoever waits."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be left to look at it

    async def _ask(
        self, process: asyncio.subprocess.Process, data: bytes, name: str, side: int
    ) -> Image.Image:
        given, got = process.stdin, process.stdout
        assert given is not None and got is not None
        called = name.encode("utf-8", "backslashreplace")
        given.write(ASK.pack(len(data), self.limits.pixels, side, len(called)) + called)
        given.write(data)
        await given.drain()
        kind, width, height, count = ANSWER.unpack(await got.readexactly(ANSWER.size))
        body = await got.readexactly(count)
        if kind != PIXELS:
            raise UsageError(body.decode("utf-8", "replace"))
        return Image.frombytes("RGB", (width, height), body)

    async def _begin(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment(),
        )
        self._all.add(process)
        self._idle.put_nowait(process)

    def _replace(self, process: asyncio.subprocess.Process) -> None:
        log.warning("The process %d that decodes pictures is replaced.", process.pid)
        self.on_restart()

        async def revive() -> None:
            await self._end(process)
            await self._begin()

        self._track(revive())

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        self._all.discard(process)
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()
