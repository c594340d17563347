"""The listening process: connections with limits, and an end that finishes what it took."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

from emosym.apps.server.app import Service, create_app
from emosym.apps.server.limits import Limits
from emosym.extras import require

uvicorn = require("uvicorn", "serve")
h11_impl = require("uvicorn.protocols.http.h11_impl", "serve")
h11 = require("h11", "serve")
Protocol: Any = h11_impl.H11Protocol
UvicornServer: Any = uvicorn.Server
REASONS = {400: b"Bad Request", 408: b"Request Timeout", 503: b"Service Unavailable"}
EXTRA_SECONDS = 5.0  # to write the last answers after `grace`


class Connection(Protocol):
    """One connection: who sends or takes too slowly, or is one too many, is ended."""

    limits: Limits

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Hold the two clocks; neither runs yet."""
        super().__init__(*arguments, **named)
        self._head_clock: asyncio.TimerHandle | None = None
        self._send_clock: asyncio.TimerHandle | None = None
        self._some = False

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request's head."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self.refuse(503, "Too many connections: try again.")
            return
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; between requests a head must be whole in time."""
        self._some = True
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop("_head_clock")
        elif self._head_clock is None:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._stop("_head_clock")
        self._stop("_send_clock")
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the other end to take what was written, for a while."""
        self.flow.pause_writing()
        if self._send_clock is None:
            seconds = self.limits.send_seconds
            self._send_clock = self.loop.call_later(seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: it was taken."""
        self._stop("_send_clock")
        self.flow.resume_writing()

    def on_response_complete(self) -> None:
        """Begin again where the next head is here in part already."""
        super().on_response_complete()
        self._some = False

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, as everything else, with a sentence in JSON."""
        self.refuse(400, "This is not HTTP as this server speaks it.")

    def refuse(self, status: int, sentence: str) -> None:
        """Answer without a request, and end the connection."""
        body = json.dumps({"error": sentence}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            events = (
                h11.Response(status_code=status, headers=headers, reason=REASONS[status]),
                h11.Data(data=body),
                h11.EndOfMessage(),
            )
            for event in events:
                self.transport.write(self.conn.send(event))
        self.transport.close()

    def _wait_for_head(self) -> None:
        self._head_clock = self.loop.call_later(self.limits.head_seconds, self._late)

    def _late(self) -> None:
        self._head_clock = None
        if self.transport.is_closing():
            return
        if self._some:
            self.refuse(408, f"No whole request came within {self.limits.head_seconds:g} s.")
        else:
            self.transport.close()

    def _stop(self, clock: str) -> None:
        handle = getattr(self, clock)
        if handle is not None:
            handle.cancel()
        setattr(self, clock, None)


class Server(UvicornServer):
    """Uvicorn, which at its end lets the service finish what it took, or hand it back."""

    def __init__(self, config: Any, service: Service) -> None:
        """Hold the service."""
        super().__init__(config)
        self.service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing more, finish for `grace` seconds, then hand back."""
        self.service.drain()
        grace = self.service.limits.grace
        asyncio.get_running_loop().call_later(grace, self.service.hand_back)
        await super().shutdown(sockets)


def run(service: Service, listening: socket.socket) -> None:
    """Serve until a signal asks for the end."""
    configured(service).run(sockets=[listening])


def configured(service: Service) -> Server:
    """Return a server that is ready to run."""
    limits = service.limits
    config = uvicorn.Config(
        create_app(service),
        http=type("LimitedConnection", (Connection,), {"limits": limits}),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(limits.grace + EXTRA_SECONDS),
    )
    return Server(config, service)
