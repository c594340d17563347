"""Steps of reasoning in words beside the latent ones: what each says, and what is spoken instead.

`step_loss` lets every latent say its own step and nothing else. `think_aloud` speaks steps where
`reasoner.think` has latents: the whole rationale (a teacher for the latents), or what is left of
it after the first few latents (a curriculum).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from emosym.models.reader.prefix import Prefix, extend, grow, next_logits, open_cache
from emosym.models.reader.prefix_cache import fork
from emosym.models.reader.reasoner import EmotionReasoner, Thought

IGNORE = -100


def step_loss(
    reasoner: EmotionReasoner,
    thought: Thought,
    tokens: torch.Tensor,
    labels: torch.Tensor,
    start_token: int,
) -> torch.Tensor:
    """Return the mean next-token loss of steps, each spoken after its own latent.

    `tokens`, `labels` (B, K, R), labels -100 where ignored. Step k sees latent k and its own words:
    no other latent, not [EMO], and nothing of the prefix. All steps share one call.
    """
    _, count, length = tokens.shape
    begin = torch.full_like(tokens[..., :1], start_token)
    shifted = torch.cat([begin, tokens[..., :-1]], dim=2).flatten(1)  # (B, K R)
    embeds = reasoner.backbone.get_input_embeddings()(shifted)  # type: ignore[operator]
    hidden = extend(
        reasoner.backbone,
        embeds,
        fork(thought.cache),
        step_mask(thought, count, length),
        thought.next_position - count - 1,  # where the first latent stands
        within=step_blocks(count, length, tokens.device),
        offsets=step_offsets(thought, count, length),
    )
    spoken = labels.flatten(1)
    wanted = spoken != IGNORE
    logits = next_logits(reasoner.backbone, hidden[wanted])
    return nn.functional.cross_entropy(logits.float(), spoken[wanted])


def word_loss(
    reasoner: EmotionReasoner, states: torch.Tensor, told: Sequence[Sequence[list[int]]]
) -> torch.Tensor:
    """Return how far states (B, S, H) are from naming the words of their texts; a scalar >= 0.

    `told` (B, S) are the token ids of each state's text. Through the output layer alone, whatever
    their order, each distinct token is to be as likely as the others: cross-entropy to that
    distribution less its entropy, mean over states and rows. Spoken words can be worked out by
    whoever reads the latents; these must have been worked out where the state was made.
    """
    said = next_logits(reasoner.backbone, states).float().log_softmax(dim=-1)  # (B, S, V)
    wanted = torch.zeros_like(said)
    for row, texts in enumerate(told):
        for place, ids in enumerate(texts):
            distinct = sorted(set(ids))
            wanted[row, place, distinct] = 1.0 / max(len(distinct), 1)
    return (torch.special.xlogy(wanted, wanted) - wanted * said).sum(dim=-1).mean()


def apart(thought: Thought) -> Thought:
    """Return a thought whose cache may grow without the other's growing with it."""
    return replace(thought, cache=fork(thought.cache))


def step_mask(thought: Thought, count: int, length: int) -> torch.Tensor:
    """Return what K steps of R tokens see of what was read, (B, K R, S): each its own latent."""
    batch, width = thought.mask.shape
    seen = torch.zeros(batch, count, length, width, dtype=torch.bool, device=thought.mask.device)
    for k in range(count):
        seen[:, k, :, thought.prefix_length + k] = True
    return seen.flatten(1, 2)


def step_blocks(count: int, length: int, device: torch.device) -> torch.Tensor:
    """Return what the tokens of K steps see of each other, (K R, K R): their own step's."""
    causal = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    return torch.block_diag(*[causal] * count).bool()


def step_offsets(thought: Thought, count: int, length: int) -> torch.Tensor:
    """Return where the tokens of K steps stand, each after its own latent, (K R,) or (B, K R).

    They are counted from where the first latent would stand after the prompt.
    """
    device = thought.next_position.device
    words = torch.arange(1, length + 1, device=device)
    if thought.places is None:
        return (torch.arange(count, device=device)[:, None] + words).flatten()
    start = thought.next_position - count - 1  # (B,)
    return ((thought.places - start[:, None])[..., None] + words).flatten(1)


@dataclass(frozen=True, slots=True)
class Aloud:
    """An emotion latent (B, H) after spoken steps, and the mean loss of the words spoken."""

    emotion_latent: torch.Tensor
    say: torch.Tensor


def think_aloud(
    reasoner: EmotionReasoner,
    prefix: Prefix,
    tokens: torch.Tensor,
    labels: torch.Tensor,
    start_token: int,
    latents: int = 0,
) -> Aloud:
    """Read on with the first `latents` context tokens, then words, then [EMO].

    `tokens`, `labels` (B, R) are the words; labels are -100 where padded, and what is padded is
    seen by nothing.
    """
    own, batch = reasoner.latent_tokens, len(prefix.next_position)
    cache, mask, position = open_cache(prefix), prefix.mask, prefix.next_position
    emotion_embed = own.emotion_embed.expand(batch, -1, -1)  # (B, 1, H)
    last: torch.Tensor | None = None
    for k in range(latents):
        step = own.context_inputs()[k : k + 1].expand(batch, -1, -1)
        if own.recurrent and last is not None:
            step = step + own.fed_back(last)
        last = extend(reasoner.backbone, step, cache, mask, position + k)
        mask = grow(mask, 1)
    if own.recurrent and last is not None:
        emotion_embed = emotion_embed + own.fed_back(last)
    spoken = labels != IGNORE  # (B, R)
    begin = torch.full_like(tokens[:, :1], start_token)
    shifted = torch.cat([begin, tokens], dim=1)  # (B, R + 1): the start, then every word
    embeds = reasoner.backbone.get_input_embeddings()(shifted)  # type: ignore[operator]
    hidden = extend(reasoner.backbone, embeds, cache, mask, position + latents)
    logits = next_logits(reasoner.backbone, hidden[:, :-1][spoken])
    said = nn.functional.cross_entropy(logits.float(), labels[spoken])
    mask = torch.cat([mask, torch.ones_like(spoken[:, :1]), spoken], dim=1)
    place = position + latents + 1 + spoken.sum(dim=1)
    emotion = extend(reasoner.backbone, emotion_embed, cache, mask, place)
    return Aloud(emotion[:, 0], said)
