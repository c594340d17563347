"""Label-blind rationales from attributes alone: no model, no emotion word of the label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emosym.annotate.emotion_words import emotion_words

# EmoSet's places whose names hold an emotion word, by another name of theirs.
PLACES = {"amusement_park": "fairground"}
NOTHING_SAID = "A picture."


def describe_attributes(attributes: Mapping[str, Any]) -> str:
    """Write one sentence naming scene, objects, face, action, brightness and colour, as present."""
    parts: list[str] = []
    scene = _words(attributes.get("scene"))
    if scene:
        parts.append(f"The scene is {scene}")
    objects = _words(attributes.get("object"))
    if objects:
        parts.append(f"there is {objects}" if parts else f"There is {objects}")
    face = _words(attributes.get("facial_expression"))
    if face:
        parts.append(f"the face shows {face}" if parts else f"A face shows {face}")
    action = _words(attributes.get("human_action"))
    if action:
        parts.append(f"someone is {action}" if parts else f"Someone is {action}")
    for name, low, high in (
        ("brightness", "dark", "bright"),
        ("colorfulness", "muted in colour", "full of colour"),
    ):
        value = attributes.get(name)
        if isinstance(value, (int, float)) and (value <= 0.3 or value >= 0.7):
            word = low if value <= 0.3 else high
            parts.append(f"the picture is {word}" if parts else f"The picture is {word}")
    return (", ".join(parts) + ".") if parts else NOTHING_SAID


def _words(value: Any) -> str:
    """Join one or several attribute values into words."""
    if value is None:
        return ""
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return ", ".join(str(v).replace("_", " ") for v in values)


def blind_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out values that name an emotion, such as EmoSet's facial expressions ("happy")."""
    kept = {}
    for name, value in attributes.items():
        values = value if isinstance(value, list) else [value]
        seen = [PLACES.get(v, v) if isinstance(v, str) else v for v in values]
        seen = [v for v in seen if not (isinstance(v, str) and emotion_words(v))]
        if seen:
            kept[name] = seen if isinstance(value, list) else seen[0]
    return kept
