"""The hidden states of the latent tokens at every depth: kept as they pass, or pushed.

Depth 0 is what goes into the first layer of the language model, depth d what comes out of its d-th;
the last depth is the state that the head and the painter get, after the final norm.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from emosym.models.reader.prefix import Prefix
from emosym.models.reader.reasoner import EmotionReasoner, Thought, think


def depth_of(reasoner: EmotionReasoner) -> int:
    """Return how many layers the language model has: depths are 0 to this number."""
    return len(_layers(reasoner.language_model))


@contextmanager
def last_states(decoder: nn.Module) -> Iterator[dict[int, torch.Tensor]]:
    """Keep, within, the last column (B, H) that went into each layer, by its depth."""
    kept: dict[int, torch.Tensor] = {}

    def keep(depth: int, hidden: torch.Tensor) -> None:
        kept[depth] = hidden[:, -1].detach()

    with _watched(decoder, keep):
        yield kept


@torch.no_grad()
def think_with_states(reasoner: EmotionReasoner, prefix: Prefix) -> tuple[Thought, torch.Tensor]:
    """Think, and return also the states (B, K + 1, D + 1, H) of [CTX] x K and [EMO], fp32."""
    kept: dict[int, list[torch.Tensor]] = {}

    def keep(depth: int, hidden: torch.Tensor) -> None:
        kept.setdefault(depth, []).append(hidden.detach())

    with _watched(reasoner.language_model, keep):
        thought = think(reasoner, prefix)
    depths = [torch.cat(kept[depth], dim=1) for depth in sorted(kept)]  # D of (B, K + 1, H)
    final = torch.cat([thought.context_means, thought.emotion_latent[:, None]], dim=1)
    return thought, torch.stack([*depths, final], dim=2).float()


@torch.no_grad()
def think_pushed(
    reasoner: EmotionReasoner, prefix: Prefix, depth: int, push: torch.Tensor
) -> Thought:
    """Think with `push` (B, K, H) added to the states of [CTX] x K at a depth below the last.

    All that follows follows from it: the layers above, the next [CTX], [EMO]'s look at them.
    """
    done = 0

    def add(at: int, hidden: torch.Tensor) -> torch.Tensor | None:
        nonlocal done
        if at != depth:
            return None
        here = push[:, done : done + hidden.shape[1]]  # [EMO], which comes last, has none
        done += hidden.shape[1]
        if not here.shape[1]:
            return None
        added = nn.functional.pad(here, (0, 0, 0, hidden.shape[1] - here.shape[1]))
        return hidden + added.to(hidden.dtype)

    with _watched(reasoner.language_model, add):
        return think(reasoner, prefix)


@contextmanager
def _watched(decoder: nn.Module, see: Any) -> Iterator[None]:
    """Call, within, see(depth, hidden (B, T, H)) before each layer; it may return another."""

    def hook(depth: int) -> Any:
        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            named = "hidden_states" in kwargs
            changed = see(depth, kwargs["hidden_states"] if named else args[0])
            if changed is None:
                return None
            if named:
                return args, {**kwargs, "hidden_states": changed}
            return (changed, *args[1:]), kwargs

        return before

    handles = [
        layer.register_forward_pre_hook(hook(depth), with_kwargs=True)
        for depth, layer in enumerate(_layers(decoder))
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _layers(decoder: nn.Module) -> list[nn.Module]:
    layers: Any = decoder.layers
    return list(layers)
