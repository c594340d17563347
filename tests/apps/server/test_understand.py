"""Reading over HTTP: rows, refusals, keys, limits, hostile bodies."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.apps.server.plain import PlainPipeline, png, service_of

from emosym.apps.server.app import create_app
from emosym.apps.server.keys import read_keys

BRIGHT, DARK = png(240), png(10)
KEY = "a-key-of-many-signs-and-more"


def client_of(service: Any) -> TestClient:
    return TestClient(
        create_app(service), base_url="http://localhost", raise_server_exceptions=False
    )


@pytest.fixture(scope="module")
def service():
    return service_of(body_bytes=200_000, pictures=3, texts=3, turns=4, text_chars=50)


@pytest.fixture(scope="module")
def client(service):
    with client_of(service) as opened:
        yield opened


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def sentence(answer: Any, status: int) -> str:
    """What a refusal says: JSON with one sentence, no traceback."""
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    told = answer.json()["error"]
    assert told.endswith((".", ")", "'")) and "\n" not in told and "Traceback" not in told
    return str(told)


def test_a_form_of_pictures_gives_a_row_each(client) -> None:
    files = [("pictures", ("b.png", BRIGHT)), ("pictures", ("d.png", DARK))]
    answer = client.post("/v1/understand", files=files, data={"explain": "true"})
    assert answer.status_code == 200
    rows = answer.json()["rows"]
    assert [(row["source"], row["emotion"]) for row in rows] == [
        ("b.png", "joy"),
        ("d.png", "sadness"),
    ]
    assert rows[0]["probabilities"]["joy"] == pytest.approx(240 / 255)
    assert rows[0]["rationale"] == "It is bright or not."
    assert answer.json()["models"] == {"pictures": "plain"}
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers


def test_json_of_every_kind(client) -> None:
    turns = [{"speaker": "Ann", "text": "You came back!"}, "I did.", {"picture": b64(BRIGHT)}]
    asked = {
        "pictures": [b64(BRIGHT), {"name": "d", "data": f"data:image/png;base64,{b64(DARK)}"}],
        "texts": ["Yes!", " "],
        "dialogues": [{"turns": turns}],
    }
    answer = client.post("/v1/understand", json=asked)
    assert answer.status_code == 200, answer.text
    rows = answer.json()["rows"]
    assert [(row["source"], row["emotion"], row["error"] is None) for row in rows] == [
        ("picture 1", "joy", True),
        ("d", "sadness", True),
        ("Yes!", "joy", True),
        (" ", None, False),
        ("dialogue 1#1", "joy", True),
        ("dialogue 1#2", "sadness", True),
        ("dialogue 1#3", "sadness", True),
    ]


def test_a_bad_picture_is_a_row_among_others_and_a_refusal_alone(client) -> None:
    pictures = [b64(BRIGHT), b64(BRIGHT[:50]), "no base64!"]
    answer = client.post("/v1/understand", json={"pictures": pictures})
    assert answer.status_code == 200
    errors = [row["error"] for row in answer.json()["rows"]]
    assert errors[0] is None
    assert "'picture 2' cannot be read as a picture" in errors[1]
    assert "not base64" in errors[2]
    alone = client.post("/v1/understand", json={"pictures": [b64(b"%PDF-1.4")]})
    assert "it is a PDF" in sentence(alone, 422)


ODD: dict[str, bytes] = {
    "empty": b"",
    "text": b"hello",
    "zeros": bytes(1000),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='x'/>",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "cut": BRIGHT[: len(BRIGHT) // 2],
    "strip": png(200, (4000, 2)),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_pictures_are_refused_in_a_sentence(client, name) -> None:
    sentence(client.post("/v1/understand", files=[("pictures", (name, ODD[name]))]), 422)


def test_a_picture_of_too_many_pixels_is_refused_undecoded(client) -> None:
    stream = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(stream, "PNG")
    start = time.monotonic()
    answer = client.post("/v1/understand", files=[("pictures", ("big.png", stream.getvalue()))])
    told = sentence(answer, 422)
    assert "20000 x 20000 pixels" in told or "far too many pixels" in told
    assert time.monotonic() - start < 60


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({}, 422, "nothing to read"),
        ({"txts": ["x"]}, 422, "Did you mean 'texts'"),
        ({"texts": "x"}, 422, "texts"),
        ({"texts": [1]}, 422, "texts.0"),
        ({"texts": ["x"] * 4}, 413, "at most 3 texts, got 4"),
        ({"texts": ["x" * 51]}, 413, "at most 50 signs, got 51"),
        ({"pictures": [""] * 4}, 413, "at most 3 pictures"),
        ({"pictures": [""]}, 422, "empty"),
        ({"pictures": ["http://127.0.0.1:9/x.png"]}, 422, "nothing is fetched"),
        ({"pictures": ["file:///etc/passwd"]}, 422, "nothing is fetched"),
        ({"pictures": ["/etc/passwd"]}, 422, "not base64"),
        ({"pictures": ["/etc/passwd/"]}, 422, "cannot be read as a picture"),
        ({"dialogues": [{"turns": []}]}, 422, "no turn"),
        ({"dialogues": [{"turns": ["a"] * 5}]}, 413, "at most 4 turns"),
        ({"dialogues": [{"turns": [{"speaker": "x"}]}]}, 422, "neither 'text' nor a 'picture'"),
        ({"texts": ["x"], "model": "plane"}, 422, "Did you mean 'plain'"),
        ([], 422, "The body"),
    ],
)
def test_what_is_asked_wrongly_is_told(client, body, status, told) -> None:
    assert told in sentence(client.post("/v1/understand", json=body), status)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"texts": ["\\ud800"]}', "application/json", 400),
        (b"[" * 50_000, "application/json", 400),
        (b"x", "text/plain", 415),
        (b"x", "", 415),
        (b"x", "multipart/form-data", 422),
        (b"x", "multipart/form-data; boundary=a", 422),
        (b"--a\r\n\r\n\r\n--a--", "multipart/form-data; boundary=a", 422),
        (b"x", "application/x-www-form-urlencoded", 415),
    ],
)
def test_malformed_bodies(client, body, kind, status) -> None:
    headers = {"content-type": kind} if kind else {}
    sentence(client.post("/v1/understand", content=body, headers=headers), status)


def test_names_from_a_request_are_only_shown(client) -> None:
    hostile = "../../../etc/cron.d/x\x1b[31m<script>" + "y" * 500
    answer = client.post(
        "/v1/understand", json={"pictures": [{"name": hostile, "data": b64(BRIGHT)}]}
    )
    (row,) = answer.json()["rows"]
    assert row["source"].startswith("../../../etc/cron.d/x [31m") and len(row["source"]) <= 200


def test_too_large_a_body_is_refused_while_it_comes(client) -> None:
    assert "at most 200000 bytes" in sentence(
        client.post("/v1/understand", content=bytes(200_001)), 413
    )
    sent = []

    def chunks():
        for _ in range(10_000):
            sent.append(1)
            yield bytes(10_000)

    headers = {"content-type": "application/json"}
    sentence(client.post("/v1/understand", content=chunks(), headers=headers), 413)
    gzip = headers | {"content-encoding": "gzip"}
    assert "not compressed" in sentence(
        client.post("/v1/understand", content=b"x", headers=gzip), 415
    )


def test_other_places_and_methods(client) -> None:
    sentence(client.get("/v1/nowhere"), 404)
    sentence(client.get("/docs"), 404)
    sentence(client.get("/v1/understand"), 405)
    sentence(client.post("/healthz"), 405)
    sentence(client.get("/../../etc/passwd"), 404)


def test_pages_of_other_sites_may_not_ask(client) -> None:
    told = sentence(client.get("/v1/models", headers={"origin": "http://evil.example"}), 403)
    assert "other sites" in told
    assert client.get("/v1/models", headers={"origin": "http://localhost"}).status_code == 200
    assert client.get("/v1/models", headers={"host": "127.0.0.1:8000"}).status_code == 200
    assert client.get("/v1/models", headers={"host": "[::1]:8000"}).status_code == 200
    rebound = client.get("/v1/models", headers={"host": "evil.example"})
    assert "localhost only" in sentence(rebound, 421)


def test_what_the_server_tells_of_itself(client) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
    told = client.get("/v1/models").json()
    assert told["models"][0]["name"] == "plain" and told["limits"]["pictures"] == 3
    text = client.get("/metrics").text
    assert 'emosym_requests_total{method="GET",place="/healthz",status="200"}' in text
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) >= {"/v1/understand", "/v1/generate", "/v1/jobs/{id}/events"}
    asked = described["paths"]["/v1/understand"]["post"]["requestBody"]["content"]
    examples = asked["application/json"]["examples"]
    for example in (examples["a picture"], examples["a sentence"], examples["a dialogue"]):
        answer = client.post("/v1/understand", json=example["value"])
        assert answer.status_code == 200, answer.text


def test_keys_open_all_but_the_signs_of_life(tmp_path) -> None:
    file = tmp_path / "keys"
    file.write_text(KEY)
    with client_of(service_of(keys=read_keys(file, {}))) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        for place in ("/v1/models", "/metrics", "/openapi.json", "/v1/jobs/x"):
            answer = client.get(place)
            sentence(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
        sentence(client.post("/v1/understand", headers={"authorization": "Bearer wrong"}), 401)
        right = {"authorization": f"Bearer {KEY}", "host": "readings.example.org"}
        assert client.get("/v1/models", headers=right).status_code == 200
        assert KEY not in client.get("/metrics", headers=right).text


def test_callers_at_once_share_batches() -> None:
    gate = threading.Event()
    pipeline = PlainPipeline(lambda count: gate.wait(60))
    service = service_of(pipeline)
    with client_of(service) as client, ThreadPoolExecutor(8) as pool:
        levels = list(range(10, 250, 30))
        asked = [
            pool.submit(client.post, "/v1/understand", files=[("pictures", ("p", png(level)))])
            for level in levels
        ]
        until = time.monotonic() + 60
        batcher = service.reading.models["plain"].batcher
        while sum(pipeline.batches) + batcher.waiting < 8 and time.monotonic() < until:
            time.sleep(0.01)
        gate.set()
        found = [future.result().json()["rows"][0]["probabilities"]["joy"] for future in asked]
    assert found == [pytest.approx(level / 255) for level in levels]
    assert sum(pipeline.batches) == 8 and len(pipeline.batches) < 8


def test_a_full_queue_says_when_to_come_again_and_a_deadline_ends_the_wait() -> None:
    gate = threading.Event()
    pipeline = PlainPipeline(lambda count: gate.wait(60))
    service = service_of(pipeline, waiting=2)
    with client_of(service) as client, ThreadPoolExecutor(4) as pool:
        first = pool.submit(client.post, "/v1/understand", json={"texts": ["a"]})
        until = time.monotonic() + 60
        while not pipeline.batches and time.monotonic() < until:
            time.sleep(0.01)
        hurried = client.post(
            "/v1/understand", json={"texts": ["b"]}, headers={"x-deadline-seconds": "0.05"}
        )
        assert "within 0.05 s" in sentence(hurried, 504)
        full = client.post("/v1/understand", json={"texts": ["c", "d", "e"]})
        assert "Too many inputs wait" in sentence(full, 429)
        assert int(full.headers["retry-after"]) >= 1
        odd = client.post(
            "/v1/understand", json={"texts": ["b"]}, headers={"x-deadline-seconds": "soon"}
        )
        assert "positive number" in sentence(odd, 422)
        gate.set()
        assert first.result().status_code == 200
    assert pipeline.batches == [1]


def test_a_fault_inside_is_a_sentence_and_spoils_no_other(client) -> None:
    def fail(count: int) -> None:
        raise ZeroDivisionError("secret")

    with client_of(service_of(PlainPipeline(fail))) as broken:
        told = sentence(broken.post("/v1/understand", json={"texts": ["a"]}), 500)
        assert "secret" not in told
        assert broken.get("/healthz").status_code == 200


def test_a_decoding_process_that_dies_is_started_again(client, service) -> None:
    (process,) = service.decoders.processes
    os.kill(process, signal.SIGSTOP)  # it has the picture, and does not answer
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.post, "/v1/understand", files=[("pictures", ("b", BRIGHT))])
        until = time.monotonic() + 60
        while not service.decoders.busy and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(process, signal.SIGKILL)
        answer = asked.result()
    assert "started again" in sentence(answer, 503)
    assert answer.headers["retry-after"] == "1"
    again = client.post("/v1/understand", files=[("pictures", ("b", BRIGHT))])
    assert again.json()["rows"][0]["emotion"] == "joy"
    assert service.decoders.processes != [process]
    assert "emosym_decoder_restarts_total 1.0" in client.get("/metrics").text


def test_an_impatient_caller_wears_no_process_out() -> None:
    with client_of(service := service_of()) as client:
        (process,) = service.decoders.processes
        os.kill(process, signal.SIGSTOP)
        files = [("pictures", ("b", BRIGHT))]
        hurried = {"x-deadline-seconds": "0.2"}
        sentence(client.post("/v1/understand", files=files, headers=hurried), 504)
        assert service.decoders.busy == 1
        os.kill(process, signal.SIGCONT)
        assert client.post("/v1/understand", files=files).status_code == 200
        assert service.decoders.processes == [process]
        assert service.pixels.held == 0


def test_a_picture_that_takes_too_long_is_refused_and_its_process_replaced() -> None:
    with client_of(service := service_of(decode_seconds=0.5)) as client:
        (process,) = service.decoders.processes
        os.kill(process, signal.SIGSTOP)
        answer = client.post("/v1/understand", files=[("pictures", ("slow", BRIGHT))])
        assert "'slow' takes more than 0.5 s" in sentence(answer, 422)
        until = time.monotonic() + 60
        while service.decoders.processes in ([], [process]) and time.monotonic() < until:
            time.sleep(0.01)
        assert service.decoders.processes not in ([], [process])


def test_uploads_touch_no_disk(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with client_of(service_of()) as client:
        big = png(240) + bytes(3_000_000)  # beyond what a form is spooled to disk at
        answer = client.post("/v1/understand", files=[("pictures", ("b.png", big))])
    assert answer.json()["rows"][0]["emotion"] == "joy"


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("pictures", "texts", "dialogues", "turns", "data", "explain", "model"))
            | st.text(max_size=5),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    body=st.binary(max_size=300) | ANY_JSON.map(lambda found: json.dumps(found).encode()),
    kind=st.sampled_from(
        ("application/json", "multipart/form-data; boundary=a", "multipart/form-data", "x/y")
    ),
)
def test_any_body_is_answered_with_rows_or_a_sentence(client, body, kind) -> None:
    answer = client.post("/v1/understand", content=body, headers={"content-type": kind})
    if answer.status_code != 200:
        assert 400 <= answer.status_code < 500
        sentence(answer, answer.status_code)
    assert client.get("/readyz").status_code == 200
