"""What tells pictures apart: a hash of the file, a perceptual hash, and a tiny copy."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from emosym.data.dataset import with_annotation
from emosym.data.images import decode, read_encoded
from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.files import NOTHING, inside, look
from emosym.types import IMAGE_EMOTION, Sample

SIDE = 32  # pixels of the copy that the perceptual hash sees
BITS = 64
TINY = 8  # side of the copy that two alike hashes are compared by
FLAT = 4.0  # a picture whose luma varies less (of 255) has no perceptual hash: all would be alike
KINDS: dict[bytes, tuple[str, frozenset[str]]] = {
    b"\xff\xd8\xff": ("JPEG", frozenset((".jpg", ".jpeg", ".jpe", ".jfif"))),
    b"\x89PNG": ("PNG", frozenset((".png", ".apng"))),
    b"GIF8": ("GIF", frozenset((".gif",))),
    b"BM": ("BMP", frozenset((".bmp",))),
    b"8BPS": ("PSD", frozenset((".psd",))),
}
LUMA = np.array([299, 587, 114], dtype=np.int64)  # ITU-R BT.601, in thousandths
# The lowest frequencies of a cosine transform, the mean left out, from low to high.
FREQUENCIES = tuple(
    sorted(
        ((u, v) for u in range(12) for v in range(12) if u + v > 0),
        key=lambda pair: (pair[0] ** 2 + pair[1] ** 2, pair),
    )[:BITS]
)
# Whole numbers throughout: the same bits on every machine, whatever library multiplies.
COSINES = np.rint(
    4096.0 * np.cos(np.pi * np.arange(12)[:, None] * (2 * np.arange(SIDE)[None] + 1) / (2 * SIDE))
).astype(np.int64)  # (12, SIDE)

# A picture's path inside a root, or its bytes and name, or None and why there are none; the root;
# the annotation's path inside it; the label space.
Picture: TypeAlias = str | tuple[bytes, str] | tuple[None, str]
Task: TypeAlias = tuple[Picture, str, str | None, LabelSpace]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What reading one picture and its annotation told.

    `sha256` is of the encoded bytes; `phash` has 64 bits, None for a flat or unreadable picture;
    `tiny` is the picture in 8 x 8 RGB bytes; `error` and `annotation_error` are sentences;
    `misnamed` is the true format where the file's suffix says another; `outside` says that a path
    leaves the data set's folder (nothing is read then).
    """

    sha256: str = ""
    phash: int | None = None
    tiny: bytes = b""
    size: tuple[int, int] | None = None
    misnamed: str | None = None
    missing: bool = False
    error: str | None = None
    outside: str | None = None
    annotation_missing: bool = False
    annotation_error: str | None = None


def fingerprints(tasks: Sequence[Task]) -> list[Fingerprint]:
    """Read pictures and annotations, in order; nothing in a file stops the work."""
    # On a thread of its own: glibc gives the main thread's freed pages back after every picture,
    # and getting them again took a third of the processor's time.
    with ThreadPoolExecutor(1, thread_name_prefix="check") as pool:
        return pool.submit(lambda: [_fingerprint(*task) for task in tasks]).result()


def _fingerprint(
    picture: Picture, root: str, annotation: str | None, space: LabelSpace
) -> Fingerprint:
    try:
        path = inside(Path(root), picture, "picture") if isinstance(picture, str) else None
        note = inside(Path(root), annotation, "annotation") if annotation is not None else None
    except UsageError as error:
        return Fingerprint(outside=str(error))
    absent, complaint = _annotation(note, space)
    told = {"annotation_missing": absent, "annotation_error": complaint}
    data: bytes | None = None
    if not isinstance(picture, str):
        data, name = picture
    elif path is not None:
        name = str(path)
        try:
            data = read_encoded(path)
        except UsageError as error:
            gone = _is_gone(path)
            return Fingerprint(missing=gone, error=str(error), **told)  # type: ignore[arg-type]
    if data is None:
        return Fingerprint(error=name, **told)  # type: ignore[arg-type]
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        image = decode(data, repr(name))
    except UsageError as error:
        return Fingerprint(sha256, error=str(error), **told)  # type: ignore[arg-type]
    phash, tiny = perceptual(image)
    other = misnamed(data, name) if path is not None else None
    return Fingerprint(sha256, phash, tiny, image.size, other, **told)  # type: ignore[arg-type]


def _annotation(path: Path | None, space: LabelSpace) -> tuple[bool, str | None]:
    """Return (missing, complaint) of an annotation file."""
    if path is None:
        return False, None
    try:
        with_annotation(Sample(""), path, space, IMAGE_EMOTION)
    except UsageError as error:
        return _is_gone(path), str(error)
    return False, None


def _is_gone(path: Path) -> bool:
    """Tell whether nothing is at a path; what cannot be looked at is there, but unreadable."""
    try:
        return look(path) == NOTHING
    except UsageError:
        return False


def misnamed(data: bytes, name: str) -> str | None:
    """Return the format of encoded bytes where the name's suffix belongs to another one."""
    suffix = Path(name).suffix.lower()
    for magic, (kind, suffixes) in KINDS.items():
        if data.startswith(magic):
            return None if suffix in suffixes else kind
    return None


def perceptual(image: Image.Image) -> tuple[int | None, bytes]:
    """Return the 64-bit perceptual hash of an RGB picture and its copy in 8 x 8 RGB bytes.

    A bit says whether one of the 64 lowest frequencies of the luma's cosine transform (32 x 32,
    the mean left out) is above their median. None for a flat picture.
    """
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    pixels = np.asarray(small).astype(np.int64)  # (SIDE, SIDE, 3)
    step = SIDE // TINY
    tiny = pixels.reshape(TINY, step, TINY, step, 3).sum((1, 3)) // step**2
    luma = pixels @ LUMA  # (SIDE, SIDE), thousandths
    code = tiny.astype(np.uint8).tobytes()
    if luma.std() < 1000 * FLAT:
        return None, code
    waves = COSINES @ luma @ COSINES.T  # (12, 12)
    values = np.array([waves[pair] for pair in FREQUENCIES])
    bits = values > np.median(values)
    return int.from_bytes(np.packbits(bits).tobytes(), "big"), code
