"""Attention of a few new tokens over a prefix that is never copied.

The library's cache appends by copying everything it holds, once per layer and token, and its
attention repeats keys and values for every group of query heads. After a long prefix, for one new
token, both cost more than the arithmetic. Here a cache layer keeps prefix and new tokens apart,
and attention computes both parts in place; the softmax is over both, so the numbers are the same
up to rounding.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

SPLIT = "emosym_split"


class Split(NamedTuple):
    """Keys or values (B, kv_heads, P, d) of the prefix and (B, kv_heads, N, d) of what follows."""

    prefix: torch.Tensor
    after: torch.Tensor


class PrefixLayer(DynamicLayer):
    """A cache layer that hands out prefix and new tokens apart, as `Split`."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Hold a prefix (B, kv_heads, P, d); it is shared, never changed."""
        super().__init__()
        self.prefix_keys, self.prefix_values = keys, values
        self.keys, self.values = keys[:, :, :0], values[:, :, :0]
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Any, Any]:
        """Append new tokens (B, kv_heads, T, d); returns keys and values as `Split`."""
        first = self.keys.shape[2] == 0
        self.keys = key_states if first else torch.cat([self.keys, key_states], dim=2)
        self.values = value_states if first else torch.cat([self.values, value_states], dim=2)
        return Split(self.prefix_keys, self.keys), Split(self.prefix_values, self.values)

    def get_seq_length(self) -> int:
        """Return how many tokens are held, the prefix's included."""
        return int(self.prefix_keys.shape[2] + self.keys.shape[2])


class PrefixIsRead(Exception):  # noqa: N818 - nothing went wrong
    """Leaves a forward pass whose rest nobody needs."""


class PrefillCache(DynamicCache):
    """A cache that ends the forward pass as soon as the last layer's keys and values are in it.

    A prefix is only gone on from: the last layer's attention and MLP, over all its tokens, would
    be thrown away.
    """

    def __init__(self, config: Any) -> None:
        """Take the language model's configuration."""
        super().__init__(config=config)
        self.last = int(config.num_hidden_layers) - 1

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        layer_idx: int,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append as the library does; raises PrefixIsRead at the last layer."""
        held = super().update(key_states, value_states, layer_idx, *args, **kwargs)
        if layer_idx == self.last:
            raise PrefixIsRead
        return held


def whole(layer: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all keys and all values (B, kv_heads, S, d) that a cache layer holds."""
    if not isinstance(layer, PrefixLayer):
        return layer.keys, layer.values
    return (
        torch.cat([layer.prefix_keys, layer.keys], dim=2),
        torch.cat([layer.prefix_values, layer.values], dim=2),
    )


def prefix_cache(keys: Sequence[torch.Tensor], values: Sequence[torch.Tensor]) -> DynamicCache:
    """Return a fresh cache over a prefix, per layer (B, kv_heads, P, d)."""
    cache = DynamicCache()
    cache.layers = [
        PrefixLayer(_as_computed(k), _as_computed(v)) for k, v in zip(keys, values, strict=True)
    ]
    return cache


def fork(cache: DynamicCache) -> DynamicCache:
    """Return a cache that holds the same: what is appended to one of the two is not in the other.

    Nothing is copied; layers put new tensors in place of theirs when they grow.
    """
    other = DynamicCache()
    other.layers = [copy.copy(layer) for layer in cache.layers]
    return other


def join(cache: DynamicCache) -> None:
    """Make the layers of a `prefix_cache` the library's own, in place, by copying once."""
    for index, layer in enumerate(cache.layers):
        if isinstance(layer, PrefixLayer):
            plain = DynamicLayer()
            plain.update(*whole(layer))
            cache.layers[index] = plain


def _as_computed(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in the type of autocast's products, which else would cast it every time."""
    kind = tensor.device.type
    if not torch.is_autocast_enabled(kind):
        return tensor
    return tensor.to(torch.get_autocast_dtype(kind))


def split_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: Split | torch.Tensor,
    value: Split | torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attend from query (B, heads, T, d) to a `PrefixLayer`; returns (B, T, heads, d).

    `attention_mask` (B, 1, T, P + N) is added to the scores. Query head h reads key head
    h // (heads // kv_heads), as in every grouped attention of the library. A layer of the
    library's own cache hands out one tensor, which will do as well.
    """
    if not isinstance(key, Split) or not isinstance(value, Split):
        assert isinstance(key, torch.Tensor) and isinstance(value, torch.Tensor)
        key, value = Split(key, key[:, :, :0]), Split(value, value[:, :, :0])
    batch, heads, steps, width = query.shape
    kv_heads = key.prefix.shape[1]
    groups, lengths = heads // kv_heads, [part.shape[2] for part in key]
    grouped = query.reshape(batch, kv_heads, groups * steps, width)
    parts = [grouped @ part.transpose(2, 3) for part in key]  # (B, kv_heads, groups T, P | N)
    scores = torch.cat(parts, dim=3).view(batch, kv_heads, groups, steps, -1) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask[:, :, None]
    weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    if dropout:
        weights = nn.functional.dropout(weights, dropout, module.training)
    weights = weights.view(batch, kv_heads, groups * steps, -1)
    old, new = weights.split(lengths, dim=-1)
    mixed = old @ value.prefix + new @ value.after  # (B, kv_heads, groups T, d)
    return mixed.view(batch, heads, steps, width).transpose(1, 2), None


ALL_ATTENTION_FUNCTIONS.register(SPLIT, split_attention)


# Of the calling thread alone: the configurations that attend by another kind, innermost last.
_ATTENDING: ContextVar[tuple[tuple[Any, str], ...]] = ContextVar("attending", default=())
_PREPARING = threading.Lock()


class AttendsByCall(PreTrainedConfig):
    """Mixed into a configuration's class: within `attending` it answers its own thread's kind.

    A model asks its configuration how to attend at every call. Were the answer written there, a
    thread that continues a prefix would change how another one reads a picture.
    """

    @property
    def _attn_implementation(self) -> str | None:
        for config, kind in reversed(_ATTENDING.get()):
            if config is self:
                return kind
        kept: str | None = self._attn_implementation_internal
        return kept

    @_attn_implementation.setter
    def _attn_implementation(self, value: str | dict[str, str] | None) -> None:
        PreTrainedConfig._attn_implementation.fset(self, value)


def attend_by_call(config: Any) -> None:
    """Mix `AttendsByCall` into a configuration's class, once; names and values stay the same."""
    with _PREPARING:
        kind = type(config)
        if not issubclass(kind, AttendsByCall):
            config.__class__ = type(
                kind.__name__, (AttendsByCall, kind), {"__module__": kind.__module__}
            )


@contextmanager
def attending(config: Any, kind: str) -> Iterator[None]:
    """Within the block, and in this thread, the model of a configuration attends by `kind`."""
    attend_by_call(config)
    token = _ATTENDING.set((*_ATTENDING.get(), (config, kind)))
    try:
        yield
    finally:
        _ATTENDING.reset(token)


@contextmanager
def splitting(language_model: nn.Module) -> Iterator[None]:
    """Within the block a language model attends by `split_attention`, over a `prefix_cache`.

    It takes any mask; FlashAttention, which pays on the long prefill, takes causal ones only.
    """
    with attending(language_model.config, SPLIT):
        yield
