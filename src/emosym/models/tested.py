"""Which versions of transformers, and which model families, our shortcuts were tested with.

These places build on what transformers does not promise to keep:

- `reader.prefix_cache`: an attention function of our own in its registry, cache layers that hand
  out two tensors, a cache that leaves the forward pass at the last layer;
- `reader.vision_shortcuts`: subclasses of Qwen2-VL's vision attention and patch embedding;
- `reader.recompute`: decoder layers whose class is changed for gradient checkpointing.

Outside the tested range the first two give way to the library's own path: the same numbers, more
slowly. Gradient checkpointing has no such path (the library's own drops the cache) and refuses.
"""

from __future__ import annotations

import functools
import logging

import transformers

log = logging.getLogger(__name__)
# From the first up to, not including, the second. constraints.txt pins one of them for every
# Python.
TESTED_TRANSFORMERS = ((5, 20), (5, 24))
# Compared with the library's own forward pass by tests/models/reader.
SPLIT_FAMILIES = (
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "internvl",
    "llama",
    "qwen2",
    "qwen3",
)


def installed() -> str:
    """Return the version of transformers that is installed."""
    version: str = transformers.__version__
    return version


def is_tested() -> bool:
    """Return whether the installed transformers lies in the tested range."""
    first, end = TESTED_TRANSFORMERS
    major, minor = installed().split(".")[:2]
    return first <= (int(major), int(minor)) < end


def tested_range() -> str:
    """Return the tested range for a sentence."""
    (first, end) = (".".join(map(str, version)) for version in TESTED_TRANSFORMERS)
    return f"{first} up to, not including, {end}"


def say_if_untested() -> None:
    """Say once that the slower path is taken, where it is."""
    if not is_tested():
        _say(installed())


@functools.cache
def _say(version: str) -> None:
    log.warning(
        "transformers %s was not tested with this version of emosym, %s was: the library's own "
        "attention and cache are used, which gives the same readings more slowly.",
        version,
        tested_range(),
    )
