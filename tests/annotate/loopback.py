"""A small chat server on a real socket of 127.0.0.1, scripted per request; it counts all."""

from __future__ import annotations

import base64
import io
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

TOKENS = {"prompt_tokens": 100, "completion_tokens": 20}


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it. `picture` is the red of its top left pixel."""

    number: int
    picture: int
    prompt: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    time: float


@dataclass(frozen=True)
class Answer:
    """What is sent back. `cut` closes the connection hard after so many bytes of the body."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float = 0.0
    cut: int | None = None


def said(text: str | None, finish: str = "stop", **message: Any) -> Answer:
    """A well-formed chat completion."""
    choice = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", "content": text, **message},
    }
    told = {"id": "x", "object": "chat.completion", "created": 1, "model": "toy", "usage": TOKENS}
    return Answer(json.dumps({**told, "choices": [choice]}).encode())


def rationale(asked: Asked) -> Answer:
    """A good answer, in JSON where that was asked for, that names the picture."""
    text = f"A child stands beside kite number {asked.picture} under a red sky."
    return said(json.dumps({"rationale": text}) if "response_format" in asked.body else text)


def failed(status: int, message: str = "no", code: str | None = None, **headers: str) -> Answer:
    """An error in the protocol's form."""
    told = {"error": {"message": message, "type": "error", "code": code}}
    return Answer(
        json.dumps(told).encode(), status, {k.replace("_", "-"): v for k, v in headers.items()}
    )


@dataclass
class Loopback:
    """The running server: its address, and all requests so far."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    open_now: int = 0
    open_most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def pictures(self) -> list[int]:
        return [one.picture for one in self.asked]


@contextmanager
def loopback(script: Callable[[Asked], Answer]) -> Iterator[Loopback]:
    """Serve on a free port of 127.0.0.1 until the block ends."""
    state = Loopback("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path != "/v1/chat/completions":
                self._send(failed(404, f"no such path {self.path}"))
                return
            body = json.loads(raw)
            shown, text = body["messages"][0]["content"]
            data = base64.b64decode(shown["image_url"]["url"].partition(",")[2])
            picture = int(np.asarray(Image.open(io.BytesIO(data)))[0, 0, 0])
            with state.lock:
                headers = {k.lower(): v for k, v in self.headers.items()}
                one = Asked(
                    len(state.asked), picture, text["text"], body, headers, time.monotonic()
                )
                state.asked.append(one)
                state.open_now += 1
                state.open_most = max(state.open_most, state.open_now)
            try:
                answer = script(one)
                time.sleep(answer.after)
            finally:
                with state.lock:
                    state.open_now -= 1
            self._send(answer)

        def _send(self, answer: Answer) -> None:
            try:
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer.body)))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body[: answer.cut])
                self.wfile.flush()
                if answer.cut is not None:
                    # lingering for no time makes closing a reset, as when a server dies
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                self.close_connection = True  # who asked is gone

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

    server = Server(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
