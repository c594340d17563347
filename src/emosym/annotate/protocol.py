"""The chat protocol as plain data: what is sent, what comes back, and how long to wait."""

from __future__ import annotations

import base64
import io
import json
import math
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from emosym.annotate.answers import SCHEMA, Verdict
from emosym.annotate.prompts import JSON_NOTE
from emosym.errors import UsageError

LOSSLESS_SIDE = 256


@dataclass(frozen=True, slots=True)
class Service:
    """Which server, and how it is asked. `key` is never shown; `back_off` is in seconds.

    `structured` asks for JSON by a schema, until a server is found not to take one.
    """

    url: str
    model: str
    key: str | None = field(default=None, repr=False)
    timeout: float = 120.0
    retries: int = 5
    back_off: tuple[float, float] = (0.5, 30.0)
    max_tokens: int = 200
    max_side: int = 768
    temperature: float | None = None
    structured: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer as it came: text, or why there is none, and the tokens it took."""

    verdict: Verdict | None
    text: str = ""
    tokens_in: int = 0
    tokens_out: int = 0


def base_url(url: str) -> str:
    """Return the address below which `/chat/completions` lies; `/v1` where no path was given.

    Raises:
        UsageError: when it is no http(s) address, or carries a password.
    """
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        whole = False
    if not whole:
        raise UsageError("--url must look like http://host:8000 or https://host/v1.")
    if parts.username or parts.password or parts.query:
        raise UsageError("--url must hold no user, password or query: give the key by --key-env.")
    path = parts.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def picture_url(image: Image.Image, max_side: int) -> str:
    """Return an RGB picture as a data URL: at most `max_side` pixels, without its metadata."""
    picture = image
    if max(image.size) > max_side:
        picture = image.copy()
        picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    kind = "PNG" if max(picture.size) <= LOSSLESS_SIDE else "JPEG"
    stream = io.BytesIO()
    picture.save(stream, kind, quality=90)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"


def request_of(
    service: Service, structured: bool, limit: str, url: str, prompt: str
) -> dict[str, Any]:
    """Return the request about one picture, as the client's keyword arguments."""
    content = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": f"{prompt} {JSON_NOTE}" if structured else prompt},
    ]
    asked: dict[str, Any] = {
        "model": service.model,
        "messages": [{"role": "user", "content": content}],
        limit: service.max_tokens,
    }
    if structured:
        asked["response_format"] = SCHEMA
    if service.temperature is not None:
        asked["temperature"] = service.temperature
    return asked


def read_reply(body: bytes) -> Reply | str:
    """Return what a server's answer says, or in words why it is none."""
    try:
        found = json.loads(body)
        choice = found["choices"][0]
        message = choice["message"]
        usage = found.get("usage") or {}
        used = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
        text, refusal = message.get("content"), message.get("refusal")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return f"the server's answer is no chat completion: {body[:80].decode(errors='replace')!r}"
    if refusal or choice.get("finish_reason") == "content_filter":
        said = f"the model declined: {str(refusal or 'its filter')[:120]}"
        return Reply(Verdict("refused", None, said), "", *used)
    if text is not None and not isinstance(text, str):
        return "the server's answer holds no text"
    return Reply(None, text or "", *used)


def hide_key(text: str, key: str | None) -> str:
    """Return a text with every occurrence of a key blotted out."""
    return text.replace(key, "***") if key else text


def retry_after(value: str | None) -> float | None:
    """Read a Retry-After header: seconds, or a date."""
    if value is None:
        return None
    try:
        seconds = float(value)
        return None if math.isnan(seconds) else max(0.0, seconds)
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
