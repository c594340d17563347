"""How much one caller may ask for, and the refusal of what is more."""

from __future__ import annotations

import math
from dataclasses import dataclass

from emosym.data.images import MAX_PIXELS
from emosym.errors import EmoSymError

MIB = 1024 * 1024
TOLD = (  # to those who ask
    "body_bytes",
    "pixels",
    "pictures",
    "texts",
    "text_chars",
    "dialogues",
    "turns",
    "prompt_chars",
    "steps",
    "images",
    "jobs_per_key",
    "deadline",
)


class Refused(EmoSymError):  # noqa: N818 - an answer, not a fault
    """What is answered instead of what was asked: an HTTP status and one sentence.

    `retry_after` are the seconds after which the same request may be taken, where time helps.
    """

    def __init__(self, status: int, sentence: str, retry_after: float | None = None) -> None:
        """Hold the status, the sentence and when to come again."""
        super().__init__(sentence)
        self.status = status
        self.retry_after = None if retry_after is None else max(1, math.ceil(retry_after))


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a server; sizes in bytes, times in seconds.

    Of a request: `body_bytes`, `pixels` a picture, `pictures`, `texts` of `text_chars`, `dialogues`
    of `turns` in all. Of a painting: `prompt_chars`, `steps`, `images`. Of a key: `jobs_per_key`
    that wait or are painted. Of the server: `held_bytes` of all bodies and of all decoded pictures
    at one time, `waiting` inputs that wait to be read, `jobs` that wait or are painted, `kept_jobs`
    and `kept_bytes` of finished ones for `kept_seconds`, `connections`. Of time: `deadline` from a
    whole request to its answer, `head_seconds` and `body_seconds` to send a request's head and
    body, `send_seconds` to take a part of an answer, `decode_seconds` a picture, `grace` to finish
    when the server is asked to end.
    """

    body_bytes: int = 32 * MIB
    held_bytes: int = 512 * MIB
    pixels: int = MAX_PIXELS
    pictures: int = 32
    texts: int = 64
    text_chars: int = 10_000
    dialogues: int = 8
    turns: int = 200
    prompt_chars: int = 500
    steps: int = 50
    images: int = 8
    jobs_per_key: int = 4
    jobs: int = 16
    kept_jobs: int = 64
    kept_bytes: int = 128 * MIB
    kept_seconds: float = 600.0
    waiting: int = 256
    connections: int = 256
    deadline: float = 30.0
    head_seconds: float = 10.0
    body_seconds: float = 20.0
    send_seconds: float = 30.0
    decode_seconds: float = 10.0
    grace: float = 20.0

    def told(self) -> dict[str, float]:
        """Return the limits that concern one request."""
        return {name: getattr(self, name) for name in TOLD}


class Budget:
    """Bytes that may be held at one time, by all requests together."""

    def __init__(self, most: int, what: str) -> None:
        """Hold how many; `what` names them in the refusal."""
        self.most, self.what, self.held = most, what, 0

    def take(self, count: int) -> None:
        """Count `count` more bytes as held.

        Raises:
            Refused: 429, when that would be too many. A budget that holds nothing takes anything.
        """
        if self.held and self.held + count > self.most:
            raise Refused(429, f"The server holds as many {self.what} as it can: try again.", 1)
        self.held += count

    def give(self, count: int) -> None:
        """Count bytes as held no more."""
        self.held -= count
