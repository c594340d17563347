"""Words as data sets write them, made alike: before they are shown, joined or compared."""

from __future__ import annotations

import html
import re
import unicodedata

# Quotation marks of any age become those of a keyboard, so that words of two data sets are equal.
MARKS = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc\u00b4\u0060", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
        **dict.fromkeys("\u200b\u200c\u2060\ufeff\u00ad", None),
    }
)
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]\w{1,31});")
# Of Windows' text read as Latin-1: U+0092 was an apostrophe.
WINDOWS = re.compile("[\x80-\x9f]")


def plain(text: object) -> str:
    """Return what somebody said as one line: entities resolved, keyboard quotes, single blanks.

    A zero-width joiner stays, since emoji are made with it; control characters and halves of a
    character (lone surrogates) go. None is no words.
    """
    words = "" if text is None else str(text)
    if not words.isascii() or "&" in words:
        words = _readable(words)
    if not words.isprintable():
        words = "".join(sign if _shown(sign) else " " for sign in words)
    return " ".join(words.replace("`", "'").split())


def compared(text: str) -> str:
    """Return the lower-case letters a-z and digits of a text: what is hashed of an utterance."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _readable(words: str) -> str:
    words = ENTITY.sub(lambda found: html.unescape(found[0]), words)
    words = words.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    words = WINDOWS.sub(_windows, words).replace("\ufffd", "").translate(MARKS)
    return unicodedata.normalize("NFC", words)


def _windows(found: re.Match[str]) -> str:
    return found[0].encode("latin-1").decode("cp1252", "ignore")


def _shown(sign: str) -> bool:
    return sign == "\u200d" or unicodedata.category(sign)[0] != "C" or sign.isspace()
