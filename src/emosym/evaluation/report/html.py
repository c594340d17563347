"""HTML pieces of the report: every function returns a string, every text in it is escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emosym.data.images import load_image
from emosym.errors import UsageError
from emosym.evaluation.report.plots import HATCH, colour
from emosym.evaluation.report.style import STYLE
from emosym.files import inside

if TYPE_CHECKING:
    from PIL import Image

QUALITY = 88
SMALL_SIDE = 128  # larger pictures are never smaller as a PNG
NO_BREAK = "\N{NO-BREAK SPACE}"


def text(value: object) -> str:
    """Return any value as escaped text."""
    return escape(str(value))


def percent(value: float | None, digits: int = 1) -> str:
    """Return .912 as '91.2 %' (with a space that does not break) and None as a dash."""
    return "–" if value is None else f"{100 * value:.{digits}f}{NO_BREAK}%"


def number(value: float | None) -> str:
    """Return a number with three significant digits, whole numbers whole, None as a dash."""
    if value is None:
        return "–"
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def picture(root: Path, relative: object, alt: str, side: int = 256) -> str:
    """Return an <img> with the picture inside it, or a grey box when there is none to show.

    The picture is at most `side` pixels wide and high, a JPEG, or a PNG where that is smaller.
    The path must stay inside `root`; a picture that is missing or damaged gives the box.
    """
    if not isinstance(relative, str) or not relative:
        return '<div class="none">no picture</div>'
    path = inside(root, relative, "picture")
    if not path.is_file():
        return '<div class="none">missing</div>'
    try:
        image = load_image(path)
    except UsageError:
        return '<div class="none">unreadable</div>'
    image.thumbnail((side, side))
    made = [(_encoded(image, "JPEG", quality=QUALITY, subsampling=0), "jpeg")]
    if max(image.size) <= SMALL_SIDE:
        made.append((_encoded(image, "PNG", optimize=True), "png"))
    content, kind = min(made, key=lambda item: len(item[0]))
    data = base64.b64encode(content).decode()
    return f'<img src="data:image/{kind};base64,{data}" alt="{text(alt)}" loading="lazy">'


def _encoded(image: Image.Image, kind: str, **settings: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **settings)
    return stream.getvalue()


def dot(emotion: str) -> str:
    """Return a small disc in the emotion's colour."""
    return f'<span class="dot" style="background:{colour(emotion)}"></span>'


def mark(right: bool) -> str:
    """Return a coloured tick or cross that also reads without colour."""
    return '<span class="yes">✓</span>' if right else '<span class="no">✗</span>'


def tile(
    name: str, value: str, note: str, share: float | None = None, best: float | None = None
) -> str:
    """Return a key figure; `share` 0..1 draws a bar, `best` 0..1 a line across it."""
    meter = ""
    if share is not None:
        line = "" if best is None else f'<u style="left:{100 * min(1.0, max(0.0, best)):.1f}%"></u>'
        width = 100 * min(1.0, max(0.0, share))
        meter = f'<div class="meter"><i style="width:{width:.1f}%"></i>{line}</div>'
    return (
        f'<div class="tile"><span class="name">{text(name)}</span><b>{text(value)}</b>{meter}'
        f'<span class="small">{text(note)}</span></div>'
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numeric: bool = True) -> str:
    """Return a table; cells are HTML already. All columns but the first are numbers.

    The first cell of a row is its header. On a phone every row folds into a block of its own, each
    value behind its column's name.
    """
    cls = [' class="n"' if numeric and place else "" for place in range(len(head))]
    top = "".join(
        f'<th scope="col"{c}>{text(name)}</th>' for name, c in zip(head, cls, strict=True)
    )
    body = "".join(_row(head, row, cls) for row in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody>'
        "</table></div>"
    )


def _row(head: Sequence[str], row: Sequence[str], cls: Sequence[str]) -> str:
    first, *others = row
    cells = "".join(
        f'<td{_dashed(c, cell)} data-label="{text(name)}">{cell}</td>'
        for name, cell, c in zip(head[1:], others, cls[1:], strict=True)
    )
    return f'<tr><th scope="row">{first}</th>{cells}</tr>'


def _dashed(cls: str, cell: str) -> str:
    """Return a cell's class; one that holds only a dash is not shown on a phone."""
    if cell != "–":
        return cls
    return f'{cls[:-1]} dash"' if cls else ' class="dash"'


def said(sentence: str, n: int | None = None, seed: object = None, of: str = "pictures") -> str:
    """Return a section's opening: what it shows, of how many, and from which seed."""
    parts = [] if n is None else [f"n = {n:,} {of}"]
    parts += [] if seed is None else [f"seed {seed}"]
    tail = f' <span class="of">({text(", ".join(parts))})</span>' if parts else ""
    return f"<p>{text(sentence)}{tail}</p>"


def card(title: str, body: str, note: str = "") -> str:
    """Return a titled card with an optional note below."""
    small = f'<p class="small">{text(note)}</p>' if note else ""
    return f'<div class="card"><h3>{text(title)}</h3>{body}{small}</div>'


def bars(probabilities: Mapping[str, float], most: int = 3) -> str:
    """Return the `most` likeliest emotions as small bars."""
    top = sorted(probabilities.items(), key=lambda item: -item[1])[:most]
    rows = "".join(
        f"<span>{text(label)}</span><span><i style='width:{100 * min(1.0, max(0.0, p)):.1f}%;"
        f"background:{colour(label)}'></i></span><span>{percent(p, 0)}</span>"
        for label, p in top
    )
    return f'<div class="bars">{rows}</div>'


def reading(root: Path, row: Mapping[str, Any], side: int = 256) -> str:
    """Return one reading as a card: picture, emotion, likeliest three, the reason in words."""
    name = str(row.get("id", ""))
    if "error" in row:
        return (
            '<div class="card reading"><div class="none">not read</div><div>'
            f'<span class="badge">could not be read</span><p class="small">{text(row["error"])}</p>'
            f'<div class="id">{text(name)}</div></div></div>'
        )
    shares: Mapping[str, float] = row["probabilities"]
    emotion = str(row.get("emotion") or max(shares, key=lambda label: shares[label]))
    sure = float(row.get("confidence") or max(shares.values()))
    label, outside = row.get("label"), bool(row.get("outside"))
    head = f"{dot(emotion)}{text(emotion)}"
    if outside:
        head = f'<span class="small">it would have said</span> {head}'
    who = f'<div class="who"><span>{head}</span><span class="small">{percent(sure, 0)} sure</span>'
    if label:
        said = "as labelled" if label == emotion else f"labelled {label}"
        who += f'<span class="small">{mark(label == emotion)} {text(said)}</span>'
    who += "</div>"
    badge = '<span class="badge">outside what this preset has seen</span>' if outside else ""
    words = f"<blockquote>{text(row['rationale'])}</blockquote>" if row.get("rationale") else ""
    return (
        f'<div class="card reading{" outside" if outside else ""}">'
        f"{picture(root, row.get('image'), f'{name}, read as {emotion}', side)}<div>{badge}{who}"
        f'{bars(shares)}{words}<div class="id">{text(name)}</div></div></div>'
    )


def page(title: str, header: str, links: Sequence[tuple[str, str]], body: str, foot: str) -> str:
    """Return the whole self-contained page; nothing in it can load or run anything."""
    nav = "".join(f'<a href="#{text(anchor)}">{text(name)}</a>' for anchor, name in links)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head><body>{HATCH}"
        f'<header class="top">{header}</header><nav><div>{nav}</div></nav><main>{body}</main>'
        f"<hr><footer>{foot}</footer></body></html>\n"
    )
