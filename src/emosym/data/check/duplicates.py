"""Pictures that are there twice: the same bytes, or nearly the same to the eye."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from emosym.data.check.fingerprints import BITS, TINY
from emosym.errors import UsageError

BLOCKS = 4
BLOCK_BITS = BITS // BLOCKS
MAX_DISTANCE = 11  # blocks are probed up to distance // BLOCKS bits around their value
CHUNK_PAIRS = 1 << 18
# Copies saved again, scaled, brightened or with more contrast stay above it; other pictures of one
# scene do not.
ALIKE = 0.95


def exact_groups(digests: Sequence[str]) -> list[list[int]]:
    """Return the groups of at least two equal, non-empty strings, as ascending row numbers."""
    rows: dict[str, list[int]] = {}
    for row, digest in enumerate(digests):
        if digest:
            rows.setdefault(digest, []).append(row)
    return [group for group in rows.values() if len(group) > 1]


def near_groups(hashes: np.ndarray, tiny: np.ndarray, distance: int) -> list[list[int]]:
    """Return groups of rows linked by near duplicates, ascending, each of at least two.

    `hashes` is uint64 (N,), `tiny` uint8 (N, 8, 8, 3). Two pictures are near when at most
    `distance` bits of their hashes differ and their tiny copies are `alike`. A group is what such
    links connect, so its ends may differ more.
    """
    owner = np.arange(len(hashes))
    for pairs in hash_pairs(hashes, distance):
        # what is connected already need not be compared: thousands of equal hashes cost little
        new = pairs[owner[pairs[:, 0]] != owner[pairs[:, 1]]]
        links = new[alike(tiny[new[:, 0]], tiny[new[:, 1]])]
        if len(links):
            owner = _merged(owner, links)
    order = np.argsort(owner, kind="stable")
    edges = np.flatnonzero(np.diff(owner[order])) + 1
    groups = [part.tolist() for part in np.split(order, edges) if len(part) > 1]
    return sorted(groups)


def _merged(owner: np.ndarray, links: np.ndarray) -> np.ndarray:
    """Return each row's component (N,) after links (M, 2) between rows are added."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = len(owner)
    ends = owner[links]
    ones = np.ones(len(links), dtype=np.int32)
    graph = coo_array((ones, (ends[:, 0], ends[:, 1])), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    return component[owner]


def hash_pairs(hashes: np.ndarray, distance: int) -> Iterator[np.ndarray]:
    """Yield int64 (M, 2) pairs i < j of uint64 hashes (N,) that differ in at most `distance` bits.

    Multi-index hashing: of 4 blocks of 16 bits at least one differs in at most distance // 4 bits,
    so the hashes are looked up by each block and its neighbours instead of comparing all pairs.
    Every pair is yielded at least once.

    Raises:
        UsageError: for a distance outside 0..MAX_DISTANCE.
    """
    if not 0 <= distance <= MAX_DISTANCE:
        raise UsageError(f"The distance must lie in 0..{MAX_DISTANCE} bits, got {distance}.")
    rows = np.arange(len(hashes))
    for block in range(BLOCKS):
        shift = np.uint64(block * BLOCK_BITS)
        keys = ((hashes >> shift) & np.uint64(2**BLOCK_BITS - 1)).astype(np.int64)
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        for mask in _masks(distance // BLOCKS):
            left = np.searchsorted(ordered, keys ^ mask, "left")
            counts = np.searchsorted(ordered, keys ^ mask, "right") - left
            for start, stop in _pieces(counts):
                found = counts[start:stop]
                first = np.repeat(rows[start:stop], found)
                ends = np.cumsum(found)
                place = np.arange(len(first)) - np.repeat(ends - found, found)
                second = order[np.repeat(left[start:stop], found) + place]
                apart = np.bitwise_count(hashes[first] ^ hashes[second])
                keep = (first < second) & (apart <= distance)
                if keep.any():
                    yield np.stack([first[keep], second[keep]], 1)


def _masks(radius: int) -> list[int]:
    """Return the block values with at most `radius` bits set."""
    bits = range(BLOCK_BITS)
    return [
        sum(1 << bit for bit in chosen)
        for size in range(radius + 1)
        for chosen in combinations(bits, size)
    ]


def _pieces(counts: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield stretches of rows that together have about CHUNK_PAIRS candidates."""
    total = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, done + CHUNK_PAIRS, "right")))
        yield start, stop
        start = stop


def alike(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Tell for each of M pairs of tiny copies, uint8 (M, 8, 8, 3), whether they look alike.

    They do when their colours, each channel freed of its mean, correlate by at least ALIKE:
    brightness and contrast do not count, where what is does.
    """
    kept = []
    for start in range(0, len(one), 4096):
        a, b = (
            part[start : start + 4096].reshape(-1, TINY * TINY, 3).astype(np.float32)
            for part in (one, other)
        )
        a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)  # (m, 64, 3)
        products = ((a * b).sum((1, 2)), (a * a).sum((1, 2)), (b * b).sum((1, 2)))
        both, first, second = products  # each (m,)
        kept.append(both >= ALIKE * np.sqrt(first * second))
    return np.concatenate(kept) if kept else np.zeros(0, dtype=bool)
