"""From latents to the painter: one mapper for [EMO] and one for [CTX], per text encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from emosym.seeds import stream_seed

MAPPER_WIDTH = 256
PICTURED = ("emotion_context", "emotion", "emotion_repeated")  # what a picture gives the painter
CONDITIONS = (*PICTURED, "inversion", "class_word")


class ConditionMappers(nn.Module):
    """emotion_mapper and context_mapper per text encoder, learned in stage 3.

    `output_rms` is the size of the text encoders' own embedding rows, which the outputs start at.
    """

    def __init__(
        self, hidden_size: int, embed_dims: Sequence[int], output_rms: Sequence[float], seed: int
    ) -> None:
        """Create mappers H -> D_i, drawn from the stream (seed, "mapper-init")."""
        super().__init__()
        self.embed_dims = tuple(embed_dims)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(seed, "mapper-init"))
            self.emotion_mapper = nn.ModuleList(_mapper(hidden_size, d) for d in embed_dims)
            self.context_mapper = nn.ModuleList(_mapper(hidden_size, d) for d in embed_dims)
        self.output_scale = nn.Parameter(torch.tensor(list(output_rms), dtype=torch.float32))

    def forward(
        self, emotion_latent: torch.Tensor, context_latents: torch.Tensor
    ) -> list[torch.Tensor]:
        """Map e (B, H) and c (B, K, H) to condition_embeds: per text encoder (B, 1 + K, D_i)."""
        wide = self.output_scale.dtype  # a large backbone's latents come in bf16
        emotion_latent, context_latents = emotion_latent.to(wide), context_latents.to(wide)
        embeds: list[torch.Tensor] = []
        for i, (emotion, context) in enumerate(
            zip(self.emotion_mapper, self.context_mapper, strict=True)
        ):
            tokens = torch.cat([emotion(emotion_latent)[:, None], context(context_latents)], dim=1)
            embeds.append(tokens * self.output_scale[i])  # (B, 1 + K, D_i)
        return embeds


def has_context(condition: str) -> bool:
    """Return whether a condition takes context latents beside the emotion latent."""
    return condition not in ("emotion", "emotion_repeated")


def context_at_places(
    condition: str, emotion: torch.Tensor, context: torch.Tensor, count: int
) -> torch.Tensor:
    """Return what the context mapper gets of e (B, H) and c (B, K, H) under a condition.

    `emotion` gives nothing (B, 0, H), `emotion_repeated` e at `count` places (B, count, H), any
    other c as it is.
    """
    if condition == "emotion_repeated":
        return emotion[:, None].expand(-1, count, -1)
    return context if has_context(condition) else context[:, :0]


def _mapper(hidden_size: int, embed_dim: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(hidden_size),
        nn.Linear(hidden_size, MAPPER_WIDTH),
        nn.GELU(),
        nn.Linear(MAPPER_WIDTH, embed_dim),
        nn.LayerNorm(embed_dim),
    )
