"""The server's places: what is asked where, and how it is answered."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from emosym import __version__
from emosym.apps.server.bodies import (
    JSON,
    apart,
    content_type,
    parsed,
    picture_asked,
    read_asked,
    shown,
)
from emosym.apps.server.decoding import Decoders
from emosym.apps.server.guard import OWNER, Guard, extra_headers
from emosym.apps.server.jobs import ENDS, Job, Jobs
from emosym.apps.server.keys import Keys
from emosym.apps.server.limits import Budget, Limits, Refused
from emosym.apps.server.metrics import Metrics
from emosym.apps.server.openapi import (
    STREAM,
    allowed,
    described,
    form_of,
    json_of,
    openapi_of,
    told_as,
)
from emosym.apps.server.reading import Reading, in_time
from emosym.apps.server.schemas import (
    GenerateSent,
    JobTold,
    ModelsTold,
    UnderstandSent,
    Understood,
)
from emosym.apps.server.served import PICTURES, served_photographs, served_session
from emosym.apps.server.web import Request, exceptions, fastapi, responses
from emosym.errors import EmoSymError, UsageError
from emosym.pipelines.photo import PhotoReader
from emosym.service.session import Session
from emosym.types import BadInput

DEADLINE = "x-deadline-seconds"
NO_PAINTER = "No model here paints: serve one that does."
PULSE = 15.0  # seconds between signs of life of a quiet stream of events
INSIDE = "Something went wrong inside the server: its log says what."
log = logging.getLogger(__name__)


class Service:
    """All that a running server holds."""

    def __init__(
        self,
        opened: Mapping[str, Session | PhotoReader],
        limits: Limits | None = None,
        keys: Keys | None = None,
        local: bool = True,
        decoders: int | None = None,
        arguments: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Hold opened models by name, the first one preferred; `start` begins to serve.

        `arguments` are the options that name a model in the shell, where they are not `--model`.
        """
        self.limits, self.keys, self.local = limits or Limits(), keys or Keys(), local
        self.metrics = Metrics()
        count = decoders or min(os.cpu_count() or 1, 4)
        self.decoders = Decoders(count, self.limits, self.metrics.decoders.inc)
        told = arguments or {}
        models = {
            name: served_photographs(name, one, self.limits, self.metrics)
            if isinstance(one, PhotoReader)
            else served_session(name, one, self.limits, self.metrics, told.get(name))
            for name, one in opened.items()
        }
        self.pixels = Budget(self.limits.held_bytes, "decoded pictures")
        self.reading = Reading(models, self.decoders, self.limits, self.metrics, self.pixels)
        self.jobs = Jobs(self.limits, self.metrics)
        self.ready = False

    async def start(self) -> None:
        """Start the processes that decode, and the painter."""
        await self.decoders.start()
        self.jobs.start()
        self.ready = True

    def drain(self) -> None:
        """Take nothing more; finish what is taken."""
        self.ready = False
        self.jobs.drain()

    def hand_back(self) -> None:
        """Answer whatever is left with 503."""
        self.jobs.hand_back()
        for served in self.reading.models.values():
            served.batcher.hand_back(Refused(503, ENDS, self.limits.grace))

    async def close(self) -> None:
        """End everything."""
        self.ready = False
        await self.jobs.close()
        for served in self.reading.models.values():
            await asyncio.to_thread(served.batcher.close)
        await self.decoders.close()

    def count(self) -> None:
        """Bring the gauges up to date."""
        waiting = self.metrics.waiting
        for served in self.reading.models.values():
            waiting.labels(f"inputs for {served.name}").set(served.batcher.waiting)
        waiting.labels("jobs").set(len(self.jobs.open))
        self.metrics.held.labels("pixels").set(self.pixels.held)


def create_app(service: Service) -> Any:
    """Return the ASGI application of a service: FastAPI behind the guard."""

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.close()

    app = fastapi.FastAPI(
        title="EmoSym",
        version=__version__,
        description="Reads the emotion of pictures, texts and dialogues, and paints pictures.",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.add_exception_handler(EmoSymError, _answer_error)
    app.add_exception_handler(exceptions.HTTPException, _answer_http)
    app.add_exception_handler(Exception, _answer_bug)
    app.include_router(understand_routes(service))
    app.include_router(job_routes(service))
    app.include_router(state_routes(service))
    app.openapi = lambda: openapi_of(
        app, bool(service.keys.digests), service.limits, list(service.reading.models.values())
    )
    return Guard(app, service.keys, service.limits, service.metrics, service.local)


def understand_routes(service: Service) -> Any:
    """Return the places that read."""
    router = fastapi.APIRouter(prefix="/v1", tags=["reading"])
    body = {**form_of(), **json_of(UnderstandSent)}

    async def understand(request: Request) -> Any:
        """Read pictures, texts or dialogues; the rows are those of `emosym understand --json`.

        Where one of several inputs cannot be read, its row says so in `error`; the only input of a
        request that cannot be read is answered with 422. The header X-Deadline-Seconds asks for
        less time than the server allows.
        """
        asked = await read_asked(request, service.limits)
        return responses.JSONResponse(
            await _timely(service, request, service.reading.understand(asked))
        )

    router.add_api_route("/understand", understand, methods=["POST"], **described(Understood, body))
    return router


def job_routes(service: Service) -> Any:
    """Return the places that paint."""
    router = fastapi.APIRouter(prefix="/v1", tags=["painting"])

    async def generate(request: Request) -> Any:
        """Begin to paint: answers at once with a job, whose events tell how far it is."""
        kind = content_type(request)
        if kind != JSON:
            raise Refused(415, f"The body must be {JSON}, got {shown(kind)}.")
        body = await request.body()
        sent = await apart(lambda given: parsed(GenerateSent, given), body)
        job = await _timely(service, request, begin(service, request.scope[OWNER], sent))
        place = f"/v1/jobs/{job.id}"
        return responses.JSONResponse(job.tell(whole=False), 202, {"Location": place})

    async def show(request: Request, id: str) -> Any:
        """Return a job; when it is done, with its paintings."""
        return responses.JSONResponse(service.jobs.find(request.scope[OWNER], id).tell())

    async def events(request: Request, id: str) -> Any:
        """Watch a job: server-sent events `progress`, at last one `result` with the whole job."""
        job = service.jobs.find(request.scope[OWNER], id)
        return responses.StreamingResponse(event_stream(service.jobs, job), media_type=STREAM)

    async def cancel(request: Request, id: str) -> Any:
        """Cancel a job; what is painted already stays in it."""
        job = service.jobs.find(request.scope[OWNER], id)
        service.jobs.cancel(job)
        return responses.JSONResponse(job.tell(whole=False))

    told = described(JobTold, json_of(GenerateSent), 202)
    router.add_api_route("/generate", generate, methods=["POST"], **told)
    router.add_api_route("/jobs/{id}", show, methods=["GET"], **described(JobTold))
    stream = told_as(STREAM, "event: progress\ndata: {...}\n\n")
    router.add_api_route("/jobs/{id}/events", events, methods=["GET"], **stream)
    router.add_api_route("/jobs/{id}", cancel, methods=["DELETE"], **described(JobTold))
    return router


def state_routes(service: Service) -> Any:
    """Return the places that tell how the server is."""
    router = fastapi.APIRouter(tags=["server"])

    async def models() -> Any:
        """Return the models that are open, what each reads, and the limits of a request."""
        told = [served.tell() for served in service.reading.models.values()]
        return responses.JSONResponse({"models": told, "limits": service.limits.told()})

    async def healthz() -> Any:
        """Return 200 as long as the process answers."""
        return responses.JSONResponse({"status": "alive"})

    async def readyz() -> Any:
        """Return 200 when requests are taken, 503 before and when the server ends."""
        if not service.ready:
            raise Refused(503, "The server is not ready.", 1)
        return responses.JSONResponse({"status": "ready"})

    async def metrics() -> Any:
        """Return what Prometheus reads."""
        service.count()
        text, kind = service.metrics.text()
        return responses.Response(text, media_type=kind)

    router.add_api_route("/v1/models", models, methods=["GET"], **described(ModelsTold))
    status = told_as("application/json", {"status": "alive"})
    router.add_api_route("/healthz", healthz, methods=["GET"], **status)
    status = told_as("application/json", {"status": "ready"})
    router.add_api_route("/readyz", readyz, methods=["GET"], **status)
    page = told_as("text/plain", "emosym_paintings_total 3.0\n")
    router.add_api_route("/metrics", metrics, methods=["GET"], **page)
    return router


async def begin(service: Service, owner: str, sent: GenerateSent) -> Job:
    """Return the job of a request to paint.

    Raises:
        UsageError: for a request that no model here can follow.
        Refused: beyond the limits.
    """
    limits, reading = service.limits, service.reading
    for what, count, most in (
        ("a prompt", len(sent.prompt), limits.prompt_chars),
        ("images", sent.images, limits.images),
        ("steps", sent.steps or 0, limits.steps),
    ):
        if count > most:
            raise Refused(413, f"At most {most} for {what}, got {count}.")
    able = [one for one in reading.models.values() if one.about.can_paint]
    if sent.model is None and not able:
        raise UsageError(NO_PAINTER)
    served = able[0] if sent.model is None else reading.named(sent.model)
    why_not, session = served.why_not_paint(), served.session
    if why_not is not None or session is None:
        raise UsageError(why_not or NO_PAINTER)
    held: list[int] = []
    like = None
    try:
        if sent.like is not None:
            if not served.takes(PICTURES):
                raise UsageError(f"The model {served.name!r} does not read pictures: leave 'like'.")
            found = await reading.open_picture(picture_asked(sent.like, 1), served, True, held)
            if isinstance(found, BadInput):
                raise UsageError(found.error)
            like = found
        request = session.request(
            sent.emotion,
            valence=sent.valence,
            arousal=sent.arousal,
            like=like,
            prompt=sent.prompt,
            intensity=sent.intensity,
            num_images=sent.images,
            guidance_scale=sent.guidance_scale,
            num_inference_steps=sent.steps,
            seed=sent.seed,
            spread=sent.spread,
        )
        kept = sum(held)
        job = service.jobs.submit(owner, served, request, lambda: reading.pixels.give(kept))
        held.clear()
        return job
    finally:
        reading.pixels.give(sum(held))


async def event_stream(jobs: Jobs, job: Job) -> AsyncIterator[str]:
    """Yield a job's events as text, and a sign of life where nothing happens."""
    events = jobs.events(job)
    following = asyncio.ensure_future(anext(events))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=PULSE)
            if not done:
                yield ": still here\n\n"
                continue
            name, data = following.result()
            yield f"event: {name}\ndata: {json.dumps(data, allow_nan=False)}\n\n"
            if name == "result":
                return
            following = asyncio.ensure_future(anext(events))
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await events.aclose()


async def _timely(service: Service, request: Request, work: Coroutine[Any, Any, Any]) -> Any:
    """Do what a request asks, unless the server ends, or its time is over, or nobody waits."""
    try:
        if not service.ready:
            raise Refused(503, ENDS, service.limits.grace)
        seconds = deadline_of(request.headers.get(DEADLINE), service.limits.deadline)
    except EmoSymError:
        work.close()
        raise

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return await in_time(work, seconds, gone)


def deadline_of(asked: str | None, most: float) -> float:
    """Return the seconds that a request may take.

    Raises:
        UsageError: when the header is no positive number.
    """
    if asked is None:
        return most
    try:
        seconds = float(asked)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"X-Deadline-Seconds is a positive number of seconds, got {shown(asked)}.")
    return min(seconds, most)


async def _answer_error(request: Any, error: EmoSymError) -> Any:
    """Answer what a caller can act on: 422, or what the refusal says."""
    if isinstance(error, Refused):
        return _problem(error.status, str(error), dict(extra_headers(error)))
    return _problem(422 if isinstance(error, UsageError) else 503, str(error))


async def _answer_http(request: Any, error: Any) -> Any:
    """Answer what the routing refuses: no such place, another method."""
    told = {404: "There is no such place", 405: "This place does not take this method"}
    sentence = told.get(error.status_code, str(error.detail).rstrip("."))
    headers = dict(error.headers or {})
    if error.status_code == 405:  # the routing names the methods of the first that matches
        headers["Allow"] = ", ".join(allowed(request.app.openapi(), request.url.path))
    return _problem(error.status_code, f"{sentence}: see /openapi.json.", headers)


async def _answer_bug(request: Any, error: Exception) -> Any:
    """Answer a bug with a sentence; the traceback goes to the log."""
    return _problem(500, INSIDE)


def _problem(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Any:
    return responses.JSONResponse({"error": sentence}, status, dict(headers or {}))
