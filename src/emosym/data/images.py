"""Pictures from files and bytes: read safely, cut square, decoded ahead of use."""

from __future__ import annotations

import io
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, TypeVar

from PIL import Image, UnidentifiedImageError

from emosym.data.decoder_messages import hush
from emosym.data.pixels import to_rgb
from emosym.data.walk import URL
from emosym.errors import UsageError
from emosym.extras import install_command, is_available, require
from emosym.files import FILE, FOLDER, NOTHING, look, told
from emosym.types import BadInput, Sample, StoredImage

ImageSource: TypeAlias = Path | str | bytes | StoredImage | Image.Image
Named: TypeAlias = Path | str | StoredImage
Decoded: TypeAlias = tuple[str, Image.Image | Sample | BadInput]
Accept: TypeAlias = Callable[[Image.Image, str], None]  # refuses by a UsageError
Item = TypeVar("Item")
Given: TypeAlias = Named | BadInput  # a path that could not be looked at is an error row already

hush()  # before anything is decoded, in any thread

MAX_PIXELS = 8192 * 8192  # cameras of 50 megapixels give 8192 x 6144
MAX_BYTES = 64 * 1024 * 1024
# No format that runs another program (EPS) or reads other files is on this list, nor one whose
# pictures are larger than their header says (ICO). TGA, which begins like anything, is tried last.
FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "GIF",
    "BMP",
    "TIFF",
    "PPM",
    "PSD",
    "AVIF",
    "JPEG2000",
    "QOI",
    "SGI",
    "PCX",
    "TGA",
)
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
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
        image = Image.open(io.BytesIO(data), formats=_formats(data))
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
    kind = look(path)
    if kind != FILE:
        said = {NOTHING: "there is no such file", FOLDER: "it is a folder"}
        raise _refused(name, said.get(kind, "it is not a regular file"))
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise _refused(name, f"it has {size} bytes and the limit is {max_bytes}")
        with path.open("rb") as stream:
            return stream.read(max_bytes)
    except OSError as error:
        raise _refused(name, told(error)) from error


def _formats(data: bytes) -> tuple[str, ...]:
    """Return the formats that may read these bytes; HEIC's decoder is loaded when one comes."""
    if not _is_heic(data) or not is_available("pillow_heif"):
        return FORMATS
    require("pillow_heif", "heic").register_heif_opener()
    return ("HEIF",)


def _is_heic(data: bytes) -> bool:
    """Tell whether bytes are a HEIC photo and not an AVIF, which has the same container."""
    brands = {data[place : place + 4] for place in range(8, 40, 4)}
    avif = brands & {b"avif", b"avis"}
    return data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS and not avif


def size_of(source: ImageSource) -> tuple[int, int] | None:
    """Return (width, height) of a picture as stored, from its header; None where it has none."""
    if isinstance(source, Image.Image):
        return source.size
    try:
        data = source if isinstance(source, bytes) else read_encoded(source)
        with Image.open(io.BytesIO(data), formats=_formats(data)) as image:
            return image.size
    except (UsageError, *BOMBS, *DECODE_ERRORS):
        return None


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
    if _is_heic(data):
        how = "its data is damaged" if is_available("pillow_heif") else install_command("heic")
        return f"it is a HEIC photo ({how})"
    if data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis"):
        return "it starts like an AVIF but its header is damaged"
    if data.startswith(b"PF"):
        return "it is a PFM of three channels, and only those of one are read"
    head = data[:512]
    # A multi-byte character may be cut at the end of `head`: its bytes are dropped, not refused.
    printable = head.decode("utf-8", errors="ignore")
    if len(printable.encode()) >= len(head) - 3 and "\0" not in printable:
        return "it holds text"
    return f"its format is none of {', '.join(FORMATS)}"


def decoded(sample: Sample) -> Sample:
    """Return a sample with its pictures read, as `load_image` does; errors as there."""
    turns = tuple(
        replace(turn, frames=tuple(load_image(frame) for frame in turn.frames))
        for turn in sample.turns
    )
    return replace(sample, turns=turns)


def square(image: Image.Image, size: int) -> Image.Image:
    """Return the largest centred square of a picture, resized to (size, size), antialiased."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BICUBIC, box=box)


def decode_batches(
    paths: Iterable[Item],
    batch_size: int,
    size: int | None = None,
    workers: int = 4,
    accept: Accept | None = None,
    decode_one: Callable[[Item, int | None, Accept | None], Decoded] | None = None,
) -> Iterator[list[Decoded]]:
    """Yield batches of (path, picture) in order, decoding the next one while this one is used.

    With `size` the pictures are cut square to it. What cannot be read becomes a `BadInput`, and a
    `BadInput` among the paths stays one; so does what `accept`, told a decoded picture and its
    name, refuses with a UsageError. At
    most `batch_size + 2 * workers` pictures are decoded or being decoded beyond the yielded
    batch, however slow the consumer. The last batch may be short. `decode_one` (item, size, accept)
    takes items of other kinds.

    Raises:
        UsageError: when `batch_size`, `size` or `workers` is below 1.
    """
    for name, value in (("batch_size", batch_size), ("size", size), ("workers", workers)):
        if value is not None and value < 1:
            raise UsageError(f"{name} must be 1 or more, got {value}.")
    decode_any: Callable[..., Decoded] = decode_one or _decode_one
    return _decode_ahead(
        iter(paths), batch_size, workers, lambda item: decode_any(item, size, accept)
    )


def _decode_ahead(
    paths: Iterator[Item], batch_size: int, workers: int, decode_one: Callable[[Item], Decoded]
) -> Iterator[list[Decoded]]:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    ahead: deque[Future[Decoded]] = deque()
    batch: list[Decoded] = []
    try:
        for path in paths:
            ahead.append(pool.submit(decode_one, path))
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


def _decode_one(path: Given, size: int | None, accept: Accept | None) -> Decoded:
    if isinstance(path, BadInput):
        return path.source, path
    try:
        image = load_image(path)
        if accept is not None:
            accept(image, repr(str(path)))
    except UsageError as error:
        return str(path), BadInput(str(path), str(error))
    return str(path), image if size is None else square(image, size)
