"""How sure an answer says that it is, in words and numbers: "I am 70 % sure"."""

from __future__ import annotations

import re

from emosym.rewards.text import tagged

MOST_LETTERS = 20_000  # of an answer that are looked at
_SURE = r"(?:sure|certain|confident|confidence|certainty|likely|probability|chance)"
_NUMBER = r"(?<![\w.])(\d{1,3}(?:[.,]\d{1,6})?|[.]\d{1,6})"
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # "70 % sure", "70 percent confident"
        rf"{_NUMBER}\s*(%|percent|per cent)\s*(?:of\s+)?(?:\w+\s+)?{_SURE}\b",
        # "confidence: 0.7", "my confidence is 70 %", "sure at 70 %"
        rf"\b{_SURE}(?:\s+(?:level|score|of|is|at|about|around|roughly|to))*\s*[:=]?\s*"
        rf"{_NUMBER}(?![\d.,]*\s*(?:/|out of))\s*(%|percent|per cent)?",
        # "0.7 confidence"
        rf"{_NUMBER}()\s+{_SURE}\b",
    )
)
_OUT_OF = re.compile(
    rf"\b{_SURE}\b[^.\n]{{0,20}}?{_NUMBER}\s*(?:/|out of)\s*(\d{{1,3}})\b"
    rf"|{_NUMBER}\s*(?:/|out of)\s*(\d{{1,3}})\s+{_SURE}\b",
    re.IGNORECASE,
)


def spoken_confidence(text: str) -> float | None:
    """Return how sure a text says that it is, 0..1; None where it does not, or says two things.

    Read are `<confidence>` tags, percents ("70 % sure", "confidence: 70 percent"), shares
    ("confidence 0.7") and marks out of a number ("7/10 sure"). A number above 1 without a percent
    sign is a percent. What lies outside 0..1 is nothing.
    """
    stated = tagged(text, "confidence")
    words = text[:MOST_LETTERS]
    if stated is not None:
        words = f"confidence: {stated}"
    found: set[float] = set()
    for match in _OUT_OF.finditer(words):
        part, whole = (match[1], match[2]) if match[1] else (match[3], match[4])
        if float(whole) > 0:
            found.add(_number(part) / float(whole))
    if not found:
        for pattern in _PATTERNS:
            for match in pattern.finditer(words):
                number = _number(match[1])
                found.add(number / 100.0 if match[2] or number > 1.0 else number)
            if found:
                break
    (only,) = found if len(found) == 1 else (None,)
    return only if only is not None and 0.0 <= only <= 1.0 else None


def _number(text: str) -> float:
    return float(text.replace(",", "."))
