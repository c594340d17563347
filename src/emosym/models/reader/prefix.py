"""What a backbone has read so far: prefill once, then go on from its keys and values.

Everything before [CTX] is a `Prefix`, so it can be cached, shared by many samples, or hidden from
what follows. Any image-text-to-text or causal language model of transformers will do: those of
`tested.SPLIT_FAMILIES`, under a version of transformers that was tested, attend over the prefix in
place; all others by the library's own attention and cache, which is slower.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule
from transformers import DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPooling

from emosym.errors import UsageError
from emosym.models.reader.prefix_cache import (
    PrefillCache,
    PrefixIsRead,
    join,
    prefix_cache,
    splitting,
)
from emosym.models.speed import in_use
from emosym.models.tested import SPLIT_FAMILIES, is_tested

# What some families do to their logits after the head, by the field of their configuration.
LOGIT_CHANGES: dict[str, Callable[[torch.Tensor, float], torch.Tensor]] = {
    "logit_scale": lambda logits, scale: logits * scale,  # Cohere
    "logits_scaling": lambda logits, scale: logits / scale,  # Granite
    "final_logit_softcapping": lambda logits, cap: cap * (logits / cap).tanh(),  # Gemma
}
TEXT_INPUTS = ("input_ids", "attention_mask", "mm_token_type_ids", "num_patches", "frames")
FRAMES = "frames"  # (B,): how many pictures each row has, where it is not one
STOPS = "stops"  # (B, K): how many columns each context token sees, where they stand within
OF_THE_FEED = ("num_patches", FRAMES, STOPS)  # what no model takes


@dataclass(frozen=True, slots=True)
class Stops:
    """Where K context tokens stand that do not all come after the prompt.

    The k-th sees the columns before `columns` (B, K) and stands at the position `places` (B, K).
    """

    columns: torch.Tensor
    places: torch.Tensor


@dataclass(frozen=True, slots=True)
class Prefix:
    """Keys and values of everything before [CTX].

    Per layer (B, kv_heads, P, d); `mask` (B, P) is True on real tokens; `next_position` (B,).
    `stops` are there where [CTX] tokens stand within it.
    """

    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]
    mask: torch.Tensor
    next_position: torch.Tensor
    stops: Stops | None = None

    def select(self, rows: torch.Tensor) -> Prefix:
        """Return the prefix of chosen rows (repeats allowed)."""
        stops = self.stops
        return Prefix(
            tuple(k[rows] for k in self.keys),
            tuple(v[rows] for v in self.values),
            self.mask[rows],
            self.next_position[rows],
            None if stops is None else Stops(stops.columns[rows], stops.places[rows]),
        )


def body(backbone: nn.Module) -> Any:
    """Return what lies below a model's vocabulary head: with its vision tower, where it has one."""
    return backbone.base_model


def language_model(backbone: nn.Module) -> nn.Module:
    """Return the text decoder of an image-text-to-text or causal language model."""
    below = body(backbone)
    decoder: nn.Module = getattr(below, "language_model", below)
    return decoder


def sees(backbone: nn.Module) -> bool:
    """Return whether a model has a vision tower; one without reads text only."""
    return hasattr(body(backbone), "get_image_features")


def family(backbone: nn.Module) -> str:
    """Return the model type, such as qwen2_vl or llama."""
    return str(backbone.config.model_type)  # type: ignore[union-attr]


def splits(backbone: nn.Module) -> bool:
    """Return whether tokens after a prefix attend to it in place (`prefix_cache`).

    Only where this was compared with the library's own numbers: in a tested version, in families
    whose attention has nothing beside scale and mask, over layers that see everything.
    """
    return is_tested() and family(backbone) in SPLIT_FAMILIES and shortest_window(backbone) is None


def shortest_window(backbone: nn.Module) -> int | None:
    """Return how many tokens the shortest-sighted layer sees, None where all see everything."""
    config = text_config(backbone)
    kinds = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    if window is None or (kinds is not None and all(kind == "full_attention" for kind in kinds)):
        return None
    if kinds is None and getattr(config, "use_sliding_window", True) is False:
        return None
    return int(window)


def text_config(backbone: nn.Module) -> Any:
    """Return the configuration of the language model."""
    return backbone.config.get_text_config()  # type: ignore[operator, union-attr]


def of_the_model(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the inputs that a model's own forward pass takes."""
    return {name: tensor for name, tensor in inputs.items() if name not in OF_THE_FEED}


def frames_of(inputs: Mapping[str, torch.Tensor]) -> list[int]:
    """Return how many pictures each row of a batch has."""
    frames = inputs.get(FRAMES)
    return [1] * len(inputs["input_ids"]) if frames is None else frames.tolist()


def see(backbone: nn.Module, inputs: Mapping[str, torch.Tensor]) -> Any | None:
    """Run the vision tower once on a processor's inputs; returns the library's output object.

    None where no row has a picture.
    """
    if FRAMES in inputs and not inputs[FRAMES].any():
        return None
    function: Any = body(backbone).get_image_features
    known = inspect.signature(function).parameters
    seen = {k: v for k, v in inputs.items() if k in known and k not in TEXT_INPUTS}
    return function(**seen, return_dict=True)


def features_of_pictures(
    vision: Any, inputs: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, ...] | None:
    """Split what `see` returned into one tensor (T_i, H) a picture; None where it cannot be.

    The pictures of all rows come one after another; `frames_of` says how many each row has.
    """
    if vision is None:
        return ()
    features, count = vision.pooler_output, sum(frames_of(inputs))
    if "num_patches" in inputs:  # InternVL's tiles (tiles, T, H)
        tiles = features.split(inputs["num_patches"].tolist())
        return tuple(picture.flatten(0, 1) for picture in tiles)
    return tuple(features) if len(features) == count else None


def vision_features(backbone: nn.Module, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Run the vision tower once; returns features (B, T, H) of equally sized pictures."""
    seen: Any = see(backbone, inputs)
    return torch.stack(list(seen.pooler_output))


def keeps_features(backbone: nn.Module) -> bool:
    """Return whether features (B, T, H) are all that the language model takes of a picture.

    Qwen3-VL also adds features to its first layers, and InternVL cuts pictures into tiles.
    """
    return family(backbone) in ("qwen2_vl", "qwen2_5_vl")


def prefill(
    backbone: nn.Module, inputs: Mapping[str, torch.Tensor], vision: Any | None = None
) -> Prefix:
    """Run a prompt, with its pictures if any, through the backbone once.

    `inputs` are a processor's (input_ids (B, P), attention_mask, pixel_values, ...). `vision` is
    what `see` returned, or features (B, T, H) from `vision_features`: then the tower is not run.
    Where the prompt is spared (`spare_prompt`), no adapter acts on it, and it has no gradient.

    Raises:
        UsageError: when a layer of the model sees fewer than P tokens at once.
    """
    arguments: dict[str, Any] = of_the_model(inputs)
    ids, mask = arguments["input_ids"], arguments["attention_mask"].bool()
    window = shortest_window(backbone)
    if window is not None and ids.shape[1] >= window:
        raise UsageError(
            f"The prompt has {ids.shape[1]} tokens, and layers of this {family(backbone)} model "
            f"see {window} at once: give less text or smaller pictures."
        )
    positions = rotary_positions(backbone, inputs)
    if vision is not None and takes_vision(backbone):
        if isinstance(vision, torch.Tensor):
            vision = BaseModelOutputWithPooling(pooler_output=tuple(vision))
        # the library's hook for vision outputs computed elsewhere
        arguments = {k: v for k, v in arguments.items() if k in TEXT_INPUTS}
        arguments["mm_encoder_outputs"] = {"image": vision}
    arguments["attention_mask"] = None if bool(mask.all()) else arguments["attention_mask"]
    cache = prefill_cache(backbone)
    with _bare(backbone) if spares_prompt(backbone) else nullcontext(), suppress(PrefixIsRead):
        body(backbone)(**arguments, position_ids=positions, past_key_values=cache, use_cache=True)
    layers = cache.layers
    flat = positions if positions.ndim == 2 else positions.amax(dim=0)  # (B, P)
    flat = flat.masked_fill(~mask, -1)
    stops = None
    if STOPS in inputs:
        until = flat.cummax(dim=1).values.expand(len(ids), -1)  # (B, P)
        columns = inputs[STOPS]
        stops = Stops(columns, until.gather(1, columns - 1) + 1)
    return Prefix(
        tuple(layer.keys for layer in layers),
        tuple(layer.values for layer in layers),
        mask.expand(len(ids), -1),
        flat.amax(dim=1) + 1,
        stops,
    )


def spare_prompt(backbone: nn.Module, spared: bool) -> None:
    """Let adapters act on what comes after a prompt alone; what is before [CTX] stays the base's.

    Keys and values of a prompt then never change, and can be kept (`prefix_store`).
    """
    backbone.spares_prompt = spared  # type: ignore[assignment]


def spares_prompt(backbone: nn.Module) -> bool:
    """Return whether adapters leave prompts alone."""
    return bool(getattr(backbone, "spares_prompt", False))


@contextmanager
def _bare(backbone: nn.Module) -> Iterator[None]:
    """Within the block no adapter of the model acts, and nothing has a gradient."""
    from emosym.models.adapters import without_adapters  # peft: only where there may be one

    with torch.no_grad(), without_adapters(backbone):
        yield


def prefill_cache(backbone: nn.Module) -> DynamicCache:
    """Return an empty cache for a prefill, which ends it early where it may."""
    if not splits(backbone):
        return DynamicCache()  # layers that keep everything, whatever the model's own would drop
    config = text_config(backbone)
    return PrefillCache(config) if may_stop(backbone) else DynamicCache(config=config)


def may_stop(backbone: nn.Module) -> bool:
    """Return whether a prefill may end within the last layer: sharded ones must run to its end."""
    layers: Any = language_model(backbone).layers
    return in_use("short_prefill") and not isinstance(layers[-1], FSDPModule)


def takes_vision(backbone: nn.Module) -> bool:
    """Return whether the backbone accepts vision outputs that were computed elsewhere."""
    return "mm_encoder_outputs" in inspect.signature(body(backbone).forward).parameters


def rotary_positions(backbone: nn.Module, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return position ids (3, B, P), or (B, P) for backbones without multimodal positions.

    The library's loop runs once where all rows are alike, which is the rule in training.
    """
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    model = body(backbone)
    if not hasattr(model, "get_rope_index") or "image_grid_thw" not in inputs:
        return (mask.long().cumsum(-1) - 1).clamp(min=0)
    grid = inputs["image_grid_thw"]
    alike = bool((ids == ids[:1]).all()) and bool((mask == mask[:1]).all())
    if alike:  # then all rows have as many pictures
        each = grid.view(len(ids), -1, 3)  # (B, pictures of a row, 3)
        alike = bool((each == each[:1]).all())
    rows = slice(0, 1) if alike else slice(None)
    positions: torch.Tensor = model.get_rope_index(
        ids[rows],
        mm_token_type_ids=inputs["mm_token_type_ids"][rows],
        image_grid_thw=each[0] if alike else grid,
        attention_mask=mask[rows],
    )[0]
    return positions.expand(3, len(ids), -1)


def open_cache(prefix: Prefix) -> DynamicCache:
    """Return a fresh cache over a prefix; the prefix's tensors are shared, never changed."""
    return prefix_cache(prefix.keys, prefix.values)


def grow(mask: torch.Tensor, count: int) -> torch.Tensor:
    """Append `count` visible columns to a mask (B, S)."""
    return torch.cat([mask, mask.new_ones(len(mask), count)], dim=1)


def seen_at(prefix: Prefix, mask: torch.Tensor, k: int, alone: bool = False) -> torch.Tensor:
    """Return what context token k sees of a mask (B, S) that begins with the prefix's columns.

    `alone`: of the prefix its own sentence, what stands between the stop before its own and its
    own (where both are the same, all before it), and nothing of other context tokens.
    """
    if prefix.stops is None:
        return mask
    width, columns = prefix.mask.shape[1], torch.arange(prefix.mask.shape[1], device=mask.device)
    stop = prefix.stops.columns[:, k, None]  # (B, 1)
    inside = columns < stop  # (B, P)
    if alone and k:
        before = prefix.stops.columns[:, k - 1, None]
        inside &= columns >= before.where(before < stop, torch.zeros_like(before))
    latents = torch.zeros_like(mask[:, width:]) if alone else mask[:, width:]
    return torch.cat([mask[:, :width] & inside, latents], dim=1)


def extend(
    backbone: nn.Module,
    embeds: torch.Tensor,
    cache: DynamicCache,
    mask: torch.Tensor,
    position: torch.Tensor,
    within: torch.Tensor | None = None,
    offsets: torch.Tensor | None = None,
) -> torch.Tensor:
    """Run new embeddings (B, T, H) after a cache; `mask` says which cached columns they see.

    It is (B, S), or (B, T, S) where each new row sees others. `within` (T, T) bool says which new
    columns a new row sees (its own and all before it, unless given), `offsets` (T,) or (B, T) where
    they stand after `position` (0, 1, ... unless given): so several continuations can share a call.
    Returns their last hidden states (B, T, H).
    """
    batch, length, _ = embeds.shape
    keys = cache.layers[0].keys
    if not torch.is_autocast_enabled(embeds.device.type):
        embeds = embeds.to(keys.dtype)
    steps = torch.arange(length, device=embeds.device)
    causal = steps[None, :] <= steps[:, None] if within is None else within  # (T, T)
    seen = mask[:, None].expand(-1, length, -1) if mask.ndim == 2 else mask
    allowed = torch.cat([seen, causal.expand(batch, -1, -1)], dim=2)  # (B, T, S + T)
    additive = torch.zeros(allowed.shape, dtype=embeds.dtype, device=embeds.device)
    additive = additive.masked_fill(~allowed, torch.finfo(embeds.dtype).min)[:, None]
    decoder = language_model(backbone)
    in_place = splits(backbone)
    if not in_place:
        join(cache)
    with splitting(decoder) if in_place else nullcontext():
        output = decoder(
            inputs_embeds=embeds,
            attention_mask=additive,
            position_ids=position[:, None] + (steps if offsets is None else offsets),
            past_key_values=cache,
            use_cache=True,
        )
    hidden: torch.Tensor = output.last_hidden_state
    return hidden


def next_logits(backbone: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
    """Map hidden states (..., H) to vocabulary logits (..., V)."""
    head = backbone.get_output_embeddings()  # type: ignore[operator]
    logits: torch.Tensor = head(hidden)
    config = text_config(backbone)
    for name, change in LOGIT_CHANGES.items():
        value = getattr(config, name, None)
        if value is not None:
            logits = change(logits, float(value))
    return logits
