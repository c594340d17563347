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


def hashed(samples: Iterable[Sample], workers: int = 4) -> Iterator[tuple[Sample, str]]:
    """Yield samples in order, each with the hash of its first picture, read ahead in threads."""

    def of(sample: Sample) -> str:
        return file_hash(sample.images[0]) if sample.images else NO_HASH

    left = iter(samples)
    with ThreadPoolExecutor(workers, thread_name_prefix="hash") as pool:
        while some := list(islice(left, AHEAD)):
            yield from zip(some, pool.map(of, some), strict=True)
