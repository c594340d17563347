"""How a feeling shows in face and words, and which of them is true where they differ.

The rule: a face without action units, and a smile that does not reach the eyes (AU12 without AU06),
say nothing; then the words hold, and where they claim nothing the turn is neutral. Any other face
holds, whatever the words claim. Several faces fit two emotions: then the kind of event decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emosym.data.storybook import faces
from emosym.data.storybook.dialogues.vocabulary import EMOTIONS, NEUTRAL, Kind

OWN_FACES: dict[str, tuple[str, ...]] = {
    "joy": (faces.WARM_SMILE, faces.GRIN),
    "surprise": (faces.ROUND,),
    "fear": (faces.WIDE,),
    "sadness": (faces.SUNKEN,),
    "anger": (faces.TEETH,),
    "disgust": (faces.CURLED,),
}
SHARED_FACES: dict[str, tuple[str, str]] = {
    faces.OPEN_SMILE: ("joy", "surprise"),
    faces.WATCHFUL: ("surprise", "fear"),
    faces.WAVY: ("fear", "sadness"),
    faces.DOWN: ("sadness", "anger"),
    faces.PRESSED: ("anger", "disgust"),
}
SILENT_FACES = {faces.STILL: 0.75, faces.SMILE: 0.25}  # shares among neutral turns
# bare: the words claim nothing. agree: words and face claim the same. smile, still: a put-on smile
# or a still face over words that are true. mask: a face that is true over words that are not.
MODES = {"bare": 0.52, "agree": 0.1, "smile": 0.14, "still": 0.07, "mask": 0.17}
CONTRADICTIONS = {"smile": "words", "mask": "face"}  # and what is true
OWN_SHARE = 0.1  # of faces that fit one emotion, where others do as well
INTENSITIES = {1: 0.3, 2: 0.4, 3: 0.3}
NEUTRAL_DEGREE = 0.6  # share of neutral turns about an event that say how much it means
SIGNS = {"joy": 1, "fear": -1, "sadness": -1, "anger": -1, "disgust": -1}
GLAD_KINDS = ("gift",)  # whose surprise is a good one


@dataclass(frozen=True, slots=True)
class Showing:
    """How one turn shows what it feels; `claim` is the emotion that the words name, if any."""

    mode: str
    claim: str | None
    face: str


def feelings(kind: Kind, ahead: bool) -> tuple[str, ...]:
    """Return what an event may evoke, each equally often.

    Before it is told nobody is surprised by it: whether well or badly could not be known.
    """
    return tuple(e for e in kind.evokes if not (ahead and e == "surprise"))


def showings(emotion: str, kind: Kind, ahead: bool) -> list[tuple[float, Showing]]:
    """Return every way to show an emotion about a kind of event: (probability, showing)."""
    if ahead:  # face and words are all there is to go by
        own = OWN_FACES[emotion]
        return [(1 / len(own), Showing("agree", emotion, face)) for face in own]
    found: list[tuple[float, Showing]] = []
    for mode, share in MODES.items():
        if mode == "smile" and emotion == "joy":
            mode = "agree"
        claims: tuple[str | None, ...] = (None if mode == "bare" else emotion,)
        if mode == "mask":
            claims = tuple(other for other in EMOTIONS if other != emotion)
        for claim in claims:
            for part, face in _faces(mode, emotion, claim, kind):
                found.append((share * part / len(claims), Showing(mode, claim, face)))
    return found


def _faces(mode: str, emotion: str, claim: str | None, kind: Kind) -> list[tuple[float, str]]:
    """Return the faces, with shares, from which the rule reads the emotion."""
    if mode in ("smile", "still"):
        return [(1.0, faces.SMILE if mode == "smile" else faces.STILL)]
    own = OWN_FACES[emotion]
    shared = [
        face
        for face, fits in SHARED_FACES.items()
        if emotion in fits
        and true_emotion(face, claim, kind) == emotion
        and (claim in fits or not set(kind.evokes) <= set(fits))
    ]
    own_share = OWN_SHARE if shared else 1.0
    told = [(own_share / len(own), face) for face in own]
    return told + [((1 - own_share) / len(shared), face) for face in shared]


def draw_showing(rng: np.random.Generator, emotion: str, kind: Kind | None, ahead: bool) -> Showing:
    """Draw how a turn shows its emotion; a neutral one has a face that says nothing."""
    if emotion == NEUTRAL or kind is None:
        options = [(share, Showing("neutral", None, face)) for face, share in SILENT_FACES.items()]
    else:
        options = showings(emotion, kind, ahead)
    return options[int(rng.choice(len(options), p=[share for share, _ in options]))][1]


def true_emotion(face: str, claim: str | None, kind: Kind | None) -> str:
    """Return the emotion that the rule reads from a face, the words' claim and the event's kind."""
    if face in SILENT_FACES:
        return claim or NEUTRAL
    fits = SHARED_FACES.get(face) or next(
        (emotion,) for emotion, own in OWN_FACES.items() if face in own
    )
    if len(fits) == 1:
        return fits[0]
    if claim in fits:
        return str(claim)
    return next(e for e in fits if kind is not None and e in kind.evokes)


def sentiment_of(emotion: str, intensity: int, kind: Kind | None) -> float:
    """Return the sentiment of a turn, -3..3: the sign of its emotion times how much it means."""
    if emotion == NEUTRAL:
        return 0.0
    good = kind is not None and kind.name in GLAD_KINDS
    return float(SIGNS.get(emotion, 1 if good else -1) * intensity)
