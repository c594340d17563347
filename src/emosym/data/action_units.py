"""Facial action units (Ekman and Friesen's FACS): codes, names, phrases, and those of emotions.

The one table of them. A code is "AU" and two digits: "AU04".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from emosym.emotions import LABEL_SPACES, LabelSpace, translated
from emosym.errors import unknown_name

SIMILAR = 0.85  # of difflib's ratio: "brows lowerd" is "brows lowered", "lips raised" is none
MOST_PIECES, LONGEST_PIECE = 64, 60
NOTHING = "none"
NO_UNIT = (NOTHING, "nothing", "no expression", "no facial expression", "no action units")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: its code, its name in FACS, how an answer says it, and other ways to say it."""

    code: str
    name: str
    phrase: str
    also: tuple[str, ...] = ()


# OpenFace tells 1, 2, 4-7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 28, 45; py-feat also 11, 24, 43.
UNITS: dict[str, Unit] = {
    unit.code: unit
    for unit in (
        Unit("AU01", "inner brow raiser", "inner brows raised", ("raised inner eyebrows",)),
        Unit("AU02", "outer brow raiser", "outer brows raised", ("raised outer eyebrows",)),
        Unit(
            "AU04",
            "brow lowerer",
            "brows lowered",
            (
                "lowered brows",
                "furrowed brows",
                "brows furrowed",
                "brows drawn together",
                "frowning",
                "frown",
                "furrowed brow",
                "brow furrowing",
            ),
        ),
        Unit(
            "AU05",
            "upper lid raiser",
            "eyes opened wide",
            ("wide eyes", "eyes wide open", "eyes widened", "widened eyes", "eyes widening"),
        ),
        Unit("AU06", "cheek raiser", "cheeks raised", ("raised cheeks", "cheeks lifted")),
        Unit(
            "AU07",
            "lid tightener",
            "eyes narrowed",
            ("narrowed eyes", "eyes narrowing", "tightened lids", "squinting", "squinted eyes"),
        ),
        Unit("AU09", "nose wrinkler", "nose wrinkled", ("wrinkled nose", "nose wrinkling")),
        Unit("AU10", "upper lip raiser", "upper lip raised", ("raised upper lip",)),
        Unit("AU11", "nasolabial deepener", "nasolabial folds deepened"),
        Unit(
            "AU12",
            "lip corner puller",
            "lip corners pulled up",
            ("lip corners raised", "mouth turned up", "mouth corners up", "smiling", "smile"),
        ),
        Unit("AU14", "dimpler", "dimples showing", ("dimpled cheeks", "dimples")),
        Unit(
            "AU15",
            "lip corner depressor",
            "lip corners pulled down",
            ("lip corners lowered", "mouth turned down", "mouth corners down"),
        ),
        Unit("AU16", "lower lip depressor", "lower lip pulled down", ("lowered lower lip",)),
        Unit("AU17", "chin raiser", "chin raised", ("raised chin",)),
        Unit("AU18", "lip pucker", "lips puckered", ("puckered lips",)),
        Unit("AU20", "lip stretcher", "lips stretched", ("stretched lips",)),
        Unit("AU22", "lip funneler", "lips funnelled", ("funnelled lips",)),
        Unit("AU23", "lip tightener", "lips tightened", ("tightened lips", "tight lips")),
        Unit("AU24", "lip pressor", "lips pressed together", ("pressed lips", "lips pressed")),
        Unit("AU25", "lips part", "lips parted", ("parted lips",)),
        Unit("AU26", "jaw drop", "jaw dropped", ("dropped jaw", "mouth open", "open mouth")),
        Unit("AU27", "mouth stretch", "mouth stretched open", ("mouth wide open",)),
        Unit("AU28", "lip suck", "lips sucked in", ("sucked in lips",)),
        Unit("AU43", "eyes closed", "eyes shut", ("closed eyes",)),
        Unit("AU45", "blink", "eyes blinking", ("blinking",)),
    )
}
# Any number of units at once; labels are lower case everywhere.
UNIT_SPACE = LabelSpace("action_units", tuple(code.lower() for code in UNITS), several=True)
# Phrases that say two units at once.
BOTH: dict[str, tuple[str, ...]] = {
    "brows raised": ("AU01", "AU02"),
    "raised brows": ("AU01", "AU02"),
    "raised eyebrows": ("AU01", "AU02"),
    "eyebrows raised": ("AU01", "AU02"),
}
# Units that go with an emotion: the prototypes of EMFACS with their usual variants.
EMOTION_UNITS: dict[str, tuple[str, ...]] = {
    "joy": ("AU06", "AU12", "AU25"),
    "sadness": ("AU01", "AU04", "AU11", "AU15", "AU17", "AU43"),
    "surprise": ("AU01", "AU02", "AU05", "AU25", "AU26", "AU27"),
    "fear": ("AU01", "AU02", "AU04", "AU05", "AU07", "AU20", "AU25", "AU26"),
    "anger": ("AU04", "AU05", "AU07", "AU10", "AU17", "AU22", "AU23", "AU24"),
    "disgust": ("AU04", "AU07", "AU09", "AU10", "AU15", "AU16", "AU17", "AU25"),
    "neutral": (),
}
_EKMAN = LABEL_SPACES["ekman7"]
_CODE = re.compile(r"\bau[ _]?0*([1-9][0-9]?)(?![0-9])")


def unit_code(name: str) -> str | None:
    """Return the code of a column or a number: "AU04_r", "au4" and "4" are AU04; None: no unit."""
    found = re.fullmatch(r"(?:au)?_?0*([0-9]{1,2})(?:_[rc])?", name.strip().lower())
    code = f"AU{int(found[1]):02d}" if found else ""
    return code if code in UNITS else None


def units_of(emotion: str) -> tuple[str, ...] | None:
    """Return the units that go with an emotion, "happy" being joy; None where that is unknown."""
    code = translated(emotion, _EKMAN)
    return None if code is None else EMOTION_UNITS[_EKMAN.labels[code]]


def unit_phrases(codes: Iterable[str]) -> str:
    """Return units as an answer says them: "Brows lowered; lips tightened", "None" for none.

    Raises:
        UsageError: for a code that is not in the table.
    """
    phrases = [UNITS[code].phrase for code in checked_units(codes)]
    return "; ".join(phrases).capitalize() if phrases else NOTHING.capitalize()


def checked_units(codes: Iterable[str]) -> tuple[str, ...]:
    """Return codes sorted, each once.

    Raises:
        UsageError: for a code that is not in the table.
    """
    found = sorted(set(codes))
    for code in found:
        if code not in UNITS:
            raise unknown_name("action unit", str(code), UNITS)
    return tuple(found)


def units_in(text: str, near: bool = False) -> tuple[str, ...]:
    """Return the units that a text names by phrase, name or code ("AU4"), sorted, each once.

    With `near` a piece between commas, semicolons, line ends or "and" that names none counts as
    the phrase it is nearly spelled like.
    """
    plain = text.lower()
    numbers = [f"AU{int(number):02d}" for number in _CODE.findall(plain)]
    found = {code for code in numbers if code in UNITS}
    said = _phrases()
    words = " ".join(re.findall(r"[a-z0-9]+", plain))
    for match in _any_phrase().finditer(words):
        found.update(said[match[0]])
    if near:
        for piece in re.split(r"[;,.\n]|\band\b", plain)[:MOST_PIECES]:
            close = " ".join(re.findall(r"[a-z]+", piece))
            if not close or len(close) > LONGEST_PIECE or _any_phrase().search(close):
                continue
            for word in difflib.get_close_matches(close, said, 1, SIMILAR):
                found.update(said[word])
    return tuple(sorted(found))


def units_told(answer: str) -> tuple[str, ...] | None:
    """Return the units that an answer names (`units_in`), () where it says that there is none.

    None where it says neither.
    """
    found = units_in(answer, near=True)
    said = " ".join(answer.lower().strip(" \t\r\n.;,!").split())
    return found if found or said in NO_UNIT else None


@cache
def _phrases() -> dict[str, tuple[str, ...]]:
    each = {
        phrase: (unit.code,)
        for unit in UNITS.values()
        for phrase in (unit.phrase, unit.name, *unit.also)
    }
    return each | BOTH


@cache
def _any_phrase() -> re.Pattern[str]:
    """Match the longest phrase at a place: "inner brows raised" is not "brows raised"."""
    longest = sorted(_phrases(), key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest))})\b")
