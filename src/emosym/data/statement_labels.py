"""What statements about pictures are judged as, and the classes that they are of (MVEI)."""

from __future__ import annotations

from emosym.errors import unknown_name

MARKS = ("correct", "incorrect")
CLASSES = (
    "sentiment_polarity",
    "emotion_interpretation",
    "scene_context",
    "perception_subjectivity",
)


def statement_class(name: str) -> str:
    """Return one of CLASSES: case, spaces, hyphens and underscores do not matter.

    Raises:
        UsageError: for another class; names the nearest.
    """
    found = "_".join(name.replace("-", " ").replace("_", " ").lower().split())
    if found not in CLASSES:
        raise unknown_name("statement class", name, CLASSES)
    return found
