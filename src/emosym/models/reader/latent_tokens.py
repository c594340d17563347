"""The new tokens [CTX] x K and [EMO], the emotion heads and the context projector."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

HEAD_WIDTH = 256


class LatentTokens(nn.Module):
    """Trainable input embeddings of [CTX] x K and [EMO] (DESIGN section 1).

    With `recurrent`, the input of each token after the first is its embedding plus the previous
    hidden state scaled by a learned gain, which starts at the size of the embeddings. Without
    context tokens there is nothing to feed back.
    """

    def __init__(self, hidden_size: int, num_context_tokens: int, recurrent: bool) -> None:
        """Create K + 1 embeddings of size H."""
        super().__init__()
        self.num_context_tokens = num_context_tokens
        self.recurrent = recurrent and num_context_tokens > 0
        self.context_embeds = nn.Parameter(torch.zeros(num_context_tokens, hidden_size))
        self.emotion_embed = nn.Parameter(torch.zeros(1, hidden_size))
        if self.recurrent:
            self.recurrent_gain = nn.Parameter(torch.ones(()))

    @torch.no_grad()
    def initialise(self, table: torch.Tensor, generator: torch.Generator) -> None:
        """Draw the embeddings like rows of the language model's table (V, H)."""
        deviation = float(table.float().std())
        for parameter in (self.context_embeds, self.emotion_embed):
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise * deviation)
        if hasattr(self, "recurrent_gain"):
            self.recurrent_gain.fill_(deviation)


class EmotionHead(nn.Module):
    """Linear(H, 256) - ReLU - Linear(256, C), for one label space."""

    def __init__(self, hidden_size: int, num_labels: int) -> None:
        """Create the head of a label space with C labels."""
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(hidden_size, HEAD_WIDTH), nn.ReLU(), nn.Linear(HEAD_WIDTH, num_labels)
        )

    def forward(self, emotion_latent: torch.Tensor) -> torch.Tensor:
        """Map emotion latents (B, H) to logits (B, C)."""
        logits: torch.Tensor = self.net(emotion_latent)
        return logits


class ContextProjector(nn.Module):
    """Project the mean context latent into the text encoder's space for InfoNCE."""

    def __init__(self, hidden_size: int, text_size: int) -> None:
        """Create Linear(H, D) and the learned log temperature, which starts at ln(1/.07)."""
        super().__init__()
        self.net = nn.Linear(hidden_size, text_size)
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def forward(self, context_latents: torch.Tensor) -> torch.Tensor:
        """Map context latents (B, K, H) to unit vectors (B, D)."""
        mean = context_latents.mean(dim=1).to(self.net.weight.dtype)
        projected = self.net(mean)  # (B, D)
        return nn.functional.normalize(projected.float(), dim=-1)


def build_heads(hidden_size: int, spaces: Mapping[str, int]) -> nn.ModuleDict:
    """Return one head per label space name."""
    return nn.ModuleDict({name: EmotionHead(hidden_size, size) for name, size in spaces.items()})
