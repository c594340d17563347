"""Groups of equal and of nearly equal pictures; the search finds what comparing all pairs finds."""

from __future__ import annotations

import numpy as np
import pytest

from emosym.data.check import duplicates
from emosym.data.check.duplicates import alike, exact_groups, hash_pairs, near_groups
from emosym.errors import UsageError


def test_exact_groups() -> None:
    assert exact_groups(["a", "b", "", "a", "c", "b", "", "a"]) == [[0, 3, 7], [1, 5]]


def noisy_hashes(count: int, seed: int) -> np.ndarray:
    """Return uint64 hashes of which many are 0 to 12 bits from another."""
    rng = np.random.default_rng(seed)
    roots = rng.integers(0, 2**64, count // 4, dtype=np.uint64)
    found = []
    for index in range(count):
        flips = rng.choice(64, rng.integers(0, 13), replace=False)
        mask = np.uint64(sum(1 << int(bit) for bit in flips))
        found.append(roots[index % len(roots)] ^ mask)
    return np.array(found, dtype=np.uint64)


def by_comparing_all(hashes: np.ndarray, distance: int) -> set[tuple[int, int]]:
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None])
    return {(int(i), int(j)) for i, j in zip(*np.nonzero(apart <= distance), strict=True) if i < j}


@pytest.mark.parametrize("distance", [0, 3, 4, 6, 7, 8, 11])
def test_pairs_are_all_pairs_within_the_distance(
    distance: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "CHUNK_PAIRS", 50)  # many pieces
    hashes = noisy_hashes(200, 5)
    found = {tuple(pair) for pairs in hash_pairs(hashes, distance) for pair in pairs.tolist()}
    assert found == by_comparing_all(hashes, distance)
    assert distance == 0 or found  # the case is not empty


def test_the_distance_is_limited() -> None:
    with pytest.raises(UsageError, match=r"0\.\.11 bits, got 12"):
        next(hash_pairs(np.zeros(2, np.uint64), 12))


def test_alike_looks_past_brightness_and_contrast() -> None:
    rng = np.random.default_rng(0)
    one = rng.integers(40, 200, (1, 8, 8, 3), dtype=np.uint8)
    brighter = one // np.uint8(2) + np.uint8(90)
    other = rng.permutation(one.reshape(64, 3)).reshape(1, 8, 8, 3)
    assert alike(one, brighter).tolist() == [True] and alike(one, other).tolist() == [False]
    assert alike(one[:0], one[:0]).tolist() == []


@pytest.mark.parametrize("chunk", [1, 1 << 18])
def test_groups_are_what_links_connect(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "CHUNK_PAIRS", chunk)
    chain = [0, 0b11, 0b1111]  # ends differ in 4 bits, neighbours in 2
    hashes = np.array([2**60 - 1, *chain, 2**60 - 1, 0b1], dtype=np.uint64)
    tiny = np.zeros((6, 8, 8, 3), np.uint8)
    assert near_groups(hashes, tiny, 2) == [[0, 4], [1, 2, 3, 5]]
    tiny[[0, 4], :4] = 200
    tiny[4] = 200 - tiny[4]  # the hash says the same and the eye does not
    assert near_groups(hashes, tiny, 2) == [[1, 2, 3, 5]]
    assert near_groups(hashes[:0], tiny[:0], 2) == []


def test_a_thousand_equal_hashes_are_one_group() -> None:
    hashes = np.full(3000, 77, np.uint64)
    groups = near_groups(hashes, np.zeros((3000, 8, 8, 3), np.uint8), 6)
    assert groups == [list(range(3000))]
