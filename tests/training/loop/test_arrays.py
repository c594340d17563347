"""Arrays that grow on disk whatever cuts them short, and batches of their rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from emosym.errors import StoppedEarly, UsageError
from emosym.training.loop.arrays import Rows, grow_array, rows_on, whole_on

SHAPE = (10, 2, 3)
WANTED = np.arange(60, dtype=np.uint8).reshape(SHAPE)
CPU = torch.device("cpu")


class Maker:
    """Rows of WANTED, and what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def __call__(self, first: int, count: int) -> np.ndarray:
        self.asked.append((first, count))
        return WANTED[first : first + count]


def test_an_array_is_made_once_in_pieces(tmp_path: Path) -> None:
    make = Maker()
    for _ in range(2):
        found = grow_array(tmp_path / "deep" / "a.npy", SHAPE, np.uint8, make, 4)
        assert np.array_equal(found, WANTED) and not found.flags.writeable
    assert make.asked == [(0, 4), (4, 4), (8, 2)]
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.npy"]
    assert np.array_equal(np.load(tmp_path / "deep" / "a.npy"), WANTED)


def test_each_late_call_makes_one_piece(tmp_path: Path) -> None:
    make, path = Maker(), tmp_path / "a.npy"
    for told in ("a at 4 of 10", "a at 8 of 10", "a at 10 of 10"):
        assert not path.exists()
        with pytest.raises(StoppedEarly, match=f"^{told}$"):
            grow_array(path, SHAPE, np.uint8, make, 4, deadline=0.0)
    found = grow_array(path, SHAPE, np.uint8, make, 4, deadline=0.0)  # it is there: nothing is due
    assert np.array_equal(found, WANTED)
    assert make.asked == [(0, 4), (4, 4), (8, 2)]


@pytest.mark.parametrize("kept", [24, 27, 29])
def test_a_row_cut_short_by_a_kill_is_made_again(tmp_path: Path, kept: int) -> None:
    """4 rows of 6 bytes are 24; 27 and 29 hold half of a fifth."""
    make, path = Maker(), tmp_path / "a.npy"
    with pytest.raises(StoppedEarly):
        grow_array(path, SHAPE, np.uint8, make, 6, deadline=0.0)
    partial = tmp_path / ".a.npy.part"
    whole = partial.read_bytes()
    partial.write_bytes(whole[: len(whole) - 36 + kept])
    assert np.array_equal(grow_array(path, SHAPE, np.uint8, make, 6), WANTED)
    assert make.asked == [(0, 6), (4, 6)]


@pytest.mark.parametrize("kept", [0, 5, 60])
def test_a_head_cut_short_is_written_again(tmp_path: Path, kept: int) -> None:
    make, path = Maker(), tmp_path / "a.npy"
    with pytest.raises(StoppedEarly):
        grow_array(path, SHAPE, np.uint8, make, 6, deadline=0.0)
    partial = tmp_path / ".a.npy.part"
    partial.write_bytes(partial.read_bytes()[:kept])
    assert np.array_equal(grow_array(path, SHAPE, np.uint8, make, 10), WANTED)
    assert make.asked == [(0, 6), (0, 10)]


def test_an_array_of_something_else_is_refused(tmp_path: Path) -> None:
    grow_array(tmp_path / "a.npy", SHAPE, np.uint8, Maker(), 10)
    with pytest.raises(UsageError, match=r"other pictures\. Remove it"):
        grow_array(tmp_path / "a.npy", (9, 2, 3), np.uint8, Maker(), 10)
    with pytest.raises(UsageError, match="holds uint8"):
        grow_array(tmp_path / "a.npy", SHAPE, np.float16, Maker(), 10)
    with pytest.raises(StoppedEarly):
        grow_array(tmp_path / "b.npy", SHAPE, np.uint8, Maker(), 4, deadline=0.0)
    with pytest.raises(UsageError, match=r"other pictures\. Remove it"):
        grow_array(tmp_path / "b.npy", (12, 2, 3), np.uint8, Maker(), 4)


@pytest.mark.parametrize("resident", [False, True])
def test_rows_come_in_the_order_asked_for(resident: bool) -> None:
    rows = rows_on(WANTED, CPU)
    assert rows.resident is None  # a CPU reads where the array is
    if resident:
        rows = Rows(WANTED, CPU, whole_on(WANTED, CPU))
    indices = np.array([7, 2, 9, 2, 0])
    found = rows.take(indices)
    assert found.dtype == torch.uint8
    assert np.array_equal(found.numpy(), WANTED[indices])
