"""A conversation in a JSON file of one's own: what `emosym understand dialogue.json` reads.

    {"turns": [{"speaker": "Ann", "text": "You came back!"},
               {"speaker": "Bo", "text": "I did.", "picture": "door.png"}]}

A turn may also be a plain text, and the file a plain list of turns. Pictures are paths beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emosym.errors import UsageError
from emosym.files import inside, read_json
from emosym.types import Sample, Turn

KEYS = ("speaker", "text", "picture", "pictures")
MOST_TURNS = 100_000


def read_dialogue(path: Path) -> Sample:
    """Return the conversation of a file as a sample without focus.

    Raises:
        UsageError: when the file is missing or malformed, holds no turn, or a turn holds neither
            words nor a picture.
    """
    found = read_json(path, "dialogue")
    turns = found.get("turns") if isinstance(found, dict) else found
    if not isinstance(turns, list) or not 1 <= len(turns) <= MOST_TURNS:
        raise UsageError(
            f'{path} holds no conversation: {{"turns": [{{"speaker": "Ann", "text": "..."}}]}} or '
            f"a list of turns is meant, of 1 to {MOST_TURNS:,}."
        )
    told = tuple(_turn(turn, number, path) for number, turn in enumerate(turns, 1))
    return Sample(path.name, told)


def _turn(turn: Any, number: int, path: Path) -> Turn:
    """Return a turn; `number` counts from 1 for messages."""
    if isinstance(turn, str):
        turn = {"text": turn}
    if not isinstance(turn, dict):
        raise UsageError(f"{path}, turn {number}: a text or an object is meant, got {turn!r:.60}.")
    text, speaker = (turn.get(key) for key in ("text", "speaker"))
    for key, value in (("text", text), ("speaker", speaker)):
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{path}, turn {number}: {key!r} must be text, got {value!r:.60}.")
    pictures = turn.get("pictures", [turn["picture"]] if turn.get("picture") else [])
    if not isinstance(pictures, list) or not all(isinstance(name, str) for name in pictures):
        raise UsageError(f"{path}, turn {number}: 'pictures' must be a list of paths.")
    if not (text or "").strip() and not pictures:
        raise UsageError(f"{path}, turn {number}: it has neither 'text' nor a 'picture'.")
    frames = tuple(inside(path.parent, name, "picture") for name in pictures)
    return Turn(speaker or None, text or None, frames)
