"""Pictures of a run folder as data a page can hold."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emosym.data.images import load_image
from emosym.errors import UsageError
from emosym.files import inside
from emosym.types import Frame

if TYPE_CHECKING:
    from PIL import Image

QUALITY = 88
SMALL_SIDE = 128  # larger pictures are never smaller as a PNG


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture's `data:` address, or why there is none to show."""

    data: str = ""
    why: str = ""


def shown(root: Path, relative: object, side: int = 256) -> Shown:
    """Return a picture of a run folder, at most `side` pixels wide and high.

    It is a JPEG, or a PNG where that is smaller. One that is missing or damaged is told.

    Raises:
        UsageError: when the path leaves `root`.
    """
    if not isinstance(relative, str) or not relative:
        return Shown(why="no picture")
    path = inside(root, relative, "picture")
    return shown_frame(path, side) if path.is_file() else Shown(why="missing")


def shown_frame(frame: Frame, side: int = 256) -> Shown:
    """Return a sample's picture as `shown` does."""
    try:
        image = load_image(frame)
    except UsageError:
        return Shown(why="unreadable")
    image.thumbnail((side, side))
    made = [(_encoded(image, "JPEG", quality=QUALITY, subsampling=0), "jpeg")]
    if max(image.size) <= SMALL_SIDE:
        made.append((_encoded(image, "PNG", optimize=True), "png"))
    content, kind = min(made, key=lambda item: len(item[0]))
    return Shown(data=f"data:image/{kind};base64,{base64.b64encode(content).decode()}")


def _encoded(image: Image.Image, kind: str, **settings: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **settings)
    return stream.getvalue()
