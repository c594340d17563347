"""A server on a real port: slow and large clients, the end, and what stands in its way."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from tests.apps.server.plain import PlainPipeline, service_of, serving

from emosym.apps.listening import bind
from emosym.errors import EmoSymError, UsageError

PATIENCE = 60.0
ASKED = {"texts": ["Yes!"]}


@pytest.fixture(scope="module")
def url():
    times = {"head_seconds": 0.6, "body_seconds": 0.6, "send_seconds": 0.6}
    with serving(service_of(body_bytes=100_000, connections=12, **times)) as address:
        yield address


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=PATIENCE) as made:
        yield made


def read_all(connection: socket.socket) -> bytes:
    """Everything until the other end closes, or resets."""
    found = b""
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            return found
        if not part:
            return found
        found += part


def sentence_of(answer: bytes, status: int) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:300]
    return str(json.loads(body)["error"])


def test_a_head_that_does_not_end_is_refused_in_time(url) -> None:
    with connected(url) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        start = time.monotonic()
        assert "No whole request" in sentence_of(read_all(slow), 408)
    assert time.monotonic() - start < PATIENCE / 2


def test_who_drips_a_head_byte_by_byte_gains_nothing(url) -> None:
    def drip(connection: socket.socket) -> None:
        try:
            for byte in b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 1000:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            pass

    with connected(url) as slow:
        thread = threading.Thread(target=drip, args=(slow,))
        thread.start()
        assert "No whole request" in sentence_of(read_all(slow), 408)
        thread.join()


def test_a_silent_connection_is_closed_and_a_kept_one_too(url) -> None:
    with connected(url) as silent:
        assert read_all(silent) == b""
    with connected(url) as kept:
        kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answered = b""
        while b"alive" not in answered:
            answered += kept.recv(65536)
        kept.sendall(b"GET /healthz HTT")
        assert "No whole request" in sentence_of(read_all(kept), 408)


def test_a_body_that_does_not_come_is_refused_in_time(url) -> None:
    with connected(url) as slow:
        slow.sendall(
            b"POST /v1/understand HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
        )
        assert "did not arrive" in sentence_of(read_all(slow), 408)


def test_a_body_of_100_mb_with_and_without_its_length(url) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(1_000_000)

    headers = {"content-type": "application/json"}
    for content in (bytes(100_000_000), parts()):
        answer = httpx.post(
            f"{url}/v1/understand", content=content, headers=headers, timeout=PATIENCE
        )
        assert answer.status_code == 413
        assert "at most 100000 bytes" in answer.json()["error"]
    assert httpx.post(f"{url}/v1/understand", json=ASKED, timeout=PATIENCE).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"nonsense\r\n\r\n", b"GET / HTTP/one\r\n\r\n"],
)
def test_what_is_no_http_is_told_so(url, sent) -> None:
    with connected(url) as odd:
        odd.sendall(sent + b"\r\n\r\n")
        assert "not HTTP" in sentence_of(read_all(odd), 400)


def test_one_connection_too_many_is_refused(url) -> None:
    opened = [socket.create_connection(urlsplit(url).netloc.split(":")) for _ in range(12)]
    try:
        with connected(url) as last:
            assert "Too many connections" in sentence_of(read_all(last), 503)
    finally:
        for connection in opened:
            connection.close()


def test_who_does_not_take_the_answers_is_cut_off(url) -> None:
    request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(url) as greedy:
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.settimeout(1.0)
        with pytest.raises(OSError, match=r"reset|Broken pipe"):  # not a time-out of ours
            for _ in range(int(PATIENCE)):
                try:
                    greedy.sendall(request * 2000)
                except TimeoutError:
                    continue
    assert httpx.get(f"{url}/healthz", timeout=PATIENCE).status_code == 200


def ask(url: str) -> httpx.Response:
    return httpx.post(f"{url}/v1/understand", json=ASKED, timeout=PATIENCE)


def entered(pipeline: PlainPipeline) -> None:
    until = time.monotonic() + PATIENCE
    while not pipeline.batches:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_end_waits_for_what_was_taken() -> None:
    gate = threading.Event()
    pipeline = PlainPipeline(lambda count: gate.wait(PATIENCE))
    service = service_of(pipeline, grace=PATIENCE)
    with ThreadPoolExecutor(2) as pool:
        with serving(service) as url:
            asked = pool.submit(ask, url)
            entered(pipeline)
            threading.Timer(0.5, gate.set).start()
        assert asked.result().json()["rows"][0]["emotion"] == "joy"
        with pytest.raises(httpx.ConnectError):
            ask(url)


def test_the_end_hands_back_what_takes_too_long() -> None:
    gate = threading.Event()
    pipeline = PlainPipeline(lambda count: gate.wait(PATIENCE))
    service = service_of(pipeline, grace=0.3)
    watched: list[str] = []
    with ThreadPoolExecutor(3) as pool:
        with serving(service) as url:
            asked = pool.submit(ask, url)
            entered(pipeline)
            job = httpx.post(f"{url}/v1/generate", json={"emotion": "joy"}, timeout=PATIENCE)
            place = f"{url}/v1/jobs/{job.json()['id']}/events"

            def watch() -> None:
                with httpx.stream("GET", place, timeout=PATIENCE) as stream:
                    watched.extend(stream.iter_lines())

            watching = pool.submit(watch)
            while not any(job.watchers for job in service.jobs.open):
                time.sleep(0.01)
            threading.Timer(1.5, gate.set).start()
        answer: Any = asked.result()
        watching.result()
    assert answer.status_code == 503 and "server ends" in answer.json()["error"]
    assert int(answer.headers["retry-after"]) >= 1
    last = json.loads([line for line in watched if line.startswith("data: ")][-1][6:])
    assert last["state"] == "handed_back" and "server ends" in last["error"]


def test_a_port_in_use_is_told_with_another_one() -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EmoSymError, match=f"Port {port} of 127.0.0.1 is in use") as told:
            bind("127.0.0.1", port)
    assert f"--port {port + 1}" in str(told.value)
    with pytest.raises(UsageError, match=r"no address of this machine|cannot be listened at"):
        bind("203.0.113.7", 0)
    with pytest.raises(UsageError, match="no address of this machine"):
        bind("no such host", 0)
