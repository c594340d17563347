"""Readings as the page shows them: one as a card, many as a table, a dialogue turn by turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from emosym.apps.ui.drawing import bars, plane
from emosym.apps.ui.photo_view import affect_cells, affect_said, affect_where, is_affect
from emosym.evaluation.report.palette import colour
from emosym.service.rows import OUTSIDE, Row
from emosym.service.words import error_of, how_unusual, in_words

if TYPE_CHECKING:
    from emosym.emotions import LabelSpace

TABLE_SHOWN = 200
PHOTOGRAPHS = "Valence and arousal of photographs"
FOR_PHOTOGRAPHS = f"Is it a photograph? Choose “{PHOTOGRAPHS}”."


@dataclass(frozen=True, slots=True)
class Shown:
    """One reading on the page: its row, what it is called, its picture and what is like it.

    `picture` is a `data:` address or "". `near` are bank entries: (picture, words).
    """

    row: Row
    name: str
    picture: str = ""
    near: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Results:
    """What the page holds of what was read.

    `space` are the labels (None: photographs), `below` is the confidence below which it is unsure.
    """

    space: LabelSpace | None
    below: float | None
    readings: list[Shown]


def card(one: Shown, space: LabelSpace | None, below: float | None) -> str:
    """Return one reading: what it says, how sure, where in the plane, why, what is near."""
    row = one.row
    picture = (
        f'<img class="subject" src="{one.picture}" alt="{escape(one.name)}">' if one.picture else ""
    )
    if row["error"] is not None:
        words = f'<p class="alert" role="alert">{escape(error_of(row))}</p>'
        named = f"<div><h2>{escape(one.name)}</h2>{words}</div>"
        return f'<article class="card reading">{picture}{named}</article>'
    if is_affect(row):
        where = f'<div class="where">{affect_where(row)}</div>'
        return (
            f'<article class="card reading">{picture}<div class="said"><p class="of">'
            f"{escape(one.name)}</p>{affect_said(row)}</div>{where}</article>"
        )
    assert space is not None  # only photographs have rows without emotions
    lines = in_words(row, below)
    head = _heading(row, lines[0], below)
    why = f'<p class="why">{escape(row["rationale"])}</p>' if row["rationale"] else ""
    place = (row["valence_norm"], row["arousal_norm"])
    drawn = ""
    if not row["outside"] and None not in place:
        told = "Both from 1 to 9, as people rate these words."
        drawn = f'<div class="where">{plane(space, place)}<p class="small">{told}</p></div>'
    unusual = (
        f'<p class="small">{escape(capital(how_unusual(row["in_domain"])))}.</p>'
        if row["in_domain"] is not None and not row["outside"]
        else ""
    )
    nearest = '<p class="small">What is nearest, though nothing is claimed:</p>'
    return (
        f'<article class="card reading">{picture}<div class="said"><p class="of">'
        f"{escape(one.name)}</p>{head}{why}{nearest if row['outside'] else ''}"
        f"{bars(row['probabilities'])}{unusual}</div>{drawn}{_near(one.near)}</article>"
    )


def capital(sentence: str) -> str:
    """Return a sentence with a capital letter at its beginning."""
    return sentence[:1].upper() + sentence[1:]


def _heading(row: Row, line: str, below: float | None) -> str:
    if row["outside"]:
        told = f"{capital(line.removeprefix(f'{OUTSIDE}: '))}. {FOR_PHOTOGRAPHS}"
        return f'<h2>{OUTSIDE.capitalize()}</h2><p class="notice">{escape(told)}</p>'
    emotion, _, sure = line.partition(": ")
    chip = sure
    notice = ""
    if row["reason"] is not None and ";" in sure:
        chip, _, hint = sure.partition("; ")
        notice = f'<p class="notice">{escape(capital(hint))}.</p>'
    return (
        f'<h2 style="--c:{colour(row["emotion"])}"><span class="emotion">{escape(emotion)}</span> '
        f'<span class="sure">{escape(chip)}</span></h2>{notice}'
    )


def _near(near: Sequence[tuple[str, str]]) -> str:
    if not near:
        return ""
    figures = "".join(
        f'<figure><img src="{picture}" alt=""><figcaption>{escape(words)}</figcaption></figure>'
        for picture, words in near
    )
    return f'<div class="near"><h3>Nearest in the memory bank</h3><div>{figures}</div></div>'


def table(readings: Sequence[Shown], chosen: int) -> str:
    """Return readings as a table, of which each name is a button that shows that reading."""
    rows = []
    for place, one in enumerate(readings[:TABLE_SHOWN]):
        cells = "".join(f"<td>{cell}</td>" for cell in _cells(one.row))
        picture = f'<img src="{one.picture}" alt="" loading="lazy">' if one.picture else ""
        current = ' aria-current="true"' if place == chosen else ""
        rows.append(
            f'<tr{current}><th scope="row"><button type="button" data-act="show" '
            f'data-place="{place}">{picture}<span>{escape(one.name)}</span></button></th>'
            f"{cells}</tr>"
        )
    more = len(readings) - TABLE_SHOWN
    rest = f'<p class="small">and {more:,} more, which the files hold.</p>' if more > 0 else ""
    heads = "".join(f'<th scope="col">{name}</th>' for name in _heads(readings[0].row))
    return (
        f'<div class="scroll"><table class="readings"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>{rest}"
    )


def _heads(row: Row) -> tuple[str, str, str]:
    if is_affect(row):
        return "picture", "valence and arousal", "valence within"
    return "read", "emotion", "confidence"


def _cells(row: Row) -> tuple[str, str]:
    if row["error"] is not None:
        return f'<span class="bad">{escape(error_of(row))}</span>', ""
    if is_affect(row):
        return affect_cells(row)
    if row["outside"]:
        return f'<span class="notice">{OUTSIDE}</span>', "–"
    unsure = f" ({row['reason']})" if row["reason"] else ""
    named = ", ".join(row["labels"] or (row["emotion"],))
    dot = f'<span class="dot" style="--c:{colour(row["emotion"])}" aria-hidden="true"></span>'
    return f"{dot}{escape(named)}{unsure}", f"{100 * row['confidence']:.0f} %"


def tally(readings: Sequence[Shown]) -> str:
    """Return how many were read, and of what kind, as the shell says it."""
    from emosym.apps.cli.readings import Tally, summary

    counted = Tally(len(readings))
    for one in readings:
        counted.add(one.row)
    return f"{summary(counted)}."


def dialogue(turns: Sequence[tuple[str, str]], rows: Sequence[Row]) -> str:
    """Return a dialogue with each turn's (speaker, words), emotion, confidence and causes."""
    items = []
    for number, ((speaker, words), row) in enumerate(zip(turns, rows, strict=True), 1):
        emotion, sure = _cells(row)
        causes = row["causes"]
        caused = f' <span class="small">caused by turn {escape(causes)}</span>' if causes else ""
        who = f"<b>{escape(speaker)}</b> " if speaker else ""
        items.append(
            f'<li value="{number}"><p>{who}{escape(words)}</p>'
            f'<p class="felt">{emotion} {sure}{caused}</p></li>'
        )
    return f'<article class="card"><ol class="dialogue">{"".join(items)}</ol></article>'
