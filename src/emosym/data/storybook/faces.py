"""Faces by their parts, and the facial action units that each shows.

A face is named by what is seen: "mouth turned up, brows level". The six faces of single pictures
are among them; conversations have more. Units are those of the Facial Action Coding System.
"""

from __future__ import annotations

from dataclasses import dataclass

from emosym.data.storybook.world import FACES

MOUTH_UNITS: dict[str, tuple[str, ...]] = {
    "straight": (),
    "turned up": ("AU12",),
    "turned up and open": ("AU12", "AU25"),
    "round": ("AU25", "AU26"),
    "wide open": ("AU25", "AU27"),
    "turned down": ("AU15",),
    "wavy": ("AU20",),
    "parted": ("AU25",),
    "pressed": ("AU24",),
    "showing teeth": ("AU23", "AU25"),
    "curled": ("AU10",),
}
BROW_UNITS: dict[str, tuple[str, ...]] = {
    "level": (),
    "raised": ("AU01", "AU02"),
    "slanted": ("AU01", "AU04"),
    "lowered": ("AU04",),
}
EYE_UNITS: dict[str, tuple[str, ...]] = {
    "open": (),
    "wide": ("AU05",),
    "smiling": ("AU06",),
    "narrowed": ("AU07",),
}
NOSE_UNITS: dict[str, tuple[str, ...]] = {"smooth": (), "wrinkled": ("AU09",)}


@dataclass(frozen=True, slots=True)
class Face:
    """The parts of a face; each is a key of the tables above."""

    mouth: str
    brows: str
    eyes: str = "open"
    nose: str = "smooth"


SMILE, OPEN_SMILE, ROUND, WIDE, DOWN, WAVY = FACES
STILL = "mouth straight, brows level"
WARM_SMILE = "mouth turned up, brows level, eyes smiling"
GRIN = "mouth turned up and open, brows level, eyes smiling"
WATCHFUL = "mouth parted, brows raised, eyes wide"
SUNKEN = "mouth turned down, brows slanted"
PRESSED = "mouth pressed, brows lowered, eyes narrowed"
TEETH = "mouth showing teeth, brows lowered, eyes narrowed"
CURLED = "mouth curled, brows lowered, nose wrinkled"

PARTS: dict[str, Face] = {
    SMILE: Face("turned up", "level"),
    OPEN_SMILE: Face("turned up and open", "raised"),
    ROUND: Face("round", "raised", "wide"),
    WIDE: Face("wide open", "slanted", "wide"),
    DOWN: Face("turned down", "lowered"),
    WAVY: Face("wavy", "slanted"),
    STILL: Face("straight", "level"),
    WARM_SMILE: Face("turned up", "level", "smiling"),
    GRIN: Face("turned up and open", "level", "smiling"),
    WATCHFUL: Face("parted", "raised", "wide"),
    SUNKEN: Face("turned down", "slanted"),
    PRESSED: Face("pressed", "lowered", "narrowed"),
    TEETH: Face("showing teeth", "lowered", "narrowed"),
    CURLED: Face("curled", "lowered", "open", "wrinkled"),
}


def action_units(face: str) -> tuple[str, ...]:
    """Return the codes of a face's action units ("AU04"), in order, each once."""
    parts = PARTS[face]
    shown = {
        *MOUTH_UNITS[parts.mouth],
        *BROW_UNITS[parts.brows],
        *EYE_UNITS[parts.eyes],
        *NOSE_UNITS[parts.nose],
    }
    return tuple(sorted(shown))
