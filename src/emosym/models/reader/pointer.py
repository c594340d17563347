"""Which turns caused the emotion of a turn: a small pointer over the latents of a conversation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

WIDTH = 128
FARTHEST = 12  # turns apart; those farther count as this far
UNKNOWN_EMOTION = -1
LIKELY = 0.5  # what `likely` is until it is chosen


def with_likely(saved: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a reader's saved tensors with LIKELY where an older pointer has chosen none."""
    found = dict(saved)
    if any(name.startswith("pointer.") for name in found):
        found.setdefault("pointer.likely", torch.tensor(LIKELY))
    return found


class CausePointer(nn.Module):
    """Score every pair (turn t, turn j): did j cause the emotion of t? j may be t, or come later.

    A turn's own latents hold what was said until then; a pair sees both turns' latents, how far
    apart they are, whether one speaker says both, and, where emotions are given or found before,
    those of both turns.
    """

    def __init__(self, hidden_size: int, num_labels: int) -> None:
        """Create the pointer for latents of size H and emotions of a label space with C labels."""
        super().__init__()
        self.num_labels = num_labels
        self.norm = nn.LayerNorm(hidden_size)
        self.effect = nn.Linear(hidden_size, WIDTH)
        self.cause = nn.Linear(hidden_size, WIDTH)
        # the last row is for an emotion that nobody told
        self.effect_emotion = nn.Embedding(num_labels + 1, WIDTH)
        self.cause_emotion = nn.Embedding(num_labels + 1, WIDTH)
        self.distance = nn.Embedding(2 * FARTHEST + 1, WIDTH)
        self.same_speaker = nn.Parameter(torch.zeros(WIDTH))
        self.score = nn.Sequential(nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU())
        self.last = nn.Linear(WIDTH, 1)
        self.near = nn.Embedding(2 * FARTHEST + 1, 1)  # what distance alone says
        nn.init.zeros_(self.near.weight)
        self.likely: torch.Tensor  # from this probability on a pair is said
        self.register_buffer("likely", torch.tensor(LIKELY))

    def forward(
        self, latents: torch.Tensor, emotions: torch.Tensor, speakers: torch.Tensor
    ) -> torch.Tensor:
        """Map latents (B, N, H) to logits (B, N, N) of "turn j caused the emotion of turn t".

        `emotions` (B, N) are class indices, UNKNOWN_EMOTION where none is told; `speakers` (B, N)
        are numbers of speakers.
        """
        told = emotions.where(emotions != UNKNOWN_EMOTION, emotions.new_tensor(self.num_labels))
        normed = self.norm(latents.to(self.norm.weight.dtype))
        effect = self.effect(normed) + self.effect_emotion(told)  # (B, N, W)
        cause = self.cause(normed) + self.cause_emotion(told)
        places = torch.arange(latents.shape[1], device=latents.device)
        apart = (places - places[:, None]).clamp(-FARTHEST, FARTHEST) + FARTHEST  # (N, N)
        same = (speakers[:, :, None] == speakers[:, None]).to(effect.dtype)[..., None]
        pairs = effect[:, :, None] + cause[:, None] + self.distance(apart)  # (B, N, N, W)
        pairs = self.score(pairs + same * self.same_speaker)
        logits: torch.Tensor = self.last(pairs) + self.near(apart)
        return logits[..., 0].float()
