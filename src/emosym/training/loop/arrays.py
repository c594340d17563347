"""Large arrays of a run: grown on disk piece by piece, and read in batches for a device."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib import format as npy

from emosym.errors import StoppedEarly, UsageError
from emosym.files import disk_errors
from emosym.training.loop.deadline import is_late

RESIDENT_SHARE = 0.25  # of a GPU's free memory that one array may take: other parts want theirs
MOVED_AT_ONCE = 4096


def grow_array(
    path: Path,
    shape: tuple[int, ...],
    dtype: type,
    make: Callable[[int, int], np.ndarray],
    piece: int,
    deadline: float | None = None,
) -> np.ndarray:
    """Open the .npy array of `shape` at `path`, made piece by piece if it is not there.

    `make(first, count)` returns rows `first` to `first + count`, (count, ...). Whole rows that an
    earlier call left are kept. The array is opened read-only, as a memory map.

    Raises:
        UsageError: when `path` holds an array of another shape or type.
        StoppedEarly: when the deadline has come after a piece; the next call goes on.
    """
    if not path.is_file():
        partial = path.with_name(f".{path.name}.part")
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            done, stopped = _extend(partial, shape, dtype, make, piece, deadline)
            if done == shape[0]:
                partial.replace(path)
        if stopped:
            raise StoppedEarly(f"{path.stem} at {done:,} of {shape[0]:,}")
    stored: np.ndarray = np.load(path, mmap_mode="r")
    if stored.shape != shape or stored.dtype != np.dtype(dtype):
        raise UsageError(
            f"{path} holds {stored.dtype} {stored.shape}, not {np.dtype(dtype)} {shape}: it is of "
            "other pictures. Remove it to make it again."
        )
    return stored


def _extend(
    partial: Path,
    shape: tuple[int, ...],
    dtype: type,
    make: Callable[[int, int], np.ndarray],
    piece: int,
    deadline: float | None,
) -> tuple[int, bool]:
    """Append pieces to a file whose size says how many rows it has; returns rows, and if late."""
    described = {"descr": npy.dtype_to_descr(np.dtype(dtype)), "fortran_order": False}
    if not _has_header(partial):
        with partial.open("wb") as stream:
            npy.write_array_header_1_0(stream, {**described, "shape": shape})
    with partial.open("r+b") as stream:
        version = npy.read_magic(stream)
        found, _, kind = npy.read_array_header_1_0(stream)
        if version != (1, 0) or (found, kind) != (shape, np.dtype(dtype)):
            raise UsageError(f"{partial} is of other pictures. Remove it to make it again.")
        start, row = stream.tell(), np.dtype(dtype).itemsize * int(np.prod(shape[1:]))
        done = (os.fstat(stream.fileno()).st_size - start) // row
        stream.truncate(start + done * row)  # a row cut short by a kill is made again
        stream.seek(start + done * row)
        while done < shape[0]:
            rows = make(done, min(piece, shape[0] - done))
            stream.write(np.ascontiguousarray(rows, dtype=dtype).data)
            stream.flush()
            done += len(rows)
            if is_late(deadline):
                return done, True
    return done, False


def _has_header(partial: Path) -> bool:
    """Return whether a file begins as an array does; one that was cut off within does not."""
    try:
        with partial.open("rb") as stream:
            npy.read_magic(stream)
            npy.read_array_header_1_0(stream)
    except (FileNotFoundError, ValueError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of an array for batches on a device; `resident` is the whole array there, or None."""

    source: np.ndarray
    device: torch.device
    resident: torch.Tensor | None = None

    def take(self, indices: np.ndarray) -> torch.Tensor:
        """Return the rows `indices` (B,), in that order, on the device."""
        if self.resident is not None:
            return self.resident[torch.from_numpy(indices).to(self.resident.device)]
        order = np.argsort(indices)  # a memory map is read forwards
        batch = np.empty((len(indices), *self.source.shape[1:]), self.source.dtype)
        batch[order] = self.source[indices[order]]
        rows = torch.from_numpy(batch)
        if self.device.type == "cuda":
            rows = rows.pin_memory()
        return rows.to(self.device, non_blocking=True)


def rows_on(source: np.ndarray, device: torch.device) -> Rows:
    """Return the rows of `source` (N, ...) for a device; a GPU keeps them all where they fit.

    They fit in a quarter of the GPU's free memory. On a CPU the array stays what it is.
    """
    if device.type != "cuda":
        return Rows(source, device)
    free, _ = torch.cuda.mem_get_info(device)
    if source.nbytes > RESIDENT_SHARE * free:
        return Rows(source, device)
    return Rows(source, device, whole_on(source, device))


def whole_on(source: np.ndarray, device: torch.device) -> torch.Tensor:
    """Copy an array (N, ...) to a device, a few thousand rows at a time."""
    kind = torch.from_numpy(np.empty(0, source.dtype)).dtype
    whole = torch.empty(source.shape, dtype=kind, device=device)
    for first in range(0, len(source), MOVED_AT_ONCE):
        some = np.array(source[first : first + MOVED_AT_ONCE])  # writable, and off the disk
        whole[first : first + len(some)] = torch.from_numpy(some)
    return whole
