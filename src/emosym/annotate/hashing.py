"""What a picture's file is, whatever its name: the hash that a rationale is tied to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import islice
from pathlib import Path

from emosym.data.images import ImageSource
from emosym.files import sha256_of
from emosym.types import Sample

AHEAD = 512
NO_HASH = ""


def file_hash(image: ImageSource) -> str:
    """Return the SHA-256 of a picture's file or bytes; NO_HASH where there is none to read."""
    if isinstance(image, bytes):
        return sha256(image).hexdigest()
    if isinstance(image, (str, Path)):
        try:
            return sha256_of(Path(image))
        except OSError:
            return NO_HASH
    return NO_HASH


def pictures_hash(sample: Sample) -> str:
    """Return the hash of a sample's one picture, or one over those of several.

    NO_HASH where it has no picture, or one of them cannot be read.
    """
    each = [file_hash(image) for image in sample.images]
    if not each or NO_HASH in each:
        return NO_HASH
    return each[0] if len(each) == 1 else sha256("".join(each).encode()).hexdigest()


def hashed(samples: Iterable[Sample], workers: int = 4) -> Iterator[tuple[Sample, str]]:
    """Yield samples in order, each with the hash of its pictures, read ahead in threads."""
    left = iter(samples)
    with ThreadPoolExecutor(workers, thread_name_prefix="hash") as pool:
        while some := list(islice(left, AHEAD)):
            yield from zip(some, pool.map(pictures_hash, some), strict=True)
