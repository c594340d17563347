"""Rationales from any server that speaks OpenAI's chat protocol, over images as data URLs.

The client is OpenAI's own (extra `annotate`): servers of this protocol are made to work with it,
and it knows timeouts and kinds of error. Its retries are off, since they know neither our limits
nor a seed: retries, pace and the reading of answers are here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

from PIL import Image

from emosym.annotate.answers import Outcome, Verdict, judge_answer
from emosym.annotate.pace import Pace
from emosym.annotate.prompts import reminder
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
from emosym.errors import EmoSymError
from emosym.extras import require
from emosym.seeds import numpy_rng

NO_KEY = "none"  # the client insists on one; servers without keys pass over it
HARD = {
    401: "the key is missing or wrong",
    402: "it asks for payment",
    403: "the key may not do this",
    404: "there is no such address or model",
}
AGAIN = frozenset((408, 409, 425, 429))
POLICY = frozenset(("content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"))
LONGEST_WAIT = 300.0  # a server that asks for more is asked again by the next run
GIVE_UP_AFTER = 3
STOPPED = Reply(Verdict("failed", None, "the run was stopped"))


@dataclass
class Conversation:
    """One run with one server, shared by its threads: what the server takes, and how it goes."""

    openai: ModuleType
    client: Any
    service: Service
    pace: Pace
    say: Callable[[str], None]
    stop: threading.Event
    structured: bool
    limit: str = "max_tokens"
    plain_because: str | None = None
    answered: int = 0
    failed_in_a_row: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def open_asker(
    service: Service,
    pace: Pace,
    say: Callable[[str], None],
    stop: threading.Event,
    blind: bool = True,
    labels: tuple[str, ...] = (),
) -> Callable[[int, Image.Image, str], Outcome]:
    """Return `ask(index, picture, prompt)`, which threads may call at once, until `stop` is set.

    An answer that cannot be used is asked for once more, with what was wrong. `say` is told once
    what a server does not take. `index` names the picture's stream of waiting times.

    Raises (from `ask` too):
        UsageError: when the address is none.
        EmoSymError: when the client is not installed, and when the server refuses all work (key,
            address, quota) or is gone.
    """
    url = base_url(service.url)
    openai = require("openai", "annotate")
    client = openai.OpenAI(
        base_url=url, api_key=service.key or NO_KEY, timeout=service.timeout, max_retries=0
    )
    talk = Conversation(openai, client, service, pace, say, stop, service.structured)

    def ask(index: int, picture: Image.Image, prompt: str) -> Outcome:
        shown = picture_url(picture, service.max_side)
        spent_in = spent_out = 0
        asked = prompt
        for turn in range(2):
            reply = ask_once(talk, 2 * index + turn, shown, asked)
            spent_in, spent_out = spent_in + reply.tokens_in, spent_out + reply.tokens_out
            verdict = reply.verdict or judge_answer(reply.text, blind, labels)
            if reply.verdict or verdict.status not in ("malformed", "emotion_word"):
                break
            asked = reminder(prompt, str(verdict.reason))
        reason = verdict.reason and hide_key(verdict.reason, service.key)
        return Outcome(replace(verdict, reason=reason), spent_in, spent_out)

    return ask


def ask_once(talk: Conversation, number: int, url: str, prompt: str) -> Reply:
    """Send one request, and again with growing waits where that may help."""
    openai, service = talk.openai, talk.service
    reason, attempt, malformed = "", 0, False
    while attempt <= service.retries:
        guessed = talk.pace.wait(talk.stop.wait)
        if talk.stop.is_set():
            return STOPPED
        structured, limit = talk.structured, talk.limit
        asked: str | None = None
        malformed = False
        try:
            raw = talk.client.chat.completions.with_raw_response.create(
                **request_of(service, structured, limit, url, prompt)
            )
        except openai.APIStatusError as error:
            status, reason = error.status_code, _said(error, service)
            _check_hard(service, error, reason)
            if status < 500 and getattr(error, "code", None) in POLICY:
                declined = Verdict("refused", None, f"the server declined, {reason}")
                return _answered(talk, Reply(declined))
            if status < 500 and status not in AGAIN:
                if _adapt(talk, structured, limit, reason):
                    continue
                return _declined(talk, reason)
            asked = error.response.headers.get("retry-after")
        except openai.APITimeoutError:
            status, reason = 0, f"no answer within {service.timeout:g} seconds"
        except openai.APIConnectionError as error:
            status, reason = 0, _cause(error)
        else:
            reply = read_reply(raw.http_response.content)
            if isinstance(reply, Reply):
                talk.pace.settle(guessed, reply.tokens_in + reply.tokens_out)
                return _answered(talk, reply)
            status, reason, malformed = 200, reply, True
        seconds = _waiting(service, number, attempt, asked)
        if status == 429 or asked is not None:
            talk.pace.pause(seconds)
        attempt += 1
        if attempt <= service.retries:
            talk.stop.wait(seconds)
    if malformed:
        return _answered(talk, Reply(Verdict("malformed", None, reason)))
    return _failed(talk, reason)


def _check_hard(service: Service, error: Any, reason: str) -> None:
    """Raise EmoSymError for what no repetition mends."""
    quota = getattr(error, "code", None) == "insufficient_quota"
    if error.status_code in HARD or quota:
        why = "the quota is used up" if quota else HARD[error.status_code]
        raise EmoSymError(
            f"The server at {service.url} refuses to work for model {service.model!r}: {why} "
            f"({reason}). What was answered is kept; mend it and run again."
        )


def _adapt(talk: Conversation, structured: bool, limit: str, reason: str) -> bool:
    """Leave out what the server may not know; False when nothing is left to try."""
    with talk.lock:
        if "max_completion_tokens" in reason and limit == "max_tokens":
            talk.limit = "max_completion_tokens"
            return True
        if not structured or (talk.structured and talk.answered):
            return False  # what it took before it takes now: this picture is the matter
        if talk.structured:
            talk.structured, talk.plain_because = False, reason
        return True


def _answered(talk: Conversation, reply: Reply) -> Reply:
    with talk.lock:
        talk.answered += 1
        talk.failed_in_a_row = 0
        because, talk.plain_because = talk.plain_because, None
    if because is not None:
        talk.say(f"The server takes no JSON schema ({because}); it is asked in plain text.")
    return reply


def _declined(talk: Conversation, reason: str) -> Reply:
    """Of a picture that the server will not have; where it took none at all, no picture's fault."""
    if talk.answered:
        return _answered(talk, Reply(Verdict("refused", None, f"the server declined, {reason}")))
    return _failed(talk, reason)


def _failed(talk: Conversation, reason: str) -> Reply:
    with talk.lock:
        talk.failed_in_a_row += 1
        gone = talk.failed_in_a_row >= GIVE_UP_AFTER
    if gone:
        said = hide_key(reason, talk.service.key)
        raise EmoSymError(
            f"The server at {talk.service.url} gave no usable answer for {GIVE_UP_AFTER} pictures "
            f"in a row (last: {said}). What was answered is kept; run again when it is back."
        )
    return Reply(Verdict("failed", None, reason))


def _waiting(service: Service, number: int, attempt: int, asked: str | None) -> float:
    """Return the seconds to wait: doubled each time and jittered, on top of what a server asks.

    Raises:
        EmoSymError: when the server asks for more than LONGEST_WAIT.
    """
    first, longest = service.back_off
    jitter = float(numpy_rng(service.seed, "annotate-back-off", number, attempt).uniform(0.5, 1.0))
    own = jitter * min(longest, first * 2**attempt)
    wished = retry_after(asked)
    if wished is None:
        return own
    if wished > LONGEST_WAIT:
        raise EmoSymError(
            f"The server at {service.url} asks to wait {wished:.0f} seconds. What was answered is "
            "kept; run again then, or with a lower --rpm or --tpm."
        )
    return wished + own


def _said(error: Any, service: Service) -> str:
    """Return status and words of a refused request in one line, without the key."""
    body = error.body
    told = body.get("message") or body.get("detail") if isinstance(body, dict) else body
    line = " ".join(str(told or error.message).split())
    return f"{error.status_code}: {hide_key(line, service.key)[:200]}"


def _cause(error: BaseException) -> str:
    """Return the innermost reason of a connection error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"no connection: {error}" if str(error) else f"no connection: {type(error).__name__}"
