"""From a request's bytes to what is asked, within the limits; nothing here touches a file."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from emosym.apps.server.limits import Limits, Refused
from emosym.apps.server.schemas import (
    DialogueSent,
    PictureSent,
    TurnSent,
    UnderstandSent,
    told_problem,
)
from emosym.apps.server.web import Request, exceptions, formparsers
from emosym.data.walk import URL
from emosym.errors import UsageError
from emosym.service.sinks import printable

Model = TypeVar("Model", bound=BaseModel)
Value = TypeVar("Value")
LONGEST_NAME = 200
JSON, MULTIPART = "application/json", "multipart/form-data"
DATA_URL = re.compile(r"data:[\w.+/-]*;base64,", re.ASCII)
FIELDS = ("pictures", "texts", "explain", "model")
SHORT = 256 * 1024  # bytes that are parsed in no time
TRUTHS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class PictureAsked:
    """A picture as it came, with the name that stands for it; or why it is none."""

    name: str
    data: bytes
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TurnAsked:
    """A turn of a dialogue."""

    speaker: str | None
    text: str | None
    picture: PictureAsked | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What to read, within the limits."""

    pictures: tuple[PictureAsked, ...]
    texts: tuple[str, ...]
    dialogues: tuple[tuple[str, tuple[TurnAsked, ...]], ...]
    explain: bool
    model: str | None

    @property
    def inputs(self) -> int:
        """How many inputs there are."""
        return len(self.pictures) + len(self.texts) + len(self.dialogues)


async def read_asked(request: Request, limits: Limits) -> Asked:
    """Return what a request asks to read.

    Raises:
        Refused: 413 for more than the limits allow, 415 for a body of another kind.
        UsageError: for a body that is malformed, or asks nothing.
    """
    kind = content_type(request)
    if kind == JSON:
        asked = await apart(_of_json, await request.body())
    elif kind == MULTIPART:
        asked = await _of_form(request, limits)
    else:
        raise Refused(415, f"The body must be {MULTIPART} or {JSON}, got {shown(kind)}.")
    _check(asked, limits)
    return asked


def content_type(request: Request) -> str:
    """Return the media type of a body without its parameters."""
    return str(request.headers.get("content-type", "")).split(";", 1)[0].strip().lower()


def parsed(model: type[Model], body: bytes) -> Model:
    """Return a JSON body as what it must be.

    Raises:
        UsageError: one sentence on the first thing that is wrong with it.
        Refused: 400 for what is no JSON at all.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise told_problem(error, model) from None


def picture_asked(sent: str | PictureSent, number: int) -> PictureAsked:
    """Return a picture that was sent in base64; `number` names one that has no name."""
    text = sent if isinstance(sent, str) else sent.data
    given = None if isinstance(sent, str) else sent.name
    name = named(given, f"picture {number}")
    if URL.match(text[:LONGEST_NAME]) and not DATA_URL.match(text):
        return PictureAsked(name, b"", f"{name!r} is a URL, and nothing is fetched: send its data.")
    begin = DATA_URL.match(text)
    try:
        plain = "".join(text[begin.end() if begin else 0 :].split())
        return PictureAsked(name, base64.b64decode(plain, validate=True))
    except (binascii.Error, ValueError):
        return PictureAsked(name, b"", f"{name!r} is not base64: encode the bytes of the picture.")


def named(given: str | None, otherwise: str) -> str:
    """Return a name of a bearable length that can be shown."""
    shown_name = "".join(sign if sign.isprintable() else " " for sign in printable(given or ""))
    return " ".join(shown_name.split())[:LONGEST_NAME] or otherwise


def shown(text: str) -> str:
    """Return what was got, shortened, in quotes."""
    return repr(named(text, ""))


async def apart(parse: Callable[[bytes], Value], body: bytes) -> Value:
    """Parse a body; a long one in a thread, so that other callers are not kept waiting."""
    return parse(body) if len(body) <= SHORT else await asyncio.to_thread(parse, body)


def _of_json(body: bytes) -> Asked:
    sent = parsed(UnderstandSent, body)
    pictures = tuple(picture_asked(one, number) for number, one in enumerate(sent.pictures, 1))
    dialogues = tuple(
        (named(one.name, f"dialogue {number}"), _turns(one))
        for number, one in enumerate(sent.dialogues, 1)
    )
    return Asked(pictures, tuple(sent.texts), dialogues, sent.explain, sent.model)


def _turns(sent: DialogueSent) -> tuple[TurnAsked, ...]:
    turns = []
    for number, turn in enumerate(sent.turns, 1):
        one = TurnSent(text=turn) if isinstance(turn, str) else turn
        picture = None if one.picture is None else picture_asked(one.picture, number)
        if not (one.text or "").strip() and picture is None:
            raise UsageError(f"Turn {number} of a dialogue has neither 'text' nor a 'picture'.")
        turns.append(TurnAsked(one.speaker or None, one.text or None, picture))
    if not turns:
        raise UsageError("A dialogue has no turn.")
    return tuple(turns)


async def _of_form(request: Request, limits: Limits) -> Asked:
    """Parse a form in memory: what would go to a temporary file stays below `body_bytes`."""
    body = await request.body()

    async def stream() -> AsyncIterator[bytes]:
        yield body

    parser = formparsers.MultiPartParser(
        request.headers,
        stream(),
        max_files=limits.pictures,
        max_fields=limits.texts + len(FIELDS),
        max_part_size=limits.body_bytes,
    )
    parser.spool_max_size = limits.body_bytes + 1
    try:
        form = await parser.parse()
    except formparsers.MultiPartException as error:
        many = "Too many" in error.message
        told = str(error.message).rstrip(".")
        raise Refused(413 if many else 422, f"The form cannot be taken: {told}.") from None
    except exceptions.HTTPException as error:
        raise Refused(422, f"The form cannot be taken: {error.detail}") from None
    pictures: list[PictureAsked] = []
    texts: list[str] = []
    options: dict[str, Any] = {}
    for field, value in form.multi_items():
        if isinstance(value, str):
            _take_field(field, value, texts, options)
            continue
        name = named(value.filename, f"picture {len(pictures) + 1}")
        pictures.append(PictureAsked(name, await value.read()))
        await value.close()
    return Asked(
        tuple(pictures), tuple(texts), (), options.get("explain", False), options.get("model")
    )


def _take_field(field: str, value: str, texts: list[str], options: dict[str, Any]) -> None:
    if field == "texts":
        texts.append(value)
    elif field == "explain" and value.strip().lower() in TRUTHS:
        options[field] = TRUTHS[value.strip().lower()]
    elif field == "model":
        options[field] = value
    elif field == "pictures":
        raise UsageError("The field 'pictures' must be a file: curl -F pictures=@photo.jpg.")
    else:
        raise UsageError(
            f"A form has the fields {', '.join(FIELDS)}; got {shown(field)} = {shown(value)}."
        )


def _check(asked: Asked, limits: Limits) -> None:
    """Refuse more than the limits allow, or nothing at all."""
    if not asked.inputs:
        raise UsageError("There is nothing to read: give pictures, texts or dialogues.")
    turns = sum(len(turns) for _, turns in asked.dialogues)
    shown_too = [turn.picture for _, some in asked.dialogues for turn in some if turn.picture]
    for what, count, most in (
        ("pictures", len(asked.pictures) + len(shown_too), limits.pictures),
        ("texts", len(asked.texts), limits.texts),
        ("dialogues", len(asked.dialogues), limits.dialogues),
        ("turns", turns, limits.turns),
    ):
        if count > most:
            raise Refused(413, f"A request has at most {most} {what}, got {count}: send several.")
    said = [turn.text or "" for _, some in asked.dialogues for turn in some]
    speakers = [turn.speaker or "" for _, some in asked.dialogues for turn in some]
    longest = max((len(text) for text in (*asked.texts, *said, *speakers)), default=0)
    if longest > limits.text_chars:
        raise Refused(413, f"A text has at most {limits.text_chars} signs, got {longest}.")
