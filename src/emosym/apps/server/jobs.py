"""Paintings take long: a job each, painted one after the other, watched and cancelled."""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from emosym.apps.server.limits import Limits, Refused
from emosym.apps.server.metrics import Metrics
from emosym.apps.server.served import Served
from emosym.errors import EmoSymError
from emosym.pipelines.requests import PaintRequest
from emosym.service.gallery import painting_row, repaint_arguments
from emosym.service.rows import Row
from emosym.types import GenerationOutput

WAITING, RUNNING, DONE = "waiting", "running", "done"
FAILED, CANCELLED, HANDED_BACK = "failed", "cancelled", "handed_back"
ENDED = (DONE, FAILED, CANCELLED, HANDED_BACK)
AT_ONCE = 4  # pictures painted at once
BUG = "Something went wrong inside the server: its log says what."
ENDS = "The server ends and hands this back: ask another one, or this one when it is up again."
log = logging.getLogger(__name__)


@dataclass(eq=False)
class Job:
    """One request to paint, and how far it is; `release` is called once, when it has ended."""

    owner: str
    served: Served
    request: PaintRequest
    release: Callable[[], None] = lambda: None
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    state: str = WAITING
    paintings: list[Row] = field(default_factory=list)
    error: str | None = None
    ended: float = 0.0
    watchers: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def size(self) -> int:
        """About how many bytes its paintings hold."""
        return sum(len(row["png"]) for row in self.paintings)

    def tell(self, whole: bool = True) -> dict[str, Any]:
        """Return the job ready for JSON, with its paintings if `whole`."""
        found: dict[str, Any] = {
            "id": self.id,
            "state": self.state,
            "done": len(self.paintings),
            "total": self.request.num_images,
            "model": self.served.name,
            "error": self.error,
        }
        return found | ({"paintings": self.paintings} if whole else {})

    def move(self, state: str, error: str | None = None) -> None:
        """Change the state, and wake whoever watches."""
        self.state, self.error = state, error
        if state in ENDED:
            self.ended = time.monotonic()
            self.request = replace(self.request, like=None)
            self.release()
        self.wake()

    def wake(self) -> None:
        """Wake whoever watches."""
        self.changed.set()
        self.changed = asyncio.Event()


class Jobs:
    """The jobs of a server, in memory: none is written anywhere, and old ones are forgotten."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        """Hold no job; `start` begins to paint."""
        self.limits, self.metrics = limits, metrics
        self.closing = False
        self._jobs: dict[str, Job] = {}
        self._queue: asyncio.Queue[Job] = asyncio.Queue()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="paint")
        self._task: asyncio.Task[None] | None = None

    @property
    def open(self) -> list[Job]:
        """The jobs that wait or are painted."""
        return [job for job in self._jobs.values() if job.state not in ENDED]

    def start(self) -> None:
        """Begin to paint."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    def submit(
        self,
        owner: str,
        served: Served,
        request: PaintRequest,
        release: Callable[[], None] = lambda: None,
    ) -> Job:
        """Take a job; `release` is called once, when it has ended.

        Raises:
            Refused: 429 where its owner, or all together, have too many; 503 when the server ends.
        """
        if self.closing:
            raise Refused(503, ENDS, self.limits.grace)
        self.forget()
        mine = sum(job.owner == owner for job in self.open)
        if mine >= self.limits.jobs_per_key:
            raise Refused(429, f"{mine} of your jobs wait or are painted: wait for one to end.", 5)
        if len(self.open) >= self.limits.jobs:
            raise Refused(429, f"{len(self.open)} jobs wait or are painted: try again.", 10)
        job = Job(owner, served, request, release)
        self._jobs[job.id] = job
        self._queue.put_nowait(job)
        return job

    def find(self, owner: str, id: str) -> Job:
        """Return a job of its owner.

        Raises:
            Refused: 404, as well for one of somebody else.
        """
        self.forget()
        job = self._jobs.get(id)
        if job is None or job.owner != owner:
            kept = self.limits.kept_seconds / 60
            raise Refused(404, f"There is no such job; ended ones are kept for {kept:g} minutes.")
        return job

    def cancel(self, job: Job) -> None:
        """End a job: at once where it waits, before the next step where it is painted."""
        if job.state not in ENDED:
            self._end(job, CANCELLED, "It was cancelled.")

    async def events(self, job: Job) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """Yield ("progress", job) at every change, then ("result", whole job) as it ended."""
        job.watchers += 1
        try:
            while job.state not in ENDED:
                changed = job.changed
                yield "progress", job.tell(whole=False)
                await changed.wait()
            yield "result", job.tell()
        finally:
            job.watchers -= 1

    def drain(self) -> None:
        """Take no more, and hand back what waits, and what is painted for nobody who watches."""
        self.closing = True
        for job in self.open:
            if job.state == WAITING or not job.watchers:
                self._end(job, HANDED_BACK, ENDS)

    def hand_back(self) -> None:
        """Hand back everything that has not ended."""
        self.closing = True
        for job in self.open:
            self._end(job, HANDED_BACK, ENDS)

    async def close(self) -> None:
        """End the painter, before its next step."""
        self.hand_back()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._pool.shutdown)

    def forget(self) -> None:
        """Forget jobs that ended long ago, and the oldest ones where they hold too much."""
        now = time.monotonic()
        ended = sorted((j for j in self._jobs.values() if j.state in ENDED), key=lambda j: j.ended)
        size, left = sum(job.size for job in ended), len(ended)
        for job in ended:
            old = now - job.ended > self.limits.kept_seconds
            last = left == 1  # what has just ended can be fetched, however large
            many = left > self.limits.kept_jobs or (size > self.limits.kept_bytes and not last)
            if not (old or many):
                continue
            del self._jobs[job.id]
            size, left = size - job.size, left - 1

    def _end(self, job: Job, state: str, error: str | None = None) -> None:
        job.move(state, error)
        self.metrics.jobs.labels(state).inc()

    async def _work(self) -> None:
        while True:
            job = await self._queue.get()
            if job.state != WAITING:
                continue
            job.move(RUNNING)
            # a task of its own, whose error can be looked at: the next job is painted in any case
            task = asyncio.get_running_loop().create_task(self._paint(job))
            try:
                await asyncio.wait({task})
            finally:
                task.cancel()
            error = task.exception()
            if job.state in ENDED:
                continue
            if error is None:
                self._end(job, DONE)
            elif isinstance(error, EmoSymError):
                self._end(job, FAILED, str(error))
            else:
                log.error("A job failed.", exc_info=error)
                self._end(job, FAILED, BUG)

    async def _paint(self, job: Job) -> None:
        loop, request = asyncio.get_running_loop(), job.request
        session = job.served.session
        assert session is not None  # a job is taken of a model that paints only

        def before_step() -> None:
            if job.state in ENDED:
                raise EmoSymError("The job has ended.")

        paintings = await loop.run_in_executor(
            self._pool, session.paint, request, AT_ONCE, None, before_step
        )
        for index in range(request.num_images):
            output = await loop.run_in_executor(self._pool, next, paintings)
            row = await loop.run_in_executor(self._pool, painted_row, job, index, output)
            if job.state in ENDED:
                return
            job.paintings.append(row)
            self.metrics.paintings.inc()
            job.wake()


def painted_row(job: Job, index: int, output: GenerationOutput) -> Row:
    """Return a painting's record, as a gallery keeps it, with the picture itself in base64."""
    stream = io.BytesIO()
    output.image.save(stream, format="PNG")
    repaint = repaint_arguments(job.request, index, list(job.served.arguments))
    row = painting_row(f"{index:04d}.png", output, repaint)
    return {"png": base64.b64encode(stream.getvalue()).decode("ascii"), **row}
