"""What a model said about a picture: taken out of its wrapping, and checked."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from emosym.annotate.emotion_words import emotion_words

# "failed": no answer came; it is not kept, so the next run asks again.
Status = Literal["ok", "refused", "malformed", "emotion_word", "unreadable", "failed"]
MIN_WORDS = 3
MAX_WORDS = 110
FIELD = "rationale"
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": FIELD,
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {FIELD: {"type": "string"}},
            "required": [FIELD],
            "additionalProperties": False,
        },
    },
}
_FENCE = re.compile(r"^```\w*\s*\n?(.*?)\n?```$", re.DOTALL)
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"'})
_REFUSAL = re.compile(
    r"^\W*(?:(?:i'?m|i am) (?:really |so |very )?(?:sorry|afraid|unable|not able)|sorry\b|"
    r"i (?:can'?t|cannot|can not|won'?t|will not|do not feel comfortable)|unfortunately,? i\b|"
    r"i apologi[sz]e|"
    r"as an? (?:ai|(?:large )?language model)\b.*\b(?:cannot|can'?t|unable|not able)|"
    r"(?:there is )?no (?:image|picture|photo) (?:was |is |has been )?"
    r"(?:provided|attached|visible))",
    re.IGNORECASE,
)
_BOILERPLATE = re.compile(
    r"\bas an? (?:ai|(?:large )?language model)\b|"
    r"^\W*(?:sure|certainly|of course|absolutely|great)[,!.:]|"
    r"\bhere(?:'s| is| are)\b[^.]{0,60}:|\b(?:let me know|i hope this|feel free to|"
    r"would you like me|is there anything else)\b|<\|?[a-z_]+\|?>",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer is worth: `ok` with its text, or what is wrong with it in words."""

    status: Status
    text: str | None
    reason: str | None = None


def judge_answer(said: str, blind: bool = True, labels: Sequence[str] = ()) -> Verdict:
    """Check one answer; `blind` also refuses emotion words and `labels`.

    An answer is a JSON object with a `rationale`, possibly fenced, or plain text. Anything that
    only begins like JSON was cut off, and is malformed.
    """
    body = _THOUGHT.sub("", said).strip()
    fenced = _FENCE.match(body)
    body = fenced[1].strip() if fenced else body
    if body.startswith(("{", "[")):
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            return Verdict("malformed", None, "it begins like JSON and is none, or was cut off")
        text = found.get(FIELD) if isinstance(found, dict) else None
        if not isinstance(text, str):
            return Verdict("malformed", None, f"its JSON has no text under {FIELD!r}")
        body = text
    text = " ".join(body.split()).strip('"').strip()
    return _judge_text(text, blind, labels)


def _judge_text(text: str, blind: bool, labels: Sequence[str]) -> Verdict:
    plain, words = text.translate(_APOSTROPHES), len(text.split())
    if not text:
        return Verdict("malformed", None, "it is empty")
    if _REFUSAL.match(plain):
        return Verdict("refused", None, f"the model declined: {text[:120]}")
    if _BOILERPLATE.search(plain):
        return Verdict("malformed", None, "it talks about itself or to the reader")
    if not MIN_WORDS <= words <= MAX_WORDS:
        return Verdict("malformed", None, f"it has {words} words, not {MIN_WORDS} to {MAX_WORDS}")
    named = emotion_words(plain, labels) if blind else ()
    if named:
        return Verdict("emotion_word", None, f"it names what one feels: {', '.join(named)}")
    return Verdict("ok", text)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of asking about one picture; tokens of all requests, None where nobody counts."""

    verdict: Verdict
    tokens_in: int | None = None
    tokens_out: int | None = None
