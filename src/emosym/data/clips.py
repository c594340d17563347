"""Pictures out of the clips of a conversation: found by seeking, few are decoded, kept on disk.

Only local files are opened, in formats that hold their pictures themselves (no playlists).
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

from PIL import Image

from emosym.data.images import MAX_PIXELS
from emosym.errors import UsageError
from emosym.extras import require
from emosym.files import FILE, NOTHING, look, told, user_cache, write_atomic
from emosym.types import Turn

logger = logging.getLogger(__name__)

LONGEST_SECONDS = 3600.0  # what lasts an hour is no clip of a turn
MOST_DECODED = 600  # pictures decoded after a seek, before the wished one is given up
MOST_FRAMES = 64
SIDE = 512  # the longer side of a kept picture at most
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpeg,mpegts,mpegvideo,asf,flv,ogg,m4v,h264,hevc"
)
SUFFIX = ".jpg"


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What a video file says of itself; `seconds` is None where it does not tell."""

    seconds: float | None
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class ClipFrames:
    """Which pictures are taken of clips, and where they are kept; `failed` counts the others.

    Calling it with a turn returns the turn with its pictures. A clip that cannot be read (missing,
    damaged, without pictures, an hour long) leaves words only; `failed` counts such turns by
    reason, and `first` holds the sentence about the first.
    """

    count: int = 4
    cache: Path | None = None
    failed: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)  # several threads may ask

    def __call__(self, turn: Turn) -> Turn:
        """Return a turn with pictures of its clip, uniform in time, where it has none yet."""
        if turn.clip is None or turn.frames:
            return turn
        try:
            frames = clip_frames(turn.clip, self.count, turn.start, turn.end, cache=self.cache)
        except ClipError as error:
            with self.lock:
                self.failed[error.reason] += 1
                if not self.first:
                    self.first.append(str(error))
                    logger.warning("%s Its turn is words alone; others like it are counted.", error)
            return turn
        return replace(turn, frames=frames)


class ClipError(UsageError):
    """A clip that cannot be shown. `reason` is missing, damaged, empty or long."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


def clip_facts(path: Path) -> ClipFacts:
    """Return what a clip says of itself; its first picture is decoded.

    Raises:
        ClipError: for a clip that is missing, damaged or without a picture.
        EmoSymError: without the extra `video`.
    """
    with _opened(path) as (container, stream):
        for _ in container.decode(stream):
            return ClipFacts(_seconds(container, stream), stream.width, stream.height)
    raise ClipError("empty", f"The clip {path} holds no picture.")


def clip_frames(
    path: Path,
    count: int = 4,
    start: float | None = None,
    end: float | None = None,
    *,
    at: float | None = None,
    cache: Path | None = None,
) -> tuple[Path, ...]:
    """Return paths of pictures of a clip, at most SIDE pixels long, kept as JPEG.

    `count` (1..64) pictures lie in the middle of as many equal stretches of `start`..`end` (in
    seconds; unset, of the whole). With `at`, only the picture at that second is taken: the frame of
    the greatest sum of action units, say. Each is found by a seek. They are kept in `cache` (unset:
    the user's) under the file's path, size and time of change.

    Raises:
        ClipError: for a clip that is missing, damaged, without a picture, or an hour long where no
            stretch of it is named.
        EmoSymError: without the extra `video`, or for a full disk.
    """
    if not 1 <= count <= MOST_FRAMES:
        raise UsageError(f"The number of pictures of a clip must be 1..{MOST_FRAMES}, got {count}.")
    folder = (cache or user_cache()) / "clips"
    key = _key(path, f"{count},{start},{end},{at}")
    number = 1 if at is not None else count
    paths = tuple(folder / key[:2] / f"{key}-{place}of{number}{SUFFIX}" for place in range(number))
    if all(look(kept) == FILE for kept in paths):
        return paths
    with _opened(path) as (container, stream):
        seconds = _seconds(container, stream)
        if seconds is not None and seconds >= LONGEST_SECONDS and at is None and end is None:
            raise ClipError(
                "long", f"The clip {path} lasts {seconds / 60:.0f} minutes, an hour or more."
            )
        for wished, kept in zip(_times(seconds, number, start, end, at), paths, strict=True):
            picture = _picture_at(container, stream, wished)
            if picture is None:
                raise ClipError("empty", f"The clip {path} holds no picture.")
            _keep(picture, kept)
    return paths


def _keep(picture: Image.Image, path: Path) -> None:
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
    write_atomic(path, lambda temporary: picture.save(temporary, quality=92))


def _key(path: Path, request: str) -> str:
    """Return a name for what is asked of a file in the state it is in."""
    kind = look(path)
    if kind != FILE:
        why = "there is no such file" if kind == NOTHING else "it is no file"
        raise ClipError("missing", f"The clip {path} cannot be read: {why}.")
    status = path.stat()
    if not status.st_size:
        raise ClipError("empty", f"The clip {path} holds no picture: the file is empty.")
    told_of = f"{path.resolve()}\n{status.st_size}\n{status.st_mtime_ns}\n{SIDE}\n{request}"
    return hashlib.sha256(told_of.encode("utf-8", "surrogateescape")).hexdigest()[:32]


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """Open a clip's first video stream; whatever its decoder raises is one sentence."""
    av = require("av", "video")
    _key(path, "")
    try:
        # a stream, not a name: names may be addresses of the network to this library
        with path.open("rb") as file, av.open(file, options={"format_whitelist": FORMATS}) as clip:
            if not clip.streams.video:
                raise ClipError("empty", f"The clip {path} holds no picture, only sound.")
            stream = clip.streams.video[0]
            if stream.width * stream.height > MAX_PIXELS:
                raise ClipError("damaged", f"The clip {path} has more than {MAX_PIXELS} pixels.")
            yield clip, stream
    except av.FFmpegError as error:
        said = str(getattr(error, "strerror", error) or error)
        raise ClipError("damaged", f"The clip {path} cannot be read as a video: {said}.") from error
    except (EOFError, ValueError, MemoryError) as error:
        raise ClipError("damaged", f"The clip {path} cannot be read as a video.") from error
    except OSError as error:
        raise ClipError("missing", f"The clip {path} cannot be read: {told(error)}.") from error


def _seconds(container: Any, stream: Any) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / 1_000_000 if container.duration else None


def _times(
    seconds: float | None, count: int, start: float | None, end: float | None, at: float | None
) -> list[float]:
    """Return the seconds at which pictures are wished."""
    last = seconds if seconds is not None else 0.0
    if at is not None:
        return [max(0.0, at)]
    first = min(max(0.0, start or 0.0), last) if seconds is not None else max(0.0, start or 0.0)
    stop = last if end is None else (min(end, last) if seconds is not None else end)
    span = max(0.0, stop - first)
    return [first + (place + 0.5) / count * span for place in range(count)]


def _picture_at(container: Any, stream: Any, wished: float) -> Image.Image | None:
    """Return the last picture that begins at or before a second, or the first there is."""
    base = stream.time_base
    origin = stream.start_time or 0
    goal = origin + round(wished / base)
    container.seek(goal, stream=stream, backward=True)
    shown = None
    for number, frame in enumerate(container.decode(stream)):
        if shown is not None and (frame.pts is None or frame.pts > goal):
            break
        shown = frame
        if number >= MOST_DECODED:
            break
    return None if shown is None else shown.to_image()
