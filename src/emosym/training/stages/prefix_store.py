"""Prefixes of a whole feed, kept while everything before [CTX] is frozen: in memory, or on disk.

A store knows the weights it was made with. When one of them has changed, or could change, it
computes anew instead of returning what no longer holds.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from emosym.errors import UsageError
from emosym.files import read_json, write_json
from emosym.models.chat import longest_picture
from emosym.models.reader.latent_tokens import SENTENCES, WITHIN
from emosym.models.reader.prefix import Prefix, Stops, spares_prompt
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
    `stops` (N, K), where there are any, count columns of the whole width P.
    """

    feed: Feed
    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]
    lengths: torch.Tensor
    next_position: torch.Tensor
    versions: Versions
    stops: Stops | None = None

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
            self._stops(rows, width - longest, device),
        )

    def _stops(self, rows: torch.Tensor, cut: int, device: torch.device) -> Stops | None:
        """Return the stops of rows of which `cut` columns on the left are left out."""
        if self.stops is None:
            return None
        columns, places = self.stops.columns[rows] - cut, self.stops.places[rows]
        return Stops(columns.to(device), places.to(device))

    def holds(self) -> bool:
        """Return whether everything before [CTX] is as it was, and frozen."""
        return self.versions == frozen_versions(self.feed.reader.reasoner.backbone)


def frozen_versions(backbone: nn.Module) -> Versions | None:
    """Return the version counters of all weights; None while one of them trains.

    Where prompts are spared, those of adapters do not count.
    """
    parameters = [parameter for _, parameter in _of_prompts(backbone)]
    if any(p.requires_grad for p in parameters):
        return None
    return tuple(p._version for p in parameters)


def _of_prompts(backbone: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield names, as they are without adapters, and weights of what prompts depend on."""
    spared = spares_prompt(backbone)
    for name, parameter in backbone.named_parameters():
        if not (spared and ".lora_" in name):
            yield name.replace(".base_layer.", "."), parameter


@torch.no_grad()
def shared_prefixes(feed: Feed, cache: Path, batch_size: int = 64) -> PrefixStore | None:
    """Return a feed's prefixes where no adapter touches them, kept in `cache` for every run.

    None where adapters do, or where they do not fit. Whoever is first makes them.
    """
    reasoner = feed.reader.reasoner
    width, backbone = longest_prefix(feed), reasoner.backbone
    if not spares_prompt(backbone) or width is None:
        return None
    training = {name: p.requires_grad for name, p in backbone.named_parameters()}
    backbone.requires_grad_(False)
    versions, probe = frozen_versions(backbone), feed.prefix(np.arange(1))
    shape = (len(feed), probe.keys[0].shape[1], width, probe.keys[0].shape[3])
    dtype, layers = probe.keys[0].dtype, len(probe.keys)
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(training[name])
    cache.mkdir(parents=True, exist_ok=True)
    total = 2 * layers * dtype.itemsize * int(np.prod(shape))
    if versions is None or total > DISK_SHARE * _free(cache):
        return None
    place = cache / f"prefixes-{store_key(feed, shape, layers, dtype)[:20]}"
    if (place / MARKER).is_file():
        return _kept(feed, batch_size, shape, layers, dtype, versions, place)
    own = cache / f".{place.name}-{os.getpid()}"
    store = _kept(feed, batch_size, shape, layers, dtype, versions, own)
    try:
        own.rename(place)
    except OSError:  # another run was faster; what is mapped stays until it is let go
        shutil.rmtree(own, ignore_errors=True)
    return store


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
        stops = found.get("stops") and Stops(*(torch.tensor(part) for part in found["stops"]))
        return PrefixStore(feed, keys, values, lengths, position, versions, stops)
    lengths = torch.zeros(len(feed), dtype=torch.int64)
    position = torch.zeros(len(feed), dtype=torch.int64)
    columns: list[torch.Tensor] = []
    places: list[torch.Tensor] = []
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
        if part.stops is not None:
            columns.append(part.stops.columns.cpu() + width - part.mask.shape[1])
            places.append(part.stops.places.cpu())
    stops = Stops(torch.cat(columns), torch.cat(places)) if columns else None
    if spill is not None:
        told: dict[str, Any] = {"lengths": lengths.tolist(), "next_position": position.tolist()}
        if stops is not None:
            told["stops"] = [stops.columns.tolist(), stops.places.tolist()]
        write_json(spill / MARKER, {"key": key, **told}, indent=None)
        log.info("Kept prefixes in %s.", spill)
    return PrefixStore(feed, keys, values, lengths, position, versions, stops)


def longest_prefix(feed: Feed) -> int | None:
    """Return the most tokens that stand before [CTX] in a feed; None where that is not known."""
    if feed.rows is not None:
        return max(map(len, feed.rows))
    if feed.features is not None:
        return len(prompt_tokens(feed.reader, feed.features.shape[1]))
    if feed.reader.processor is not None or not all(s.is_picture for s in feed.samples):
        return None
    return len(prompt_tokens(feed.reader, longest_picture(feed.reader.chat)))


def store_key(feed: Feed, shape: tuple[int, ...], layers: int, dtype: torch.dtype) -> str:
    """Return a SHA-256 over what stored prefixes depend on: weights, prompt, pictures, shapes."""
    digest = hashlib.sha256(f"{shape}:{layers}:{dtype}".encode())
    tokens = feed.reader.tokens
    stand = (SENTENCES, tokens.num_context_tokens) if tokens.after in WITHIN else ()
    digest.update(f"{prompt_tokens(feed.reader, 1)}{stand or ''}".encode())
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
    if feed.features is not None:
        digest.update(feed.features.contiguous().numpy().tobytes())
    for name, parameter in _of_prompts(feed.reader.reasoner.backbone):
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
