"""Named random streams: every draw comes from (seed, stream, indices), and no two share one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def stream_seed(seed: int, stream: str, *indices: int) -> int:
    """Return the 63-bit seed of a named stream, the same on every machine and worker count."""
    text = ":".join([str(seed), stream, *map(str, indices)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_rng(seed: int, stream: str, *indices: int) -> np.random.Generator:
    """Return a numpy generator of the named stream."""
    return np.random.default_rng(stream_seed(seed, stream, *indices))


def torch_rng(seed: int, stream: str, *indices: int) -> torch.Generator:
    """Return a CPU torch generator of the named stream."""
    import torch

    return torch.Generator().manual_seed(stream_seed(seed, stream, *indices))
