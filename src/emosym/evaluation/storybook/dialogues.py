"""What is known exactly about drawn conversations: planted causes, and what is true of a turn.

Samples are those of the source `storybook-dialogues`; their attributes tell what was planted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from emosym.errors import UsageError
from emosym.metrics.checks import same_length
from emosym.metrics.cues import Facts, cue_values
from emosym.types import MER, Sample

KINDS = ("thing", "happening", "face", "emotion")
# What reads an emotion off a smile alone says.
OF_A_SMILE = ("joy", "neutral")


def best_emotions(samples: Sequence[Sample]) -> list[str]:
    """Return what the best reader of words and faces says of N turns.

    Raises:
        UsageError: when a sample was not drawn.
    """
    from emosym.data.storybook.dialogues.rules import true_emotion
    from emosym.data.storybook.dialogues.vocabulary import KINDS as EVENT_KINDS

    found = []
    for sample in samples:
        face, claim = _attribute(sample, "face"), sample.attributes.get("claim")
        name = (_event(sample) or {}).get("kind")
        kind = next((kind for kind in EVENT_KINDS if kind.name == name), None)
        found.append(true_emotion(str(face), None if claim is None else str(claim), kind))
    return found


def contradiction_values(
    emotions: Sequence[str | None], samples: Sequence[Sample]
) -> dict[str, float | int | None]:
    """Return how N readings (None: unreadable) do where words and face claim different things.

    `contradictions` counts such turns, `contradiction_accuracy` is the share read rightly, also
    apart where the words are true (`..._words_true`: a put-on smile) and where the face is
    (`..._face_true`). `contradiction_fooled` is the share read as what is not true claims: the
    words, or the smile. None where there is no such turn.

    Raises:
        UsageError: for lengths that differ, or a sample that was not drawn.
    """
    same_length(emotions=emotions, samples=samples)
    rows: list[tuple[str, bool, bool]] = []
    for emotion, sample in zip(emotions, samples, strict=True):
        _attribute(sample, "face")
        true = sample.attributes.get("contradiction")
        if true is None:
            continue
        untrue = (sample.attributes.get("claim"),) if true == "face" else OF_A_SMILE
        rows.append((str(true), emotion == sample.label_of(MER), emotion in untrue))
    values: dict[str, float | int | None] = {
        "contradictions": len(rows),
        "contradiction_accuracy": _mean([right for _, right, _ in rows]),
        "contradiction_fooled": _mean([fooled for _, _, fooled in rows]),
    }
    for side in ("words", "face"):
        right = [right for true, right, _ in rows if true == side]
        values[f"contradiction_accuracy_{side}_true"] = _mean(right)
    return values


def reason_values(
    reasons: Sequence[str | None], samples: Sequence[Sample]
) -> dict[str, float | int | None]:
    """Return how often N reasons name the planted cause, and precision and recall of all cues.

    `names_cause`: the share that names the thing of the planted event and of no other event of the
    conversation; `names_happening`: and what happened to it. `other_names_cause` is that of another
    turn's true reason, the next sample's. The rest is `metrics.cues.cue_values` over things,
    happenings, parts of the face and emotions. None is no reason: it names nothing.

    Raises:
        UsageError: for lengths that differ, no samples, or one whose turn has no planted cause.
    """
    if same_length(reasons=reasons, samples=samples) == 0:
        raise UsageError("There are no reasons to look at.")
    planted = [facts_of(sample) for sample in samples]
    said = [spoken(reason or "") for reason in reasons]
    named = [_names(found, sample) for found, sample in zip(said, samples, strict=True)]
    happened = [
        found["happening"] == true["happening"] for found, true in zip(said, planted, strict=True)
    ]
    others = [*planted[1:], *planted[:1]]
    return {
        "names_cause": _mean(named),
        "names_happening": _mean([a and b for a, b in zip(named, happened, strict=True)]),
        "other_names_cause": _mean(
            [_names(found, sample) for found, sample in zip(others, samples, strict=True)]
        ),
        **cue_values(said, planted, KINDS),
    }


def facts_of(sample: Sample) -> Facts:
    """Return what the reason of a moved turn has to name.

    Raises:
        UsageError: when the sample was not drawn, or its turn has no planted cause.
    """
    event = _event(sample)
    emotion = sample.label_of(MER)
    if event is None or emotion in (None, "neutral"):
        raise UsageError(f"Sample {sample.id!r} has no planted cause.")
    return {
        "thing": frozenset([str(event["thing"])]),
        "happening": frozenset([f"{event['kind']} {event['happening']}"]),
        "face": frozenset(str(_attribute(sample, "face")).split(", ")),
        "emotion": frozenset([str(emotion)]),
    }


def spoken(text: str) -> Facts:
    """Return the things, happenings, parts of a face and emotions that a text names."""
    from emosym.data.storybook.dialogues.vocabulary import EMOTIONS, THINGS

    plain = " ".join(text.lower().split())
    return {
        "thing": frozenset(thing for thing in THINGS if re.search(rf"\b{thing}\b", plain)),
        "happening": frozenset(name for name, form in _happenings().items() if form.search(plain)),
        "face": frozenset(part for part, form in _parts().items() if form.search(plain)),
        "emotion": frozenset(word for word in EMOTIONS if re.search(rf"\b{word}\b", plain)),
    }


def _names(found: Facts, sample: Sample) -> bool:
    """Return whether a text names the planted event's thing and that of no other event."""
    event = _event(sample) or {}
    things = {str(other["thing"]) for other in sample.attributes["events"]}
    return found["thing"] & things == {event["thing"]}


@cache
def _happenings() -> dict[str, re.Pattern[str]]:
    from emosym.data.storybook.dialogues.vocabulary import KINDS as EVENT_KINDS
    from emosym.data.storybook.dialogues.vocabulary import THINGS

    thing, found = f"(?:{'|'.join(THINGS)})", {}
    for kind in EVENT_KINDS:
        for number, happening in enumerate(kind.happenings):
            form = happening.gist.lower().format(n="\0n", a="\0a", who="\0who")
            form = re.escape(form).replace("\\\0", "\0")
            form = form.replace("\0who", r"\w+").replace("\0a", rf"an? {thing}")
            found[f"{kind.name} {number}"] = re.compile(rf"\b{form}\b".replace("\0n", thing))
    return found


@cache
def _parts() -> dict[str, re.Pattern[str]]:
    from emosym.data.storybook.faces import PARTS

    names = sorted({part for face in PARTS for part in face.split(", ")})
    return {name: re.compile(rf"\b{name}\b(?! and open)") for name in names}


def _event(sample: Sample) -> Mapping[str, Any] | None:
    """Return the event that a turn tells or names."""
    events, about = _attribute(sample, "events"), sample.attributes.get("about")
    return next((event for event in events if event["turn"] == about), None)


def _attribute(sample: Sample, name: str) -> Any:
    if name not in sample.attributes:
        raise UsageError(
            f"Sample {sample.id!r} is no turn of a drawn conversation: nothing is planted in it."
        )
    return sample.attributes[name]


def _mean(rows: Sequence[bool]) -> float | None:
    return sum(rows) / len(rows) if rows else None
