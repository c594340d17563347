"""Pictures from files, bytes and folders: read safely, cut square, decoded ahead of use."""

from __future__ import annotations

import glob
import io
import re
import struct
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

from PIL import Image, UnidentifiedImageError

from emosym.data.pixels import to_rgb
from emosym.errors import UsageError
from emosym.types import BadInput, StoredImage

ImageSource: TypeAlias = Path | str | bytes | StoredImage | Image.Image
Named: TypeAlias = Path | str | StoredImage

MAX_PIXELS = 50_000_000
MAX_BYTES = 64 * 1024 * 1024
# No format that runs another program (EPS) or reads other files is on this list.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "PSD", "AVIF")
SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".tif"),
        *(".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".psd", ".avif"),
    )
)
# What Pillow's decoders raise on malformed bytes, found by fuzzing them.
DECODE_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
URL = re.compile(r"^([a-z][a-z0-9+.-]+://|data:)", re.IGNORECASE)
GLOB = re.compile(r"[*?\[]")
MAGIC: dict[bytes, str] = {
    b"\xff\xd8\xff": "a JPEG",
    b"\x89PNG": "a PNG",
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"8BPS": "a PSD",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
}


def load_image(
    source: ImageSource, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> Image.Image:
    """Read one picture as upright 8-bit RGB (see `pixels.to_rgb`); of an animation, frame one.

    A string is a path. The file's size is checked before it is read and the picture's before it
    is decoded. `max_bytes` counts encoded bytes; Pillow's own limit of about 179 million pixels
    holds above `max_pixels`.

    Raises:
        UsageError: for a URL (nothing is fetched) and for anything that is not a whole picture
            within the limits: one sentence that names the file and what is wrong.
    """
    if isinstance(source, Image.Image):
        return _decode(source, "The given picture", max_pixels)
    if isinstance(source, bytes):
        return decode(source, f"The picture given as {len(source)} bytes", max_pixels, max_bytes)
    data = read_encoded(source, max_bytes)
    return decode(data, repr(str(source)), max_pixels, max_bytes)


def decode(
    data: bytes, name: str, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> Image.Image:
    """Decode one encoded picture as `load_image` does; `name` stands for it in errors."""
    if len(data) > max_bytes:
        raise _refused(name, f"it has {len(data)} bytes and the limit is {max_bytes}")
    if not data:
        raise _refused(name, "it is empty (0 bytes)")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except BOMBS:
        raise _too_large(name, None, max_pixels) from None
    except UnidentifiedImageError as error:
        raise _refused(name, _diagnosis(data)) from error
    except DECODE_ERRORS as error:
        raise _refused(name, _reason(error)) from error
    with image:
        return _decode(image, name, max_pixels)


def read_encoded(source: Named, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the bytes of a stored picture or a regular file of at most `max_bytes`.

    Raises:
        UsageError: for a URL, a missing or too large file, a folder.
    """
    if isinstance(source, StoredImage):
        return source.read()
    name, path = repr(str(source)), Path(source)
    if isinstance(source, str) and URL.match(source):
        short = source if len(source) <= 80 else source[:77] + "..."
        raise UsageError(f"{short!r} is a URL, and nothing is fetched: save the picture to a file.")
    try:
        if not path.exists():
            raise _refused(name, "there is no such file")
        if not path.is_file():
            raise _refused(name, "it is a folder" if path.is_dir() else "it is not a regular file")
        size = path.stat().st_size
        if size > max_bytes:
            raise _refused(name, f"it has {size} bytes and the limit is {max_bytes}")
        with path.open("rb") as stream:
            return stream.read(max_bytes)
    except (OSError, ValueError) as error:
        raise _refused(name, _reason(error)) from error


def _decode(image: Image.Image, name: str, max_pixels: int) -> Image.Image:
    width, height = image.size
    if width < 1 or height < 1:
        raise _refused(name, f"it is {width} x {height} pixels, so there is nothing to see")
    if width * height > max_pixels:
        raise _too_large(name, image.size, max_pixels)
    try:
        image.load()
        return to_rgb(image)
    except BOMBS:
        raise _too_large(name, None, max_pixels) from None
    except DECODE_ERRORS as error:
        raise _refused(name, _reason(error)) from error


def _refused(name: str, what: str) -> UsageError:
    return UsageError(f"{name} cannot be read as a picture: {what}.")


def _too_large(name: str, size: tuple[int, int] | None, max_pixels: int) -> UsageError:
    found = f"it is {size[0]} x {size[1]} pixels" if size else "it unpacks to far too many pixels"
    return _refused(name, f"{found} and the limit is {max_pixels} pixels")


def _reason(error: Exception) -> str:
    """Return what an error says, as the rest of a sentence."""
    if isinstance(error, PermissionError):
        return "there is no permission to open it"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    said = str(error).split("\n", 1)[0].rstrip(".")
    if "truncated" in said.lower():
        return "it is cut off before its end (truncated)"
    return f"its data is damaged ({said})" if said else "its data is damaged"


def _diagnosis(data: bytes) -> str:
    """Say why no decoder took these bytes."""
    kind = next((name for magic, name in MAGIC.items() if data.startswith(magic)), None)
    if kind == "a GIF" and len(data) >= 10 and 0 in struct.unpack("<HH", data[6:10]):
        return "it is a GIF of zero width or height"
    if kind == "a PNG" and len(data) >= 24 and 0 in struct.unpack(">II", data[16:24]):
        return "it is a PNG of zero width or height"
    if kind:
        return f"it starts like {kind} but its header is damaged"
    if data.startswith(b"%PDF"):
        return "it is a PDF; save its page as PNG or JPEG"
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
        return "it is a HEIC photo; save it as JPEG"
    head = data[:512]
    # A multi-byte character may be cut at the end of `head`: its bytes are dropped, not refused.
    printable = head.decode("utf-8", errors="ignore")
    if len(printable.encode()) >= len(head) - 3 and "\0" not in printable:
        return "it holds text"
    return f"its format is none of {', '.join(FORMATS)}"


def find_images(paths: Sequence[str | Path]) -> Iterator[Path]:
    """Iterate over the pictures named by files, folders and globs, in a fixed order.

    A file is given back as it is, whatever its suffix. Folders (also those that a glob matches)
    are walked recursively in name order; hidden entries and linked folders are passed over, and
    only files with a picture's suffix count. Every path is checked before the first is yielded.

    Raises:
        UsageError: at the call, for a URL and for a path or glob that matches no picture.
    """
    for path in paths:
        if next(_matches(path), None) is None:
            raise UsageError(
                f"{str(path)!r} matches no picture; picture files end in "
                f"{', '.join(sorted(SUFFIXES))}."
            )
    return (found for path in paths for found in _matches(path))


def _matches(path: str | Path) -> Iterator[Path]:
    if URL.match(str(path)) and isinstance(path, str):
        raise UsageError(f"{path!r} is a URL, and nothing is fetched: save the picture to a file.")
    if Path(path).is_dir():
        yield from _walk(Path(path))
    elif Path(path).exists():
        yield Path(path)
    elif GLOB.search(str(path)):
        # Path.glob takes no absolute pattern.
        for name in sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207
            if Path(name).is_dir() and "**" not in str(path):
                yield from _walk(Path(name))
            elif Path(name).is_file() and Path(name).suffix.lower() in SUFFIXES:
                yield Path(name)


def _walk(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except PermissionError as error:
        raise UsageError(f"No permission to look into the folder {str(folder)!r}.") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if not entry.is_symlink():
                yield from _walk(entry)
        elif entry.suffix.lower() in SUFFIXES and entry.is_file():
            yield entry


def square(image: Image.Image, size: int) -> Image.Image:
    """Return the largest centred square of a picture, resized to (size, size), antialiased."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BICUBIC, box=box)


def decode_batches(
    paths: Iterable[Named], batch_size: int, size: int | None = None, workers: int = 4
) -> Iterator[list[tuple[str, Image.Image | BadInput]]]:
    """Yield batches of (path, picture) in order, decoding the next one while this one is used.

    With `size` the pictures are cut square to it. What cannot be read becomes a `BadInput`. At
    most `batch_size + 2 * workers` pictures are decoded or being decoded beyond the yielded
    batch, however slow the consumer. The last batch may be short.

    Raises:
        UsageError: when `batch_size`, `size` or `workers` is below 1.
    """
    for name, value in (("batch_size", batch_size), ("size", size), ("workers", workers)):
        if value is not None and value < 1:
            raise UsageError(f"{name} must be 1 or more, got {value}.")
    return _decode_ahead(iter(paths), batch_size, size, workers)


def _decode_ahead(
    paths: Iterator[Named], batch_size: int, size: int | None, workers: int
) -> Iterator[list[tuple[str, Image.Image | BadInput]]]:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    ahead: deque[Future[tuple[str, Image.Image | BadInput]]] = deque()
    batch: list[tuple[str, Image.Image | BadInput]] = []
    try:
        for path in paths:
            ahead.append(pool.submit(_decode_one, path, size))
            if len(ahead) < batch_size + 2 * workers:
                continue
            batch.append(ahead.popleft().result())
            if len(batch) == batch_size:
                yield batch
                batch = []
        while ahead:
            batch.append(ahead.popleft().result())
            if len(batch) == batch_size or not ahead:
                yield batch
                batch = []
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_one(path: Named, size: int | None) -> tuple[str, Image.Image | BadInput]:
    try:
        image = load_image(path)
    except UsageError as error:
        return str(path), BadInput(str(path), str(error))
    return str(path), image if size is None else square(image, size)
