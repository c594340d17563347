"""The reader: an image-text-to-text model, read at [CTX] x K and [EMO] after its prompt.

A reading has three steps. `prefill` runs picture and question once and keeps keys and values.
`think` appends [CTX] x K and [EMO] and returns their last hidden states. `say_loss` and `say`
continue with a rationale. Everything before [CTX] is a `Prefix`, so it can be cached, shared by
many samples, or hidden from the rationale (gist mask).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPooling

from emosym.emotions import label_space
from emosym.models.latent_tokens import ContextProjector, LatentTokens, build_heads
from emosym.seeds import torch_rng

MAX_RATIONALE_TOKENS = 72  # as many are trained in stage 1 as are said


@dataclass(frozen=True, slots=True)
class Prefix:
    """Keys and values of everything before [CTX].

    Per layer (B, kv_heads, P, d); `mask` (B, P) is True on real tokens; `next_position` (B,).
    """

    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]
    mask: torch.Tensor
    next_position: torch.Tensor

    def select(self, rows: torch.Tensor) -> Prefix:
        """Return the prefix of chosen rows (repeats allowed)."""
        return Prefix(
            tuple(k[rows] for k in self.keys),
            tuple(v[rows] for v in self.values),
            self.mask[rows],
            self.next_position[rows],
        )


@dataclass(frozen=True, slots=True)
class Thought:
    """What `think` returns: context latents (B, K, H), emotion latent (B, H), and where it is.

    `context_means` (B, K, H) differ from the latents only where noise or given latents are used.
    """

    context_latents: torch.Tensor
    context_means: torch.Tensor
    emotion_latent: torch.Tensor
    cache: DynamicCache
    mask: torch.Tensor
    next_position: torch.Tensor
    prefix_length: int


class EmotionReasoner(nn.Module):
    """Any transformers image-text-to-text backbone with latent tokens and heads."""

    def __init__(
        self,
        backbone: nn.Module,
        num_context_tokens: int,
        recurrent: bool,
        spaces: tuple[str, ...],
        text_size: int,
        seed: int,
    ) -> None:
        """Add tokens, heads and projector, drawn from the stream (seed, "latent-init")."""
        super().__init__()
        self.backbone = backbone
        hidden_size = text_config(backbone).hidden_size
        self.latent_tokens = LatentTokens(hidden_size, num_context_tokens, recurrent)
        table = backbone.get_input_embeddings().weight  # type: ignore[operator]
        generator = torch_rng(seed, "latent-init")
        self.latent_tokens.initialise(table.detach().cpu(), generator)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator.initial_seed())
            self.heads = build_heads(hidden_size, {s: len(label_space(s)) for s in spaces})
            self.context_projector = ContextProjector(hidden_size, text_size)

    @property
    def language_model(self) -> nn.Module:
        """The text decoder below the backbone."""
        return self.backbone.model.language_model  # type: ignore[union-attr, return-value]

    @property
    def device(self) -> torch.device:
        """Where the new tokens live."""
        return self.latent_tokens.emotion_embed.device

    def logits(self, emotion_latent: torch.Tensor, space: str = "mikels8") -> torch.Tensor:
        """Map emotion latents (B, H) to logits (B, C) of a label space, in fp32."""
        head = self.heads[space]
        logits: torch.Tensor = head(emotion_latent.to(next(head.parameters()).dtype))
        return logits.float()


def text_config(backbone: nn.Module) -> Any:
    """Return the configuration of the language model."""
    return backbone.config.get_text_config()  # type: ignore[operator, union-attr]


def vision_features(reasoner: EmotionReasoner, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Run the vision tower once; returns features (B, T, H) of equally sized pictures."""
    features = reasoner.backbone.model.get_image_features(  # type: ignore[operator, union-attr]
        inputs["pixel_values"], inputs["image_grid_thw"], return_dict=True
    ).pooler_output
    return torch.stack(list(features))


def prefill(
    reasoner: EmotionReasoner,
    inputs: Mapping[str, torch.Tensor],
    features: torch.Tensor | None = None,
) -> Prefix:
    """Run picture and question through the backbone once.

    `inputs` are the processor's (input_ids (B, P), attention_mask, pixel_values, ...); with
    `features` (B, T, H) from `vision_features` the vision tower is not run.
    """
    arguments = dict(inputs)
    ids, mask = arguments["input_ids"], arguments["attention_mask"].bool()
    positions = rotary_positions(reasoner, arguments)
    if features is not None:
        arguments.pop("pixel_values", None)
        arguments.pop("image_grid_thw", None)
        # the library's hook for vision outputs computed elsewhere
        arguments["mm_encoder_outputs"] = {  # type: ignore[assignment]
            "image": BaseModelOutputWithPooling(pooler_output=tuple(features))
        }
    arguments["attention_mask"] = None if bool(mask.all()) else arguments["attention_mask"]  # type: ignore[assignment]
    output = reasoner.backbone.model(  # type: ignore[operator]
        **arguments, position_ids=positions, use_cache=True
    )
    layers = output.past_key_values.layers
    flat = positions if positions.ndim == 2 else positions.amax(dim=0)  # (B, P)
    return Prefix(
        tuple(layer.keys for layer in layers),
        tuple(layer.values for layer in layers),
        mask.expand(len(ids), -1),
        flat.masked_fill(~mask, -1).amax(dim=1) + 1,
    )


def rotary_positions(reasoner: EmotionReasoner, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return position ids (3, B, P), or (B, P) for backbones without multimodal positions.

    The library's loop runs once where all rows are alike, which is the rule in training.
    """
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    model: Any = reasoner.backbone.model
    if not hasattr(model, "get_rope_index"):
        return (mask.long().cumsum(-1) - 1).clamp(min=0)
    grid = inputs["image_grid_thw"]
    alike = bool((ids == ids[:1]).all()) and bool((mask == mask[:1]).all())
    alike = alike and bool((grid == grid[:1]).all())
    per_row = len(grid) // len(ids)
    rows = slice(0, 1) if alike else slice(None)
    positions: torch.Tensor = model.get_rope_index(
        ids[rows],
        mm_token_type_ids=inputs["mm_token_type_ids"][rows],
        image_grid_thw=grid[:per_row] if alike else grid,
        attention_mask=mask[rows],
    )[0]
    return positions.expand(3, len(ids), -1)


def think(
    reasoner: EmotionReasoner,
    prefix: Prefix,
    noise: torch.Tensor | None = None,
    given: torch.Tensor | None = None,
    block_context: bool = False,
) -> Thought:
    """Append [CTX] x K and [EMO] to a prefix and return their last hidden states.

    When recurrent, each latent is added, scaled, to the next step's input embedding, [EMO]'s
    included. The policy over latents of stage 2 is a Gaussian around each hidden state: `noise`
    (B, K, H) draws from it, `given` (B, K, H) takes latents drawn before. `block_context` hides
    [CTX] from [EMO], for causal tests.
    """
    tokens = reasoner.latent_tokens
    count = tokens.num_context_tokens
    batch = len(prefix.next_position)
    cache, mask, position = _open_cache(prefix), prefix.mask, prefix.next_position
    embeds = tokens.context_embeds.expand(batch, -1, -1)  # (B, K, H)
    emotion_embed = tokens.emotion_embed.expand(batch, -1, -1)  # (B, 1, H)
    if tokens.recurrent:
        means: list[torch.Tensor] = []
        latents: list[torch.Tensor] = []
        for k in range(count):
            step = embeds[:, k : k + 1]
            if k:
                step = step + tokens.recurrent_gain * latents[-1].to(step.dtype)
            means.append(_extend(reasoner, step, cache, mask, position + k))
            mask = _grow(mask, 1)
            latents.append(_latent(means[-1], k, noise, given))
        mean, context = torch.cat(means, dim=1), torch.cat(latents, dim=1)  # (B, K, H)
        emotion_embed = emotion_embed + tokens.recurrent_gain * latents[-1].to(emotion_embed.dtype)
    else:
        mean = context = _extend(reasoner, embeds, cache, mask, position)  # (B, K, H)
        mask = _grow(mask, count)
    seen = mask
    if block_context:
        seen = mask.clone()
        seen[:, -count:] = False
    emotion = _extend(reasoner, emotion_embed, cache, seen, position + count)
    return Thought(
        context_latents=context,
        context_means=mean,
        emotion_latent=emotion[:, 0],
        cache=cache,
        mask=_grow(mask, 1),
        next_position=position + count + 1,
        prefix_length=prefix.mask.shape[1],
    )


def _latent(
    mean: torch.Tensor, k: int, noise: torch.Tensor | None, given: torch.Tensor | None
) -> torch.Tensor:
    """Return step k's latent (B, 1, H): given, noisy, or the hidden state itself."""
    if given is not None:
        return given[:, k : k + 1].to(mean.dtype)
    if noise is not None:
        return mean + noise[:, k : k + 1].to(mean.dtype)
    return mean


def say_loss(
    reasoner: EmotionReasoner,
    thought: Thought,
    tokens: torch.Tensor,
    labels: torch.Tensor,
    gist: torch.Tensor,
    start_token: int,
) -> torch.Tensor:
    """Return the mean next-token loss of rationales spoken after [EMO].

    `tokens`, `labels` (B, R), labels -100 where ignored; where `gist` (B,) is True the rationale
    sees nothing before [CTX]: what it says must have come through the latents.
    """
    shifted = torch.cat([torch.full_like(tokens[:, :1], start_token), tokens[:, :-1]], dim=1)
    embeds = reasoner.backbone.get_input_embeddings()(shifted)  # type: ignore[operator]
    seen = _gist_mask(thought, gist)
    hidden = _extend(reasoner, embeds, thought.cache, seen, thought.next_position)
    wanted = labels != -100
    logits = _vocabulary(reasoner, hidden[wanted])
    return nn.functional.cross_entropy(logits.float(), labels[wanted])


@torch.no_grad()
def say(
    reasoner: EmotionReasoner,
    thought: Thought,
    start_token: int,
    end_token: int,
    max_new_tokens: int = 64,
    gist: bool = False,
) -> list[list[int]]:
    """Speak greedily after [EMO]; returns token ids per row, without the end token."""
    batch = len(thought.next_position)
    device = thought.next_position.device
    seen = _gist_mask(thought, torch.full((batch,), gist, device=device))
    current = torch.full((batch, 1), start_token, device=device)
    done = torch.zeros(batch, dtype=torch.bool, device=device)
    said: list[list[int]] = [[] for _ in range(batch)]
    for step in range(max_new_tokens):
        embeds = reasoner.backbone.get_input_embeddings()(current)  # type: ignore[operator]
        hidden = _extend(reasoner, embeds, thought.cache, seen, thought.next_position + step)
        seen = _grow(seen, 1)
        current = _vocabulary(reasoner, hidden[:, -1:]).argmax(-1)  # (B, 1)
        done |= current[:, 0] == end_token
        if bool(done.all()):
            break
        for row, token in enumerate(current[:, 0].tolist()):
            if not done[row]:
                said[row].append(token)
    return said


def _gist_mask(thought: Thought, gist: torch.Tensor) -> torch.Tensor:
    """Return the mask (B, S) of what a rationale may see."""
    seen = thought.mask.clone()
    seen[:, : thought.prefix_length] &= ~gist[:, None]
    return seen


def _vocabulary(reasoner: EmotionReasoner, hidden: torch.Tensor) -> torch.Tensor:
    """Map hidden states (..., H) to vocabulary logits (..., V)."""
    head = reasoner.backbone.get_output_embeddings()  # type: ignore[operator]
    logits: torch.Tensor = head(hidden)
    return logits


def _open_cache(prefix: Prefix) -> DynamicCache:
    """Return a fresh cache over a prefix; the prefix's tensors are shared, never changed."""
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(zip(prefix.keys, prefix.values, strict=True)):
        cache.update(keys, values, layer)
    return cache


def _grow(mask: torch.Tensor, count: int) -> torch.Tensor:
    """Append `count` visible columns to a mask (B, S)."""
    return torch.cat([mask, mask.new_ones(len(mask), count)], dim=1)


def _extend(
    reasoner: EmotionReasoner,
    embeds: torch.Tensor,
    cache: DynamicCache,
    mask: torch.Tensor,
    position: torch.Tensor,
) -> torch.Tensor:
    """Run new embeddings (B, T, H) after a cache; `mask` (B, S) says which cached columns they see.

    Returns their last hidden states (B, T, H).
    """
    batch, length, _ = embeds.shape
    keys = cache.layers[0].keys
    if not torch.is_autocast_enabled(embeds.device.type):
        embeds = embeds.to(keys.dtype)
    steps = torch.arange(length, device=embeds.device)
    causal = steps[None, :] <= steps[:, None]  # (T, T)
    allowed = torch.cat(
        [mask[:, None, :].expand(-1, length, -1), causal.expand(batch, -1, -1)], dim=2
    )  # (B, T, S + T)
    additive = torch.zeros(allowed.shape, dtype=embeds.dtype, device=embeds.device)
    additive = additive.masked_fill(~allowed, torch.finfo(embeds.dtype).min)[:, None]
    output = reasoner.language_model(
        inputs_embeds=embeds,
        attention_mask=additive,
        position_ids=position[:, None] + steps,
        past_key_values=cache,
        use_cache=True,
    )
    hidden: torch.Tensor = output.last_hidden_state
    return hidden
