"""The reader: an image-text-to-text model, read at [CTX] x K and [EMO] after its prompt.

A reading has three steps. `prefill` runs picture and question once and keeps keys and values.
`think` appends [CTX] x K and [EMO] and returns their last hidden states. `say_loss` and `say`
continue with a rationale. Everything before [CTX] is a `Prefix`, so it can be cached, shared by
many samples, or hidden from the rationale (gist mask).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers import DynamicCache

from emosym.emotions import LabelSpace, label_space
from emosym.models.reader.latent_tokens import (
    OWN_SENTENCE,
    PROMPT,
    ContextProjector,
    LatentTokens,
    build_heads,
)
from emosym.models.reader.pointer import CausePointer
from emosym.models.reader.prefix import (
    Prefix,
    extend,
    grow,
    language_model,
    next_logits,
    open_cache,
    seen_at,
    text_config,
)
from emosym.seeds import torch_rng

MAX_RATIONALE_TOKENS = 72  # as many are trained in stage 1 as are said


@dataclass(frozen=True, slots=True)
class Thought:
    """What `think` returns: context latents (B, K, H), emotion latent (B, H), and where it is.

    `context_means` (B, K, H) differ from the latents only where noise or given latents are used.
    `places` (B, K) are the positions of context tokens that stand within the prompt.
    """

    context_latents: torch.Tensor
    context_means: torch.Tensor
    emotion_latent: torch.Tensor
    cache: DynamicCache
    mask: torch.Tensor
    next_position: torch.Tensor
    prefix_length: int
    places: torch.Tensor | None = None


class EmotionReasoner(nn.Module):
    """Any transformers image-text-to-text backbone with latent tokens and heads."""

    def __init__(
        self,
        backbone: nn.Module,
        num_context_tokens: int,
        recurrent: bool,
        spaces: Sequence[str | LabelSpace],
        text_size: int,
        seed: int,
        after: str = PROMPT,
    ) -> None:
        """Add tokens, heads and projector, drawn from the stream (seed, "latent-init")."""
        super().__init__()
        self.backbone = backbone
        self.spaces = tuple(label_space(space) for space in spaces)
        hidden_size = text_config(backbone).hidden_size
        self.latent_tokens = LatentTokens(hidden_size, num_context_tokens, recurrent, after)
        table = backbone.get_input_embeddings().weight  # type: ignore[operator]
        generator = torch_rng(seed, "latent-init")
        self.latent_tokens.initialise(table.detach().cpu(), generator)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator.initial_seed())
            self.heads = build_heads(hidden_size, {s.name: len(s) for s in self.spaces})
            self.context_projector = ContextProjector(hidden_size, text_size)
        self.pointer: CausePointer | None = None  # to causes; `add_pointer`

    @property
    def language_model(self) -> nn.Module:
        """The text decoder below the backbone."""
        return language_model(self.backbone)

    @property
    def device(self) -> torch.device:
        """Where the new tokens live."""
        return self.latent_tokens.emotion_embed.device

    def head(self, space: LabelSpace) -> nn.Module:
        """Return the head of a label space."""
        return self.heads[space.name]

    def add_head(self, space: LabelSpace, seed: int) -> None:
        """Add a fresh head, or replace the one of this space: the stream (seed, "head-NAME")."""
        hidden_size = self.latent_tokens.emotion_embed.shape[1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_rng(seed, f"head-{space.name}").initial_seed())
            fresh = build_heads(hidden_size, {space.name: len(space)})
        self.heads[space.name] = fresh[space.name].to(self.device)
        kept = (old for old in self.spaces if old.name != space.name)
        self.spaces = (*kept, space)

    def add_pointer(self, space: LabelSpace, seed: int) -> None:
        """Add a fresh pointer to the causes of emotions of a label space: (seed, "pointer")."""
        hidden_size = self.latent_tokens.emotion_embed.shape[1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_rng(seed, "pointer").initial_seed())
            self.pointer = CausePointer(hidden_size, len(space)).to(self.device)

    def logits(
        self, emotion_latent: torch.Tensor, space: str | LabelSpace = "mikels8"
    ) -> torch.Tensor:
        """Map emotion latents (B, H) to logits (B, C) of a label space, in fp32."""
        head = self.heads[space if isinstance(space, str) else space.name]
        logits: torch.Tensor = head(emotion_latent.to(next(head.parameters()).dtype))
        return logits.float()


def think(
    reasoner: EmotionReasoner,
    prefix: Prefix,
    noise: torch.Tensor | None = None,
    given: torch.Tensor | None = None,
    block_context: bool = False,
    bottleneck: torch.Tensor | None = None,
) -> Thought:
    """Append [CTX] x K and [EMO] to a prefix and return their last hidden states.

    When recurrent, each latent is added, gated, to the next step's input embedding, [EMO]'s
    included. The policy over latents of stage 2 is a Gaussian around each hidden state: `noise`
    (B, K, H) draws from it, `given` (B, K, H) takes latents drawn before. `block_context` hides
    [CTX] from [EMO], for causal tests. In rows where `bottleneck` (B,) is True, [EMO] sees nothing
    before [CTX]: what it answers must have come through the latents. Where the prefix has `stops`,
    each context token sees it up to its own, as if it stood there (or its own sentence alone:
    `seen_at`, and [EMO] of the latents the last alone); [EMO] comes after everything.
    """
    tokens = reasoner.latent_tokens
    count = tokens.num_context_tokens
    batch = len(prefix.next_position)
    cache, mask, position = open_cache(prefix), prefix.mask, prefix.next_position
    embeds = tokens.context_inputs().expand(batch, -1, -1)  # (B, K, H)
    stops = prefix.stops
    emotion_embed = tokens.emotion_embed.expand(batch, -1, -1)  # (B, 1, H)
    if tokens.recurrent:
        means: list[torch.Tensor] = []
        latents: list[torch.Tensor] = []
        for k in range(count):
            step = embeds[:, k : k + 1]
            if k:
                step = step + tokens.fed_back(latents[-1])
            place = position + k if stops is None else stops.places[:, k]
            seen = seen_at(prefix, mask, k, tokens.after == OWN_SENTENCE)
            means.append(extend(reasoner.backbone, step, cache, seen, place))
            mask = grow(mask, 1)
            latents.append(_latent(means[-1], k, noise, given))
        mean, context = torch.cat(means, dim=1), torch.cat(latents, dim=1)  # (B, K, H)
        emotion_embed = emotion_embed + tokens.fed_back(latents[-1])
        seen = _without_last(mask, count) if block_context else mask
        if tokens.after == OWN_SENTENCE:
            seen = _without_last(seen, count, spared=1)
        seen = _narrowed(seen, prefix, bottleneck)
        emotion = extend(reasoner.backbone, emotion_embed, cache, seen, position + count)
    elif count and (block_context or bottleneck is not None or stops is not None):
        if stops is None:
            mean = context = extend(reasoner.backbone, embeds, cache, mask, position)  # (B, K, H)
        else:
            seen = torch.stack([seen_at(prefix, mask, k) for k in range(count)], dim=1)
            start, places = torch.zeros_like(position), stops.places
            mean = extend(reasoner.backbone, embeds, cache, seen, start, offsets=places)
            context = mean
        mask = grow(mask, count)
        seen = _without_last(mask, count) if block_context else mask
        seen = _narrowed(seen, prefix, bottleneck)
        emotion = extend(reasoner.backbone, emotion_embed, cache, seen, position + count)
    else:  # nothing is fed back: all in one call
        both = torch.cat([embeds, emotion_embed], dim=1)  # (B, K + 1, H)
        hidden = extend(reasoner.backbone, both, cache, mask, position)
        mean = context = hidden[:, :count]  # (B, K, H)
        emotion = hidden[:, count:]
        mask = grow(mask, count)
    return Thought(
        context_latents=context,
        context_means=mean,
        emotion_latent=emotion[:, 0],
        cache=cache,
        mask=grow(mask, 1),
        next_position=position + count + 1,
        prefix_length=prefix.mask.shape[1],
        places=None if stops is None else stops.places,
    )


def _narrowed(mask: torch.Tensor, prefix: Prefix, bottleneck: torch.Tensor | None) -> torch.Tensor:
    """Return a mask (B, S) without the prefix's columns in the rows of a bottleneck (B,)."""
    if bottleneck is None:
        return mask
    seen = mask.clone()
    seen[:, : prefix.mask.shape[1]] &= ~bottleneck[:, None]
    return seen


def _without_last(mask: torch.Tensor, count: int, spared: int = 0) -> torch.Tensor:
    """Return a mask (B, S) whose last `count` columns are hidden, but for the last `spared`."""
    seen = mask.clone()
    seen[:, mask.shape[1] - count : mask.shape[1] - spared] = False
    return seen


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
    bottleneck: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the mean next-token loss of rationales spoken after [EMO].

    `tokens`, `labels` (B, R), labels -100 where ignored; where `gist` (B,) is True the rationale
    sees nothing before [CTX]: what it says must have come through the latents. Where `bottleneck`
    (B,) is True it does not see [EMO] either.
    """
    shifted = torch.cat([torch.full_like(tokens[:, :1], start_token), tokens[:, :-1]], dim=1)
    embeds = reasoner.backbone.get_input_embeddings()(shifted)  # type: ignore[operator]
    seen = _gist_mask(thought, gist)
    if bottleneck is not None:
        seen[:, -1] &= ~bottleneck  # [EMO] is the last that was read
    hidden = extend(reasoner.backbone, embeds, thought.cache, seen, thought.next_position)
    wanted = labels != -100
    logits = next_logits(reasoner.backbone, hidden[wanted])
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
        hidden = extend(
            reasoner.backbone, embeds, thought.cache, seen, thought.next_position + step
        )
        seen = grow(seen, 1)
        current = next_logits(reasoner.backbone, hidden[:, -1:]).argmax(-1)  # (B, 1)
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
