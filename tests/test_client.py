"""The client against a real server: rows, paintings, refusals, waits."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest
from tests.apps.server.plain import PlainPipeline, png, service_of, serving

from emosym.apps.server.keys import read_keys
from emosym.client import Client, Progress, ServerError
from emosym.errors import UsageError

KEY = "a-long-key-for-one-client"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(KEY)
    with serving(service_of(keys=read_keys(file, {}))) as address:
        yield address


@pytest.fixture
def client(url):
    with Client(url, KEY) as made:
        yield made


def test_it_reads_everything(client, tmp_path) -> None:
    sea = tmp_path / "sea.png"
    sea.write_bytes(png(240))
    (row,) = client.understand(sea, explain=True)
    assert (row["source"], row["emotion"], row["rationale"]) == (
        str(sea),
        "joy",
        "It is bright or not.",
    )
    rows = client.understand({"a": png(10), "b": b"none"}, model="plain")
    assert [row["source"] for row in rows] == ["a", "b"]
    assert rows[0]["emotion"] == "sadness" and "cannot be read" in rows[1]["error"]
    assert [row["emotion"] for row in client.understand_texts(["Yes!", "No."])] == [
        "joy",
        "sadness",
    ]
    rows = client.understand_dialogue([("Ann", "You!"), "I did."], name="door")
    assert [row["source"] for row in rows] == ["door#1", "door#2"]
    assert client.ready() and client.models()[0]["name"] == "plain"


def test_it_paints_and_watches(client) -> None:
    seen: list[Progress] = []
    paintings = client.paint(
        {"joy": 0.6, "sadness": 0.4}, images=2, seed=3, progress=seen.append, like=None
    )
    assert [painting.image.getpixel((0, 0)) for painting in paintings] == [(30, 0, 0), (30, 1, 0)]
    assert paintings[1].index == 1 and paintings[1].reading is not None
    assert (seen[-1].state, seen[-1].done, seen[-1].total) == ("done", 2, 2)
    id = client.generate(like=png(9))
    assert [progress.state for progress in client.watch(id)][-1] == "done"
    assert client.job(id).done == len(client.paintings(id)) == 1
    assert client.cancel(id).state == "done"


def test_refusals_are_the_servers_sentences(client, url, tmp_path) -> None:
    with pytest.raises(ServerError, match="Did you mean 'joy'") as refused:
        client.generate("joi")
    assert refused.value.status == 422
    with pytest.raises(ServerError, match="header Authorization"), Client(url) as stranger:
        stranger.models()
    with pytest.raises(ServerError, match="no such job"):
        list(client.watch("none"))
    with pytest.raises(UsageError, match="cannot be read"):
        client.understand(tmp_path / "missing.png")
    with pytest.raises(ServerError, match="is it up"):
        Client("http://127.0.0.1:9", retries=0).models()
    with pytest.raises(UsageError, match="address is none"):
        Client("ftp://127.0.0.1", retries=0).models()


def test_a_busy_server_is_asked_again(monkeypatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    answers = [
        httpx.Response(429, json={"error": "Busy."}, headers={"retry-after": "7"}),
        httpx.Response(503, text="proxy"),
        httpx.Response(200, json={"models": [{"name": "m"}]}),
    ]
    transport = httpx.MockTransport(lambda request: answers.pop(0))
    assert Client(transport=transport).models() == [{"name": "m"}]
    assert waited == [7.0, 1.0]
    refuse = httpx.MockTransport(lambda request: httpx.Response(502, text="<html>"))
    with pytest.raises(ServerError, match="answered 502, and not as emosym serve does"):
        Client(transport=refuse).models()


def test_a_job_that_is_cancelled_is_an_error_of_paint() -> None:
    gate = threading.Event()
    pipeline = PlainPipeline(lambda count: gate.wait(60))
    with serving(service_of(pipeline)) as url, Client(url) as client:

        def cancel(found: Progress) -> Any:
            if found.state == "running":
                client.cancel(found.id)
                gate.set()

        with pytest.raises(ServerError, match="was cancelled"):
            client.paint("joy", images=8, progress=cancel)
