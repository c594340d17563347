"""Conversations as comics: a panel a turn, what was said and read, arrows from cause to feeling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from emosym.emotions import LabelSpace
from emosym.evaluation.report.course import course_plot
from emosym.evaluation.report.drawing import inline
from emosym.evaluation.report.pictures import shown_frame
from emosym.evaluation.report.render import render
from emosym.files import write_text
from emosym.metrics.dynamics import course
from emosym.types import ECPE, ERI, MER, CausePair, Sample, Turn

MOST_COMICS = 24
MOST_COURSES = 6  # conversations whose course is drawn
WIDEST = 6  # more turns than this stand below one another
MOST_TURNS = 60
LONGEST_TEXT = 400
PICTURE_SIDE = 192
NEUTRAL = "neutral"
FOUND, MISSED, WRONG = "found", "missed", "wrong"
SAID = {
    FOUND: "a true cause, and found",
    MISSED: "a true cause, not found",
    WRONG: "taken for a cause, and is none",
    "true": "a true cause",
    "read": "taken for a cause",
}


@dataclass(frozen=True, slots=True)
class TurnReading:
    """What a model read of one turn: whatever it was not asked for is None.

    `causes` are the numbers of the turns that caused the emotion, from 0.
    """

    emotion: str | None = None
    causes: tuple[int, ...] | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Arrow:
    """From cause to feeling; `kind` is found, missed or wrong, or true or read where one is known.

    `lane` counts from 1, innermost.
    """

    cause: int
    turn: int
    kind: str
    lane: int


def comics(
    samples: Sequence[Sample],
    readings: Mapping[str, TurnReading] | None = None,
    space: LabelSpace | None = None,
) -> dict[str, Any]:
    """Return what `comics.html` draws: the conversations of samples, in their order.

    Samples that follow each other and share their turns are one conversation. The truth is that of
    the tasks `mer`, `ecpe` and `eri`; `readings` are by the samples' ids. The first 24
    conversations are shown, of each the first 60 turns. With the `space` of the emotions that were
    read the course of the first MOST_COURSES is drawn too, a line a speaker.
    """
    found = list(conversations(samples))
    strips = [_strip(group, readings or {}) for group in found[:MOST_COMICS]]
    for number, (strip, group) in enumerate(zip(strips, found, strict=False)):
        few = space if number < MOST_COURSES else None
        strip["course"] = None if few is None else _course(group, readings or {}, few)
    labels = [name for strip in strips for panel in strip["panels"] for name in panel["emotions"]]
    return {
        "strips": strips,
        "n": len(found),
        "more": len(found) - len(strips),
        "said": SAID,
        "labels": [name for name in dict.fromkeys(labels) if name != NEUTRAL],  # that stays grey
        "kinds": [
            (kind, told)
            for kind, told in SAID.items()
            if any(arrow.kind == kind for strip in strips for arrow in strip["all_arrows"])
        ],
    }


def write_comics(
    out: Path,
    samples: Sequence[Sample],
    readings: Mapping[str, TurnReading] | None = None,
    title: str = "Conversations",
    lead: str = "",
    table: Mapping[str, Any] | None = None,
    space: LabelSpace | None = None,
) -> Path:
    """Write a page of its own that shows conversations as comics; return its path.

    `table`, with `head` and `rows`, stands above them; `space` as in `comics`.

    Raises:
        EmoSymError: when the disk is full or not writable.
    """
    data = comics(samples, readings, space)
    links = [(f"comic-{i}", strip["name"]) for i, strip in enumerate(data["strips"])]
    page = render(
        "comics_page.html", data["labels"], title=title, heading=title, lead=lead, links=links,
        data=data, table=table,
    )  # fmt: skip
    write_text(out, page)
    return out


def conversations(samples: Sequence[Sample]) -> Iterator[list[Sample]]:
    """Yield the samples of each conversation: those in a row that share their turns."""
    group: list[Sample] = []
    for sample in samples:
        again = group and sample.focus is not None and sample.turns == group[0].turns
        if group and not (again and all(sample.focus != other.focus for other in group)):
            yield group
            group = []
        group.append(sample)
    if group:
        yield group


def _strip(group: Sequence[Sample], readings: Mapping[str, TurnReading]) -> dict[str, Any]:
    turns = group[0].turns[:MOST_TURNS]
    asked = {sample.focus: sample for sample in group if sample.focus is not None}
    read = {turn: readings.get(sample.id) for turn, sample in asked.items()}
    panels = [
        _panel(turn, place, asked.get(place), read.get(place), turns)
        for place, turn in enumerate(turns)
    ]
    pairs = {(pair.cause, pair.turn) for sample in group for pair in _causes(sample)}
    known = any(ECPE in sample.targets for sample in group)
    arrows, selves = _arrows(pairs, read, len(turns), known)
    for place, kind in selves.items():
        panels[place]["itself"] = kind
    right = sum(panel["right"] is True for panel in panels)
    judged = sum(panel["right"] is not None for panel in panels)
    found = sum(arrow.kind == FOUND for arrow in arrows) + list(selves.values()).count(FOUND)
    hidden = len(group[0].turns) - len(turns)
    name = group[0].id.rpartition("_")[0] if len(group) > 1 else group[0].id
    return {
        "name": name or group[0].id,
        "panels": panels,
        "arrows": arrows,
        "all_arrows": [*arrows, *(Arrow(at, at, kind, 0) for at, kind in selves.items())],
        "lanes": max([arrow.lane for arrow in arrows], default=1),
        "tall": len(turns) > WIDEST,
        "hidden": hidden,
        "tally": (f"{right} of {judged} emotions read" if judged else "")
        + (f", {found} of {len(pairs)} causes found" if judged and pairs else ""),
        "reasons": [panel for panel in panels if panel["reason"] or panel["said_reason"]],
    }


def _course(
    group: Sequence[Sample], readings: Mapping[str, TurnReading], space: LabelSpace
) -> Markup | None:
    """Return the course of the emotions that were read; None where fewer than two turns were."""
    turns = group[0].turns[:MOST_TURNS]
    rows, said = np.full((len(turns), len(space)), np.nan), ["not read"] * len(turns)
    for sample in group:
        one = readings.get(sample.id)
        place = sample.focus
        if one is None or place is None or place >= len(turns) or one.emotion not in space.labels:
            continue
        rows[place], said[place] = np.eye(len(space))[space.index(one.emotion)], one.emotion
    if np.isfinite(rows).all(axis=1).sum() < 2:
        return None
    states, names = course(rows, space)
    plot = course_plot(states, names, [turn.speaker for turn in turns], said)
    return inline(replace(plot, narrow=None))


def _panel(
    turn: Turn,
    place: int,
    sample: Sample | None,
    reading: TurnReading | None,
    turns: Sequence[Turn],
) -> dict[str, Any]:
    truth = (sample.label_of(MER) if sample is not None else None) or turn.emotion
    said = reading.emotion if reading is not None else None
    text = turn.text or ""
    speakers = list(dict.fromkeys(one.speaker for one in turns))
    return {
        "number": place + 1,
        "speaker": turn.speaker or "",
        "side": "right" if speakers.index(turn.speaker) % 2 else "left",
        "initial": (turn.speaker or "?")[0].upper(),
        "text": text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT].rstrip()} …",
        "picture": shown_frame(turn.frames[0], PICTURE_SIDE) if turn.frames else None,
        "truth": truth,
        "read": said,
        "right": None if truth is None or said is None else said == truth,
        "itself": None,
        "note": _note(sample),
        "reason": sample.label_of(ERI) if sample is not None else None,
        "said_reason": reading.reason if reading is not None else None,
        "emotions": [name for name in (truth, said) if name],
    }


def _note(sample: Sample | None) -> str:
    """Return what is told where the words of a drawn turn claim something else than its face."""
    about = sample.attributes if sample is not None else {}
    told = {
        "words": "a put-on smile: the words are true",
        "face": "the face is true, not the words",
    }
    return told.get(str(about.get("contradiction")), "")


def _causes(sample: Sample) -> tuple[CausePair, ...]:
    """Return the true causes of a sample."""
    target = sample.targets.get(ECPE)
    pairs = target if isinstance(target, tuple) else ()
    return tuple(pair for pair in pairs if isinstance(pair, CausePair))


def _arrows(
    true: set[tuple[int, int]], read: Mapping[int, TurnReading | None], length: int, known: bool
) -> tuple[list[Arrow], dict[int, str]]:
    """Return arrows between turns, and of turns that are their own cause how that was found."""
    asked = {turn for turn, one in read.items() if one is not None and one.causes is not None}
    said = {
        (cause, turn) for turn, one in read.items() if one is not None for cause in one.causes or ()
    }
    kinds: dict[tuple[int, int], str] = {}
    for cause, turn in true | said:
        if not (0 <= cause < length and 0 <= turn < length):
            continue
        if turn not in asked:
            kind = "true"
        elif (cause, turn) in true:
            kind = FOUND if (cause, turn) in said else MISSED
        else:
            kind = WRONG if known else "read"
        kinds[cause, turn] = kind
    between = sorted(
        (pair for pair in kinds if pair[0] != pair[1]),
        key=lambda pair: (abs(pair[0] - pair[1]), pair),
    )
    lanes: list[list[tuple[int, int]]] = []  # what runs in each, the innermost first
    placed: dict[tuple[int, int], int] = {}
    for pair in between:
        low, high = min(pair), max(pair)
        free = (at for at, lane in enumerate(lanes) if all(high <= a or low >= b for a, b in lane))
        at = next(free, len(lanes))
        if at == len(lanes):
            lanes.append([])
        lanes[at].append((low, high))
        placed[pair] = at
    arrows = [
        Arrow(cause, turn, kinds[cause, turn], placed[cause, turn] + 1) for cause, turn in between
    ]
    return arrows, {turn: kind for (cause, turn), kind in kinds.items() if cause == turn}
