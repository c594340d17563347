"""The steps of each picture's reasoning as token ids: what latents are to say, and is spoken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from emosym.errors import UsageError
from emosym.models.reader.latent_tokens import WITHIN
from emosym.models.reader.reader import Reader
from emosym.types import Sample

IGNORE = -100
STEPS = "steps"  # the attribute of a sample


@dataclass(frozen=True, slots=True)
class StepTexts:
    """Token ids of the steps of N samples, one or more each; latents and words are read from it.

    `count` is K: a sample with fewer steps says its last one again, one with more is refused.
    Latents that stand after sentences are as many as there may be (`late`): of fewer sentences the
    first ones wait after the picture, and all of them say the first step.
    """

    ids: tuple[tuple[list[int], ...], ...]
    count: int
    end_token: int
    late: bool = False

    def of_latents(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return tokens and labels (B, K, R): what each latent of chosen samples is to say."""
        texts = [text for row in self.words(rows) for text in row]
        tokens, labels = padded([[*text, self.end_token] for text in texts], self.end_token)
        shape = (len(rows), self.count, tokens.shape[1])
        return tokens.view(shape), labels.view(shape)

    def words(self, rows: np.ndarray) -> list[list[list[int]]]:
        """Return the token ids (B, K) of the step that each latent of chosen samples is to say."""
        told = [self.ids[row] for row in rows]
        return [[own[self._step(k, len(own))] for k in range(self.count)] for own in told]

    def spoken(self, rows: np.ndarray, latents: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Return tokens and labels (B, R) of the steps that follow the first `latents` ones."""
        texts = [[t for step in self.ids[row][latents:] for t in step] for row in rows]
        return padded([[*text, self.end_token] for text in texts], self.end_token)

    def _step(self, latent: int, steps: int) -> int:
        """Return which of a sample's steps a latent says."""
        if self.late:
            return max(latent - (self.count - steps), 0)
        return min(latent, steps - 1)


def step_texts(
    reader: Reader, samples: Sequence[Sample], order: Sequence[int] | None = None
) -> StepTexts:
    """Tokenize the steps of samples; with `order` sample i gets those of sample order[i].

    Raises:
        UsageError: for a sample without steps, or with more than there are context tokens.
    """
    known: dict[str, list[int]] = {}

    def ids(text: str) -> list[int]:
        if text not in known:
            known[text] = reader.tokenizer.encode(f"{text}\n", add_special_tokens=False)
        return known[text]

    count = reader.tokens.num_context_tokens
    found = []
    for sample in samples:
        steps = sample.attributes.get(STEPS)
        if not isinstance(steps, (list, tuple)) or not steps or not all(map(_is_text, steps)):
            raise UsageError(
                f"Sample {sample.id!r} has no `steps` of reasoning, which w_steps, w_distill and "
                "curriculum learn from; storybook's levels `appraisal` and `tales` have them."
            )
        if count and len(steps) > count:
            raise UsageError(
                f"Sample {sample.id!r} has {len(steps)} steps, and the chain {count} context "
                f"tokens: set latents.num_context_tokens={len(steps)} or more."
            )
        found.append(tuple(ids(step) for step in steps))
    if order is not None:
        found = [found[row] for row in order]
    return StepTexts(tuple(found), count, reader.end_token, reader.tokens.after in WITHIN)


def latents_at(step: int, steps: int, share: float, count: int) -> int:
    """Return how many of K context tokens are latent at a training step of a curriculum.

    From 0 on, one more after each equal part of the first `share` of the steps; then all.
    """
    last = share * steps
    return count if step >= last else int(count * step / last)


def padded(rows: Sequence[list[int]], filler: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows as tokens and labels (B, R), padded at the end; labels are -100 there."""
    longest = max(map(len, rows))
    tokens = torch.full((len(rows), longest), filler)
    labels = torch.full((len(rows), longest), IGNORE)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = labels[i, : len(row)] = torch.tensor(row)
    return tokens, labels


def _is_text(step: object) -> bool:
    return isinstance(step, str) and bool(step)
