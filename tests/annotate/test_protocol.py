"""The protocol as data: addresses, pictures, requests, answers, waiting times."""

from __future__ import annotations

import base64
import io
import json
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import numpy as np
import pytest
from PIL import Image

from emosym.annotate.protocol import (
    Reply,
    Service,
    base_url,
    hide_key,
    picture_url,
    read_reply,
    request_of,
    retry_after,
)
from emosym.errors import UsageError


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/v1"),
        ("https://host/v1/", "https://host/v1"),
        ("https://host/v1/chat/completions", "https://host/v1"),
        ("https://host/openai/deployments/x", "https://host/openai/deployments/x"),
    ],
)
def test_addresses(given: str, base: str) -> None:
    assert base_url(given) == base


@pytest.mark.parametrize(
    "given",
    [
        "host:8000",
        "ftp://host/v1",
        "http://",
        "http://me:secret@host/v1",
        "http://h/v1?k=1",
        "http://host:99999999",
        "http://host:x",
        "http://[::1/v1",
        "http://host:0",
    ],
)
def test_addresses_that_are_none(given: str) -> None:
    with pytest.raises(UsageError, match="--url") as caught:
        base_url(given)
    assert "secret" not in str(caught.value)


def opened(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_small_pictures_travel_without_loss() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    url = picture_url(Image.fromarray(pixels), 768)
    assert url.startswith("data:image/png;base64,")
    assert (np.asarray(opened(url)) == pixels).all()


def test_large_pictures_shrink_and_lose_their_metadata() -> None:
    image = Image.new("RGB", (2000, 1000), "red")
    image.getexif()[0x010E] = "where it was taken"
    url = picture_url(image, 500)
    sent = opened(url)
    assert url.startswith("data:image/jpeg;base64,")
    assert sent.size == (500, 250) and not sent.getexif()
    assert image.size == (2000, 1000)


def test_requests() -> None:
    service = Service("http://h/v1", "m", key="secret", max_tokens=50)
    plain = request_of(service, False, "max_tokens", "data:x", "What?")
    assert plain == {
        "model": "m",
        "max_tokens": 50,
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "data:x"}},
                    {"type": "text", "text": "What?"},
                ],
            }
        ],
    }
    full = request_of(service, True, "max_completion_tokens", "data:x", "What?")
    schema = full["response_format"]["json_schema"]
    assert schema["strict"] and schema["schema"]["required"] == ["rationale"]
    assert "JSON" in full["messages"][0]["content"][1]["text"]
    assert full["max_completion_tokens"] == 50 and "max_tokens" not in full
    assert "secret" not in json.dumps(full) and "secret" not in repr(service)


def body(message: dict, finish: str = "stop", **rest: object) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return json.dumps({"choices": [choice], **rest}).encode()


def test_replies() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    assert read_reply(body({"content": "Hi"}, usage=usage)) == Reply(None, "Hi", 7, 3)
    assert read_reply(body({"content": None})) == Reply(None, "", 0, 0)
    for message, finish in (
        ({"content": None, "refusal": "No."}, "stop"),
        ({"content": "x"}, "content_filter"),
    ):
        reply = read_reply(body(message, finish, usage=usage))
        assert isinstance(reply, Reply) and reply.verdict is not None
        assert reply.verdict.status == "refused" and reply.tokens_in == 7


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"[]", b"{}", b"null", b'{"choices": []}', b'{"choices": [{}]}',
     b'{"choices": [{"message": "x"}]}', b'{"choices": [{"message": {"content": [1]}}]}',
     b'{"choices": [{"message": {"content": "x"}}], "usage": [1]}',
     b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": "many"}}'],
)  # fmt: skip
def test_replies_that_are_none_are_told_in_words(content: bytes) -> None:
    reply = read_reply(content)
    assert isinstance(reply, str) and reply


def test_waiting_times() -> None:
    assert retry_after(None) is None
    assert retry_after("2.5") == 2.5
    assert retry_after("-3") == 0.0
    assert retry_after("soon") is None
    assert retry_after("nan") is None
    later = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=60), usegmt=True)
    found = retry_after(later)
    assert found is not None and 50 < found <= 60
    past = format_datetime(datetime.now(timezone.utc) - timedelta(days=1), usegmt=True)
    assert retry_after(past) == 0.0


def test_keys_are_blotted_out() -> None:
    assert hide_key("Wrong key sk-1.", "sk-1") == "Wrong key ***."
    assert hide_key("Wrong key.", None) == "Wrong key."
