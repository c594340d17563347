"""Prefixes of a whole feed, kept while everything before [CTX] is frozen: in memory, or on disk.

A store knows the weights it was made with. When one of them has changed, or could change, it
computes anew instead of returning what no longer holds.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from emosym.errors import UsageError
from emosym.files import read_json, write_json
from emosym.models.chat import longest_picture
from emosym.models.reader.prefix import Prefix
from emosym.models.reader.reader import prompt_tokens
from emosym.processes import Processes
from emosym.training.stages.feed import Feed

log = logging.getLogger(__name__)
LIMIT_BYTES = 3 * 1024**3
DISK_SHARE = 0.5  # of what is free: the run needs room for its checkpoints
MARKER = "prefixes.json"
Versions = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PrefixStore:
    """Keys and values of N prefixes, per layer (N, kv_heads, P, d), padded on the left to P.

    `lengths` (N,) are the real tokens of each. `versions` are those of the backbone's weights.
    """

    feed: Feed
    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]
    lengths: torch.Tensor
    next_position: torch.Tensor
    versions: Versions

    def prefix(self, indices: np.ndarray) -> Prefix:
        """Return the prefixes of chosen samples: stored, or computed now where they are stale."""
        if not self.holds():
            return self.feed.prefix(indices)
        rows = torch.from_numpy(np.ascontiguousarray(indices))
        device = self.feed.reader.reasoner.device
        lengths = self.lengths[rows]
        longest, width = int(lengths.max()), self.keys[0].shape[2]
        columns = torch.arange(width - longest, width)
        kept = slice(width - longest, None)
        return Prefix(
            tuple(k[rows][:, :, kept].to(device) for k in self.keys),
            tuple(v[rows][:, :, kept].to(device) for v in self.values),
            (columns[None] >= (width - lengths)[:, None]).to(device),
            self.next_position[rows].to(device),
        )

    def holds(self) -> bool:
        """Return whether everything before [CTX] is as it was, and frozen."""
        return self.versions == frozen_versions(self.feed.reader.reasoner.backbone)


def frozen_versions(backbone: nn.Module) -> Versions | None:
    """Return the version counters of all weights; None while one of them trains."""
    parameters = list(backbone.parameters())
    if any(p.requires_grad for p in parameters):
        return None
    return tuple(p._version for p in parameters)


@torch.no_grad()
def store_prefixes(
    feed: Feed,
    batch_size: int = 64,
    limit_bytes: int = LIMIT_BYTES,
    spill: Path | None = None,
) -> PrefixStore | None:
    """Prefill a whole feed once; None where that does not fit or pictures have no known bound.

    What is over `limit_bytes` goes to files in the folder `spill`, where one is given and has
    room; a later call with the same weights, pictures and prompt finds them again.
    """
    reasoner = feed.reader.reasoner
    reasoner.backbone.requires_grad_(False)
    versions = frozen_versions(reasoner.backbone)
    width = longest_prefix(feed)
    if width is None or versions is None:
        return None
    probe = feed.prefix(np.arange(1))
    shape = (len(feed), probe.keys[0].shape[1], width, probe.keys[0].shape[3])
    dtype, layers = probe.keys[0].dtype, len(probe.keys)
    total = 2 * layers * dtype.itemsize * int(np.prod(shape))
    on_disk = total > limit_bytes
    if on_disk and (spill is None or total > DISK_SHARE * _free(spill)):
        return None
    if not on_disk:
        return _kept(feed, batch_size, shape, layers, dtype, versions, None)
    with Processes().main_first():  # of several, one fills the files and the others find them
        return _kept(feed, batch_size, shape, layers, dtype, versions, spill)


def _kept(
    feed: Feed,
    batch_size: int,
    shape: tuple[int, ...],
    layers: int,
    dtype: torch.dtype,
    versions: Versions,
    spill: Path | None,
) -> PrefixStore:
    """Prefill into tensors of `shape`, in memory or in files below `spill`."""
    width = shape[2]
    key = "" if spill is None else store_key(feed, shape, layers, dtype)
    done = spill is not None and _is_done(spill, key)
    if spill is not None and not done:
        shutil.rmtree(spill, ignore_errors=True)
        spill.mkdir(parents=True)

    def room(name: str) -> torch.Tensor:
        if spill is None:
            return torch.zeros(shape, dtype=dtype)
        count = int(np.prod(shape))
        path = str(spill / f"{name}.bin")
        return torch.from_file(path, shared=True, size=count, dtype=dtype).view(shape)

    keys = tuple(room(f"keys-{i}") for i in range(layers))
    values = tuple(room(f"values-{i}") for i in range(layers))
    if done and spill is not None:
        found = read_json(spill / MARKER, "kept prefixes")
        lengths, position = (torch.tensor(found[k]) for k in ("lengths", "next_position"))
        return PrefixStore(feed, keys, values, lengths, position, versions)
    lengths = torch.zeros(len(feed), dtype=torch.int64)
    position = torch.zeros(len(feed), dtype=torch.int64)
    batches = [
        np.arange(start, min(start + batch_size, len(feed)))
        for start in range(0, len(feed), batch_size)
    ]
    for number, rows in enumerate(batches):
        feed.want(batches[number + 1] if number + 1 < len(batches) else rows[:0])
        part = feed.prefix(rows)
        place = slice(int(rows[0]), int(rows[-1]) + 1)
        for stored, new in zip((*keys, *values), (*part.keys, *part.values), strict=True):
            stored[place, :, width - new.shape[2] :] = new.cpu()
        lengths[place] = part.mask.sum(1).cpu()
        position[place] = part.next_position.cpu()
    if spill is not None:
        told = {"lengths": lengths.tolist(), "next_position": position.tolist()}
        write_json(spill / MARKER, {"key": key, **told}, indent=None)
        log.info("Kept prefixes in %s.", spill)
    return PrefixStore(feed, keys, values, lengths, position, versions)


def longest_prefix(feed: Feed) -> int | None:
    """Return the most tokens that stand before [CTX] in a feed; None where that is not known."""
    if feed.features is not None:
        return len(prompt_tokens(feed.reader, feed.features.shape[1]))
    if feed.reader.processor is not None or not all(s.is_picture for s in feed.samples):
        return None
    return len(prompt_tokens(feed.reader, longest_picture(feed.reader.chat)))


def store_key(feed: Feed, shape: tuple[int, ...], layers: int, dtype: torch.dtype) -> str:
    """Return a SHA-256 over what stored prefixes depend on: weights, prompt, pictures, shapes."""
    digest = hashlib.sha256(f"{shape}:{layers}:{dtype}".encode())
    digest.update(str(prompt_tokens(feed.reader, 1)).encode())
    for sample in feed.samples:
        digest.update(sample.id.encode("utf-8", "surrogatepass") + b"\0")
        for turn in sample.turns:
            digest.update(
                f"{turn.speaker}:{turn.text}\0".encode("utf-8", "surrogatepass")
                if turn.text
                else b""
            )
            for frame in turn.frames:
                if isinstance(frame, Path):
                    status = frame.stat()
                    digest.update(f"{status.st_size}:{status.st_mtime_ns}".encode())
    for name, parameter in feed.reader.reasoner.backbone.named_parameters():
        flat = parameter.detach().flatten()
        step = max(1, flat.numel() // 4096)  # a sample: training moves every entry of a weight
        digest.update(name.encode() + flat[::step].float().cpu().numpy().tobytes())
    return digest.hexdigest()


def _is_done(spill: Path, key: str) -> bool:
    try:
        return bool(read_json(spill / MARKER, "kept prefixes")["key"] == key)
    except (UsageError, KeyError, TypeError):
        return False


def _free(folder: Path) -> int:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free
