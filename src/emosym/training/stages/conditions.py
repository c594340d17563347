"""What conditions the painter in stage 3: ours, and what it is compared with.

`emotion_context` (ours): one placeholder from e and one from each context latent. `emotion`: e
alone, at one place. `emotion_repeated`: e alone, at as many places as ours. `inversion`: as many
placeholders, learned for each emotion as in textual inversion, and nothing of the picture.
`class_word`: the emotion's word in the prompt, and no placeholder.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from emosym.models.emosym_model import EmoSymModel
from emosym.models.gaussians import EmotionSpace, Gaussian
from emosym.models.painter.mappers import context_at_places
from emosym.models.painter.prompt import word_prompt
from emosym.models.reader.reasoner import Thought
from emosym.seeds import torch_rng


class InvertedEmotions(nn.Module):
    """A learned e and K learned context latents for each of C emotions: rows (C, 1 + K, H)."""

    holds_embeddings = True

    def __init__(self, labels: int, num_context: int, hidden_size: int, seed: int) -> None:
        """Draw the rows from the stream (seed, "inversion-init")."""
        super().__init__()
        generator = torch_rng(seed, "inversion-init")
        rows = torch.randn(labels, 1 + num_context, hidden_size, generator=generator)
        self.rows = nn.Parameter(rows)


def condition_embeds(
    model: EmoSymModel, thought: Thought, truth: np.ndarray, inverted: InvertedEmotions | None
) -> list[torch.Tensor] | None:
    """Return what the text encoders get for class indices `truth` (B,); None for `class_word`."""
    if model.condition == "class_word":
        return None
    if inverted is not None:
        rows = inverted.rows[torch.from_numpy(truth)]  # (B, 1 + K, H)
        found: list[torch.Tensor] = model.require_mappers()(rows[:, 0], rows[:, 1:])
        return found
    emotion, context = thought.emotion_latent, thought.context_latents
    context = context_at_places(model.condition, emotion, context, context.shape[1])
    found = model.require_mappers()(emotion, context)
    return found


def prompts_for(model: EmoSymModel, prompts: Sequence[str], truth: np.ndarray) -> list[str]:
    """Return prompts (B) as they are; for `class_word` with the emotions' words at their places."""
    if model.condition != "class_word":
        return list(prompts)
    labels = model.reader.space.labels
    return [word_prompt(p, labels[i]) for p, i in zip(prompts, truth, strict=True)]


def inverted_space(labels: tuple[str, ...], inverted: InvertedEmotions) -> EmotionSpace:
    """Return an emotion space of one point for each emotion: there is nothing to sample."""
    rows = inverted.rows.detach().float().cpu()
    gaussians = tuple(
        Gaussian(row.clone(), torch.zeros(0, row.numel()), torch.zeros(0), torch.zeros(()))
        for row in rows.flatten(1)
    )
    return EmotionSpace(labels, gaussians, rows.shape[1] - 1)
