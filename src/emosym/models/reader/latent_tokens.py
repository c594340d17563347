"""The new tokens [CTX] x K and [EMO], the emotion heads and the context projector."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

HEAD_WIDTH = 256
# What the context tokens stand after; with OWN_SENTENCE each sees no more than its own.
PROMPT, SENTENCES, OWN_SENTENCE = "prompt", "sentences", "own_sentence"
WITHIN = (SENTENCES, OWN_SENTENCE)
OLD_GAIN = "latent_tokens.recurrent_gain"  # of checkpoints from before the gate


class LatentTokens(nn.Module):
    """Trainable input embeddings of [CTX] x K and [EMO].

    With `recurrent`, the input of each token after the first is its embedding plus the previous
    hidden state times a learned gate (H,). The gate starts at zero, where the tokens stand side by
    side: at the size of the embeddings, the gradient grows from step to step through the chain and
    drowns what there is to learn. Without context tokens there is nothing to feed back.

    `after` says where the context tokens stand: all after the prompt, or one after each of its
    sentences (`stops_of`). There they share one embedding: what a step does must not hang on
    its number, of which a longer text has more.
    """

    holds_embeddings = True  # for the optimizer: no weight decay, as for any embedding table

    def __init__(
        self, hidden_size: int, num_context_tokens: int, recurrent: bool, after: str = PROMPT
    ) -> None:
        """Create K + 1 embeddings of size H; two where those of the context are shared."""
        super().__init__()
        self.num_context_tokens = num_context_tokens
        self.recurrent = recurrent and num_context_tokens > 0
        self.after = after
        count = min(num_context_tokens, 1) if after in WITHIN else num_context_tokens
        self.context_embeds = nn.Parameter(torch.zeros(count, hidden_size))
        self.emotion_embed = nn.Parameter(torch.zeros(1, hidden_size))
        if self.recurrent:
            self.recurrent_gate = nn.Parameter(torch.zeros(hidden_size))

    def context_inputs(self) -> torch.Tensor:
        """Return the input embeddings of [CTX] x K, (K, H)."""
        return self.context_embeds.expand(self.num_context_tokens, -1)

    def fed_back(self, latent: torch.Tensor) -> torch.Tensor:
        """Return what a hidden state (B, 1, H) adds to the next token's input embedding."""
        return self.recurrent_gate * latent.to(self.recurrent_gate.dtype)

    @torch.no_grad()
    def initialise(self, table: torch.Tensor, generator: torch.Generator) -> None:
        """Draw the embeddings like rows of the language model's table (V, H)."""
        deviation = float(table.float().std())
        for parameter in (self.context_embeds, self.emotion_embed):
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise * deviation)
        if self.recurrent:
            self.recurrent_gate.zero_()


def with_gate(saved: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a reader's saved tensors with a gate (H,) where an older one has one gain for all."""
    found = dict(saved)
    if OLD_GAIN in found:
        gain, embed = found.pop(OLD_GAIN), found["latent_tokens.emotion_embed"]
        found["latent_tokens.recurrent_gate"] = gain.expand(embed.shape[-1]).clone()
    return found


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
