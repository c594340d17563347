"""Painting over HTTP: jobs, their events, limits, cancelling, and the end of the server."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from tests.apps.server.plain import PlainPipeline, png, service_of
from tests.apps.server.test_understand import b64, client_of, sentence

from emosym.apps.server.jobs import ENDED
from emosym.apps.server.keys import read_keys

KEYS = ("the-first-of-two-long-keys", "the-second-of-two-long-keys")


def ended(client: TestClient, id: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """Wait for a job to end."""
    until = time.monotonic() + 60
    while True:
        found: dict[str, Any] = client.get(f"/v1/jobs/{id}", headers=headers).json()
        if found["state"] in ENDED:
            return found
        assert time.monotonic() < until
        time.sleep(0.02)


def events_of(client: TestClient, id: str) -> list[tuple[str, dict[str, Any]]]:
    """All events of a job to its end."""
    with client.stream("GET", f"/v1/jobs/{id}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        text = "".join(stream.iter_text())
    found = []
    for part in text.strip().split("\n\n"):
        if not part.startswith(":"):
            name, data = part.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    made = threading.Event()
    yield made
    made.set()


@pytest.fixture
def service(gate):
    return service_of(PlainPipeline(lambda count: gate.wait(60)), jobs=3, jobs_per_key=2)


@pytest.fixture
def client(service, gate):
    with client_of(service) as opened:
        yield opened
        gate.set()


def test_a_job_tells_how_far_it_is_and_ends_with_paintings(client, gate) -> None:
    asked = {"emotion": {"joy": 0.7, "sadness": 0.3}, "images": 3, "seed": 5, "prompt": "a {}"}
    answer = client.post("/v1/generate", json=asked)
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["done"], job["total"]) in (("waiting", 0, 3), ("running", 0, 3))
    gate.set()
    events = events_of(client, job["id"])
    assert {name for name, _ in events[:-1]} <= {"progress"}
    done = [data["done"] for _, data in events]
    assert done == sorted(done) and done[-1] == 3
    name, result = events[-1]
    assert name == "result" and result["state"] == "done" and result["error"] is None
    assert client.get(f"/v1/jobs/{job['id']}").json() == result
    for index, painting in enumerate(result["paintings"]):
        image = Image.open(io.BytesIO(base64.b64decode(painting["png"])))
        assert image.format == "PNG" and image.getpixel((0, 0)) == (50, index, 0)
        assert painting["request"]["emotion"] == {"joy": 0.7, "sadness": 0.3}
        assert painting["request"]["index"] == index
        assert painting["seed"] == 5 and painting["withheld"] is False
        assert painting["reading"]["emotion"] == "joy"
        assert painting["repaint"].startswith("emosym generate --mix joy=0.7,sadness=0.3")
    assert events_of(client, job["id"]) == [("result", result)]


def test_a_cancelled_job_stops_and_keeps_what_it_has(client, service, gate) -> None:
    running = client.post("/v1/generate", json={"emotion": "joy", "images": 8}).json()["id"]
    waiting = client.post("/v1/generate", json={"emotion": "joy"}).json()["id"]
    for id in (waiting, running):
        assert client.delete(f"/v1/jobs/{id}").json()["state"] == "cancelled"
    gate.set()
    third = client.post("/v1/generate", json={"emotion": "sadness"}).json()["id"]
    assert ended(client, third)["state"] == "done"
    for id in (running, waiting):
        found = client.get(f"/v1/jobs/{id}").json()
        assert (found["state"], len(found["paintings"])) == ("cancelled", 0)
    # the cancelled one ended before its next step: only the third painted
    assert service.reading.models["plain"].session.pipeline.painted == 1
    assert client.delete(f"/v1/jobs/{third}").json()["state"] == "done"


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [
        ({}, 422, "exactly one of"),
        ({"emotion": "joj"}, 422, "Did you mean 'joy'"),
        ({"emotion": "joy", "images": 9}, 413, "At most 8 for images, got 9"),
        ({"emotion": "joy", "steps": 51}, 413, "At most 50 for steps, got 51"),
        ({"emotion": "joy", "prompt": "x" * 501}, 413, "At most 500 for a prompt"),
        ({"emotion": "joy", "images": 0}, 422, "images"),
        ({"emotion": "joy", "images": True}, 422, "images"),
        ({"emotion": "joy", "seed": -1}, 422, "seed"),
        ({"emotion": "joy", "intensity": 11}, 422, "intensity must be between 0 and 10"),
        ({"emotion": {"joy": -1}}, 422, "joy"),
        ({"emotion": {}}, 422, ""),
        ({"valence": 5}, 422, "go together"),
        ({"valence": 99, "arousal": 1}, 422, ""),
        ({"like": {"name": "x"}}, 422, "'like.data' is not as it must be: Field required"),
        ({"emotion": "joy", "seed": 0.5}, 422, "'seed' is not as it must be"),
        ({"like": "/etc/passwd/"}, 422, "cannot be read as a picture"),
        ({"like": "https://example.org/x.png"}, 422, "nothing is fetched"),
        ({"emotion": "joy", "model": "other"}, 422, "Unknown model"),
        ({"emotion": "joy", "out": "/tmp/x"}, 422, "Unknown field 'out'"),
    ],
)
def test_what_cannot_be_painted_is_told_at_once(client, asked, status, told) -> None:
    assert told in sentence(client.post("/v1/generate", json=asked), status)


def test_a_number_without_a_fraction_is_whole(client, gate) -> None:
    gate.set()
    asked = {"emotion": "joy", "images": 2.0, "seed": 7.0, "steps": 1.0}
    found = ended(client, client.post("/v1/generate", json=asked).json()["id"])
    assert [(type(one["seed"]), one["seed"]) for one in found["paintings"]] == [(int, 7)] * 2


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none(client, number) -> None:
    body = f'{{"emotion": "joy", "intensity": {number}}}'
    answer = client.post("/v1/generate", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    sentence(answer, answer.status_code)


def test_like_a_picture_and_nothing_of_it_is_kept(client, service, gate) -> None:
    gate.set()
    answer = client.post("/v1/generate", json={"like": b64(png(7))})
    assert answer.status_code == 202, answer.text
    found = ended(client, answer.json()["id"])
    assert found["paintings"][0]["request"]["like"] == "a picture in memory"
    assert service.pixels.held == 0
    (job,) = service.jobs._jobs.values()
    assert job.request.like is None


def test_too_many_jobs_and_those_of_others(tmp_path, gate) -> None:
    file = tmp_path / "keys"
    file.write_text("\n".join(KEYS))
    pipeline = PlainPipeline(lambda count: gate.wait(60))
    service = service_of(pipeline, read_keys(file, {}), jobs=3, jobs_per_key=2)
    first, second = ({"authorization": f"Bearer {key}"} for key in KEYS)
    asked = {"emotion": "joy"}
    with client_of(service) as client:
        ids = [
            client.post("/v1/generate", json=asked, headers=first).json()["id"] for _ in range(2)
        ]
        answer = client.post("/v1/generate", json=asked, headers=first)
        assert "2 of your jobs" in sentence(answer, 429)
        assert int(answer.headers["retry-after"]) >= 1
        assert client.post("/v1/generate", json=asked, headers=second).status_code == 202
        answer = client.post("/v1/generate", json=asked, headers=second)
        assert "3 jobs wait" in sentence(answer, 429)
        for method in ("GET", "DELETE"):
            sentence(client.request(method, f"/v1/jobs/{ids[0]}", headers=second), 404)
        sentence(client.get(f"/v1/jobs/{ids[0]}/events", headers=second), 404)
        sentence(client.get("/v1/jobs/none", headers=first), 404)
        gate.set()
        assert ended(client, ids[1], first)["state"] == "done"


def test_a_job_that_fails_says_so_and_the_next_is_painted() -> None:
    fails = [ZeroDivisionError("secret"), None]

    def hold(count: int) -> None:
        error = fails.pop(0)
        if error is not None:
            raise error

    with client_of(service_of(PlainPipeline(hold))) as client:
        ids = [client.post("/v1/generate", json={"emotion": "joy"}).json()["id"] for _ in range(2)]
        first, second = (ended(client, id) for id in ids)
    assert first["state"] == "failed" and "secret" not in first["error"]
    assert second["state"] == "done"


def test_ended_jobs_are_forgotten_in_time_and_in_size(gate) -> None:
    gate.set()
    service = service_of(kept_jobs=2, kept_seconds=60.0)
    with client_of(service) as client:
        ids = [client.post("/v1/generate", json={"emotion": "joy"}).json()["id"]]
        for _ in range(3):
            ended(client, ids[-1])
            ids.append(client.post("/v1/generate", json={"emotion": "joy"}).json()["id"])
        ended(client, ids[-1])
        assert [client.get(f"/v1/jobs/{id}").status_code for id in ids] == [404, 404, 200, 200]
        for job in service.jobs._jobs.values():
            job.ended -= 61.0
        assert client.get(f"/v1/jobs/{ids[-1]}").status_code == 404


def test_a_server_that_ends_hands_back_what_nobody_can_wait_for(client, service, gate) -> None:
    running = client.post("/v1/generate", json={"emotion": "joy"}).json()["id"]
    waiting = client.post("/v1/generate", json={"emotion": "joy"}).json()["id"]
    service.drain()
    for id in (running, waiting):
        found = client.get(f"/v1/jobs/{id}").json()
        assert found["state"] == "handed_back" and "server ends" in found["error"]
    for place, body in (("generate", {"emotion": "joy"}), ("understand", {"texts": ["a"]})):
        answer = client.post(f"/v1/{place}", json=body)
        sentence(answer, 503)
        assert int(answer.headers["retry-after"]) >= 1
    sentence(client.get("/readyz"), 503)
    assert client.get("/healthz").status_code == 200
