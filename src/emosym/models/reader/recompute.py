"""Gradient checkpointing that keeps the cache: activations are computed twice, keys once.

The library's own drops the cache, and our readings go on from it. Keys and values are a small part
of a layer's activations (2B: 1 kB a token and layer of some 100).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from emosym.errors import EmoSymError
from emosym.models.reader.prefix import family, language_model
from emosym.models.reader.prefix_cache import PrefillCache, attending, whole
from emosym.models.tested import installed, is_tested, tested_range

SHORTEST = 8  # what is shorter has few activations, and recomputing costs more than they do


class OneLayerCache:
    """The keys and values (B, heads, S, d) of one layer, as a decoder layer asks for them."""

    def __init__(self, keys: torch.Tensor | None, values: torch.Tensor | None) -> None:
        """Start from what was cached, or from nothing."""
        self._old = None if keys is None or values is None else (keys, values)
        self.new: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Remember the new keys and values, and return them behind the old ones."""
        self.new = (keys, values)
        if self._old is None:
            return keys, values
        return torch.cat([self._old[0], keys], dim=2), torch.cat([self._old[1], values], dim=2)

    def get_seq_length(self, *_: Any) -> int:
        """Return how many positions are cached."""
        return 0 if self._old is None else int(self._old[0].shape[2])


class CheckpointedLayer(nn.Module):
    """Mixed into a decoder layer's class: recompute in backward, hand keys and values out."""

    def forward(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Run the layer on (B, T, H); the cache is changed outside of what is recomputed."""
        cache = kwargs.get("past_key_values")
        plain = super().forward
        if not torch.is_grad_enabled() or cache is None or hidden_states.shape[1] < SHORTEST:
            return plain(hidden_states, *args, **kwargs)
        index = int(self.self_attn.layer_idx)  # type: ignore[union-attr, arg-type]
        if isinstance(cache, PrefillCache) and index == cache.last:  # it is left half-way
            return plain(hidden_states, *args, **kwargs)
        keys = values = None
        if index < len(cache.layers) and cache.layers[index].get_seq_length() > 0:
            keys, values = whole(cache.layers[index])

        config: Any = self.self_attn.config  # type: ignore[union-attr]
        kind = config._attn_implementation

        def run(hidden: torch.Tensor, old_keys: Any, old_values: Any) -> Any:
            own = OneLayerCache(old_keys, old_values)
            with attending(config, kind):  # in backward too, when the model attends otherwise
                out = plain(hidden, *args, **{**kwargs, "past_key_values": own})
            if own.new is None:
                raise TypeError(f"{type(self).__name__} does not use its cache")
            return out, *own.new

        out, *new = checkpoint(run, hidden_states, keys, values, use_reentrant=False)
        cache.update(*new, index)
        return out


def checkpoint_layers(backbone: nn.Module) -> int:
    """Recompute every decoder layer of a backbone in the backward pass; returns how many.

    Weights, names of classes and state keys stay the same.

    Raises:
        EmoSymError: under a version of transformers that this was not tested with.
    """
    if not is_tested():
        raise EmoSymError(
            "optim.gradient_checkpointing changes layers of transformers, and was tested with "
            f"{tested_range()} only, not {installed()}: install one of those, or turn "
            "it off."
        )
    layers = getattr(language_model(backbone), "layers", None)
    if layers is None or not all(hasattr(layer, "self_attn") for layer in layers):
        raise EmoSymError(
            f"optim.gradient_checkpointing does not know the layers of a {family(backbone)!r} "
            "model: turn it off."
        )
    for layer in layers:
        layer.__class__ = _checkpointed(type(layer))
    return len(layers)


def _checkpointed(kind: type) -> type:
    if issubclass(kind, CheckpointedLayer):
        return kind
    return type(kind.__name__, (CheckpointedLayer, kind), {"__module__": kind.__module__})
