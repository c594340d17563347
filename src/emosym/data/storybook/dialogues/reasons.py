"""Why a speaker feels so: a sentence that names the planted cause and the face."""

from __future__ import annotations

from emosym.data.storybook.dialogues.draw import Dialogue
from emosym.data.storybook.dialogues.vocabulary import gist_of

# By what is true where words and face differ; {gist} begins with a small letter or a name.
PHRASES: dict[str, tuple[str, ...]] = {
    "neutral": (),
    "bare": (
        "{speaker} feels {emotion}, since {gist}: {face}.",
        "With {face}, {speaker} shows {emotion}, because {gist}.",
    ),
    "agree": (
        "{speaker} feels {emotion}, since {gist}: words and face agree, {face}.",
        "With {face}, {speaker} shows and tells {emotion}, because {gist}.",
    ),
    "smile": (
        "The smile is put on ({face}), the words are true: {speaker} feels {emotion}, "
        "since {gist}.",
    ),
    "still": (
        "The face is still ({face}), the words tell it: {speaker} feels {emotion}, since {gist}.",
    ),
    "mask": (
        "The words are put on, the face is true: with {face}, {speaker} feels {emotion}, "
        "because {gist}.",
    ),
}


def reason_of(dialogue: Dialogue, turn: int) -> str | None:
    """Return why the speaker of a turn feels what it feels; None where nobody is moved."""
    one = dialogue.turns[turn]
    event = dialogue.event(one.cause)
    if event is None:
        return None
    phrases = PHRASES[one.showing.mode]
    return phrases[(dialogue.index + turn) % len(phrases)].format(
        speaker=one.speaker,
        emotion=one.emotion,
        face=one.showing.face,
        gist=gist_of(event.kind, event.happening, event.thing, event.teller),
    )
