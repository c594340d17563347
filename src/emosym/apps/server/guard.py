"""What stands before every request: who asks, how much is sent and how slowly, what is counted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from emosym.apps.server.keys import LOCAL_NAMES, Keys
from emosym.apps.server.limits import Budget, Limits, Refused
from emosym.apps.server.metrics import Metrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PLACES = ("/healthz", "/readyz")
OWNER = "emosym.owner"
DISCARDED = 4  # bodies' worth that is thrown away, so that a caller hears why it was too much
DISCARD_SECONDS = 2.0
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)


class Guard:
    """An ASGI application around another; see the module."""

    def __init__(
        self, app: App, keys: Keys, limits: Limits, metrics: Metrics, local: bool = True
    ) -> None:
        """Hold the inner application; `local` says that only this machine is meant to ask."""
        self.app, self.keys, self.limits, self.metrics = app, keys, limits, metrics
        self.local = local
        self.bodies = Budget(limits.held_bytes, "bytes of requests")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await Exchange(self, scope, receive, send).run()
        else:
            await send({"type": "websocket.close", "code": 1008})


class Exchange:
    """One request and its answer."""

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold the two ends of it."""
        self.guard, self.scope, self._receive, self._send = guard, scope, receive, send
        self.headers = {name.lower(): value for name, value in scope["headers"]}
        self.taken = 0
        self.whole = False
        self.status: int | None = None
        self.until = time.monotonic() + guard.limits.body_seconds

    async def run(self) -> None:
        """Refuse the request, or hand it on; count it."""
        start = time.perf_counter()
        try:
            try:
                self.admit()
            except Refused as refused:
                await self.refuse(refused)
            else:
                await self.guard.app(self.scope, self.receive, self.send)
        finally:
            self.guard.bodies.give(self.taken)
            metrics, route = self.guard.metrics, self.scope.get("route")
            place = str(getattr(route, "path", "other"))
            method = self.scope["method"] if route is not None else "other"
            metrics.requests.labels(method, place, str(self.status or 499)).inc()
            metrics.seconds.labels(place).observe(time.perf_counter() - start)

    def admit(self) -> None:
        """Find out who asks.

        Raises:
            Refused: for a wrong or missing key, a page of another site, a body that is too large or
                compressed.
        """
        host = self.text(b"host")
        origin = self.text(b"origin")
        if self.guard.local and not self.guard.keys.digests and _name_of(host) not in LOCAL_NAMES:
            raise Refused(421, "This server answers to localhost only: it has no API key.")
        if origin and urlsplit(origin).netloc.lower() != host.lower():
            raise Refused(403, "Pages of other sites may not ask this server.")
        owner = self.guard.keys.owner_of(self.text(b"authorization"))
        if owner is None and self.scope["path"] not in OPEN_PLACES:
            raise Refused(401, "Send a valid key: the header Authorization: Bearer KEY.")
        self.scope[OWNER] = owner
        if self.text(b"content-encoding").lower() not in ("", "identity"):
            raise Refused(415, "Send the body as it is, not compressed.")
        length = self.text(b"content-length")
        if length.isascii() and length.isdigit() and int(length[:20]) > self.most:
            raise self.too_large()

    @property
    def most(self) -> int:
        """The most bytes a body may have."""
        return self.guard.limits.body_bytes

    def too_large(self) -> Refused:
        """Return the refusal of a body that is too large."""
        return Refused(413, f"A request has at most {self.most} bytes: send less at a time.")

    def text(self, name: bytes) -> str:
        """Return a header, or an empty text."""
        found: bytes = self.headers.get(name, b"")
        return found.decode("latin-1").strip()

    async def receive(self) -> Message:
        """Give the next part of the body, within size and time.

        Raises:
            Refused: 413 for too much, 408 for too slowly, 429 where too much is held already.
        """
        if self.whole:
            return await self._receive()  # waits for the caller to leave
        try:
            left = max(self.until - time.monotonic(), 0.001)
            message = await asyncio.wait_for(self._receive(), left)
        except asyncio.TimeoutError:
            seconds = self.guard.limits.body_seconds
            raise Refused(408, f"The body did not arrive within {seconds:g} s.") from None
        if message["type"] == "http.request":
            count = len(message.get("body", b""))
            if self.taken + count > self.most:
                raise self.too_large()
            self.guard.bodies.take(count)
            self.taken += count
            self.whole = not message.get("more_body", False)
        else:
            self.whole = True
        return message

    async def send(self, message: Message) -> None:
        """Pass on a part of the answer; a body that was not read whole ends the connection."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *HEADERS]
            if self.status >= 400 and not self.whole and self.has_body:
                message["headers"].append((b"connection", b"close"))
                await self.discard()
        await self._send(message)

    @property
    def has_body(self) -> bool:
        """Whether the request says that it has a body."""
        return self.text(b"content-length") not in ("", "0") or b"transfer-encoding" in self.headers

    async def refuse(self, refused: Refused) -> None:
        """Answer with a sentence."""
        body = json.dumps({"error": str(refused)}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        headers += [(name.encode(), value.encode()) for name, value in extra_headers(refused)]
        await self.send(
            {"type": "http.response.start", "status": refused.status, "headers": headers}
        )
        await self.send({"type": "http.response.body", "body": body})

    async def discard(self) -> None:
        """Throw away what is still being sent, for a while: a reset would hide the answer."""
        if b"expect" in self.headers:
            return  # who asks first has sent nothing
        until, left = time.monotonic() + DISCARD_SECONDS, DISCARDED * self.most
        while left > 0 and (seconds := until - time.monotonic()) > 0:
            try:
                message = await asyncio.wait_for(self._receive(), seconds)
            except asyncio.TimeoutError:
                return
            left -= len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body", False):
                return


def extra_headers(refused: Refused) -> list[tuple[str, str]]:
    """Return the headers that go with a refusal."""
    found = []
    if refused.retry_after is not None:
        found.append(("Retry-After", str(refused.retry_after)))
    if refused.status == 401:
        found.append(("WWW-Authenticate", "Bearer"))
    return found


def _name_of(host: str) -> str:
    """Return a Host header without its port, "[::1]:8000" as "::1"."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()
