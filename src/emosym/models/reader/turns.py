"""A whole conversation in one pass: [CTX] x K and [EMO] after every turn.

The words of all turns are read once, as one prefix. After the end of each turn a branch of latent
tokens leaves it: it sees the turns until then and its own tokens, and no word or other branch sees
it. So the latents of a turn are those that `reasoner.think` gives for the conversation cut there,
whatever is said later, and a dialogue of N turns costs its words once instead of N times.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from emosym.models.reader.prefix import (
    Prefix,
    extend,
    open_cache,
    prefill,
    rotary_positions,
)
from emosym.models.reader.reasoner import EmotionReasoner


@dataclass(frozen=True, slots=True)
class Turns:
    """Conversations that were read, and where their turns end.

    `there` (B, N) bool says which turns there are; `until` (B, N, P) bool which columns of the
    prefix belong to a turn and what came before it: all of its row where no turn is, since
    attention over nothing has no value. `positions` (B, N) is where what follows each end stands.
    """

    prefix: Prefix
    there: torch.Tensor
    until: torch.Tensor
    positions: torch.Tensor


@dataclass(frozen=True, slots=True)
class TurnLatents:
    """Emotion latents (B, N, H) and context latents (B, N, K, H); arbitrary where no turn is."""

    emotion: torch.Tensor
    context: torch.Tensor


def read_turns(
    reasoner: EmotionReasoner, inputs: dict[str, torch.Tensor], ends: torch.Tensor
) -> Turns:
    """Read the words and pictures of conversations once; `inputs`, `ends` as `render_turns` gives.

    Raises:
        UsageError: when a layer of the model sees fewer tokens at once than a conversation has.
    """
    prefix = prefill(reasoner.backbone, inputs)
    places = rotary_positions(reasoner.backbone, inputs)
    flat = places if places.ndim == 2 else places.amax(dim=0)  # (B, P)
    last = flat.masked_fill(~prefix.mask, -1).cummax(dim=1).values
    there, columns = ends >= 0, torch.arange(prefix.mask.shape[1], device=ends.device)
    whole = ends.masked_fill(~there, len(columns))
    until = (columns <= whole[..., None]) & prefix.mask[:, None]  # (B, N, P)
    return Turns(prefix, there, until, last.gather(1, ends.clamp(min=0)) + 1)


def think_turns(reasoner: EmotionReasoner, turns: Turns) -> TurnLatents:
    """Append [CTX] x K and [EMO] after every turn and return their last hidden states.

    As `reasoner.think`: where recurrent each latent is fed back to the next token of its branch.
    """
    tokens, (batch, count) = reasoner.latent_tokens, turns.there.shape
    steps, cache, until = tokens.num_context_tokens, open_cache(turns.prefix), turns.until
    device, start = until.device, turns.positions.new_zeros(batch)
    alone = torch.eye(count, dtype=torch.bool, device=device)
    if not tokens.recurrent:  # nothing is fed back: all in one call, the steps of a branch together
        both = torch.cat([tokens.context_inputs(), tokens.emotion_embed])  # (K + 1, H)
        width = steps + 1
        causal = torch.ones(width, width, dtype=torch.bool, device=device).tril()
        places = turns.positions[..., None] + torch.arange(width, device=device)
        hidden = extend(
            reasoner.backbone,
            both.repeat(count, 1).expand(batch, -1, -1),
            cache,
            until.repeat_interleave(width, dim=1),
            start,
            within=torch.block_diag(*[causal] * count).bool(),
            offsets=places.flatten(1),
        ).unflatten(1, (count, width))  # (B, N, K + 1, H)
        return TurnLatents(hidden[:, :, -1], hidden[:, :, :-1])
    latents: list[torch.Tensor] = []
    embeds = [*tokens.context_inputs(), tokens.emotion_embed[0]]
    for k, embed in enumerate(embeds):
        step = embed.expand(batch, count, -1)
        if k:
            step = step + tokens.fed_back(latents[-1])
        seen = torch.cat([until, *[alone.expand(batch, -1, -1)] * k], dim=2)  # (B, N, P + k N)
        places = turns.positions + k
        latents.append(
            extend(reasoner.backbone, step, cache, seen, start, within=alone, offsets=places)
        )
    return TurnLatents(latents[-1], torch.stack(latents[:-1], dim=2))
