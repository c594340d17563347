"""All pictures of a small data set as one array, kept on disk between runs."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from emosym.data.dataset import Dataset
from emosym.data.images import ImageSource, load_image, square
from emosym.errors import UsageError
from emosym.files import write_atomic
from emosym.types import Sample, StoredImage, only_picture

logger = logging.getLogger(__name__)
KEY_VERSION = "images_array/1"


def images_array(
    samples: Sequence[Sample],
    size: int,
    workers: int = 4,
    cache: str | Path | None = None,
) -> np.ndarray:
    """Return the picture of every sample, uint8 (N, size, size, 3), cut square.

    With a `cache` folder the array is stored there as .npy and read back as long as ids, size and
    the picture files' names, sizes and times of change stay the same. Of a `Dataset` no
    annotation is read.

    Raises:
        UsageError: when a sample has not one picture, or it cannot be read (names the sample).
    """
    names, sources = _sources(samples)
    path = Path(cache) / f"pictures-{size}-{_key(names, sources, size)}.npy" if cache else None
    if path is not None and path.is_file():
        stored = _stored(path, (len(names), size, size, 3))
        if stored is not None:
            return stored
    pixels = _decode_all(names, sources, size, workers)
    if path is not None:
        write_atomic(path, lambda temporary: np.save(temporary, pixels, allow_pickle=False))
    return pixels


def _sources(samples: Sequence[Sample]) -> tuple[list[str], list[ImageSource]]:
    if isinstance(samples, Dataset):
        return list(samples.ids()), [samples.picture(index) for index in range(len(samples))]
    return [sample.id for sample in samples], [only_picture(sample) for sample in samples]


def _decode_all(
    names: list[str], sources: list[ImageSource], size: int, workers: int
) -> np.ndarray:
    pixels = np.empty((len(names), size, size, 3), dtype=np.uint8)

    def fill(index: int) -> None:
        try:
            pixels[index] = np.asarray(square(load_image(sources[index]), size))
        except UsageError as error:
            raise UsageError(f"Sample {names[index]!r}: {error}") from error

    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        for block in _blocks(len(names), 64 * workers):
            # Blocks let a bad picture stop the work soon: map() submits all it is given.
            list(pool.map(fill, block))
    return pixels


def _blocks(count: int, length: int) -> Iterator[range]:
    return (range(start, min(start + length, count)) for start in range(0, count, length))


def _stored(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return a stored array, or None (it is then made again) when the file is damaged."""
    try:
        pixels: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        logger.warning("Making %s again: %s", path, error)
        return None
    return pixels if pixels.shape == shape and pixels.dtype == np.uint8 else None


def _key(names: list[str], sources: list[ImageSource], size: int) -> str:
    """Return the first 20 hexadecimal digits of a SHA-256 over what the array depends on."""
    digest = hashlib.sha256(f"{KEY_VERSION}:{size}".encode())
    for name, source in zip(names, sources, strict=True):
        for part in (name, *_identity(source)):
            digest.update(f"{len(part)}:".encode() + part.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:20]


def _identity(source: ImageSource) -> tuple[str, ...]:
    source = source.read() if isinstance(source, StoredImage) else source
    if isinstance(source, bytes):
        return (hashlib.sha256(source).hexdigest(),)
    if isinstance(source, Image.Image):
        return (source.mode, str(source.size), hashlib.sha256(source.tobytes()).hexdigest())
    path = Path(source)
    if not path.is_file():
        raise UsageError(f"Missing picture: {path} does not exist.")
    status = path.stat()
    return (str(path.resolve()), str(status.st_size), str(status.st_mtime_ns))
