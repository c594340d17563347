"""Conversations of one turn each, many in one row: the question is read once for all of them.

A short comment has fewer tokens than the question before it, and rows of unlike length are padded.
Here the tokens that all rows begin with are read once, and each rest sees them and itself only, at
the places where it stands in a row of its own: the latents are those of `turns`, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import torch

from emosym.models.chat import ChatModel
from emosym.models.reader.prefix import (
    Prefix,
    body,
    prefill_cache,
    sees,
    splits,
    text_config,
)
from emosym.models.reader.prefix_cache import PrefixIsRead
from emosym.models.reader.reasoner import EmotionReasoner
from emosym.models.reader.turns import TurnLatents, Turns, think_turns
from emosym.types import Sample

TOKENS = 1024  # of a row: attention grows with its square
MASKED = ("sdpa", "eager")  # kinds of attention that take any mask


def can_pack(chat: ChatModel, samples: Sequence[Sample]) -> bool:
    """Return whether conversations can be read in one row: one turn each, of a model of words."""
    backbone = chat.backbone
    attends = getattr(text_config(backbone), "_attn_implementation", None)
    return (
        len(samples) > 1
        and all(len(sample.turns) == 1 and not sample.images for sample in samples)
        and not sees(backbone)
        and splits(backbone)
        and attends in MASKED
    )


def think_alone(reasoner: EmotionReasoner, rows: Sequence[list[int]]) -> TurnLatents:
    """Return the latents (B, 1, H), (B, 1, K, H) of rows of tokens, each as if it were alone."""
    found = [think_turns(reasoner, read_packed(reasoner, some)) for some in packs(rows)]
    return TurnLatents(
        torch.cat([one.emotion[0] for one in found])[:, None],
        torch.cat([one.context[0] for one in found])[:, None],
    )


def packs(rows: Sequence[list[int]]) -> Iterator[list[list[int]]]:
    """Yield rows, in order, in packs of up to TOKENS tokens."""
    some: list[list[int]] = []
    for row in rows:
        if some and sum(map(len, some)) + len(row) > TOKENS:
            yield some
            some = []
        some.append(row)
    if some:
        yield some


def read_packed(reasoner: EmotionReasoner, rows: Sequence[list[int]]) -> Turns:
    """Read rows as one row, what they all begin with once; its turns (1, N) are their ends."""
    shared = min(map(len, rows)) - 1  # of a row that is the beginning of all, its end is not
    while any(row[:shared] != rows[0][:shared] for row in rows):
        shared -= 1
    rests, device = [row[shared:] for row in rows], reasoner.device
    ids = torch.tensor([[*rows[0][:shared], *(token for rest in rests for token in rest)]])
    owner = torch.tensor([-1] * shared + [i for i, rest in enumerate(rests) for _ in rest])
    after = [shared + place for rest in rests for place in range(len(rest))]
    places = torch.tensor([*range(shared), *after])
    numbers = torch.arange(len(rows))
    until = (owner < 0) | (owner == numbers[:, None])  # (N, P)
    mine = (owner < 0) | (owner == owner[:, None])  # (P, P)
    prefix = _prefill(reasoner, ids.to(device), mine.tril().to(device), places.to(device)[None])
    ends = torch.tensor([[len(row) for row in rows]], device=device)
    there = torch.ones(1, len(rows), dtype=torch.bool, device=device)
    return Turns(prefix, there, until.to(device)[None], ends)


def _prefill(
    reasoner: EmotionReasoner, ids: torch.Tensor, seen: torch.Tensor, places: torch.Tensor
) -> Prefix:
    """Run one row (1, P) of which token t sees `seen[t]`; as `prefix.prefill`."""
    backbone, kind = reasoner.backbone, ids.device.type
    table = backbone.get_input_embeddings().weight  # type: ignore[operator]
    by = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else table.dtype
    mask = torch.zeros(seen.shape, dtype=by, device=ids.device)
    mask = mask.masked_fill(~seen, torch.finfo(by).min)
    cache = prefill_cache(backbone)
    with suppress(PrefixIsRead):
        body(backbone)(
            input_ids=ids,
            attention_mask=mask[None, None],
            position_ids=places,
            past_key_values=cache,
            use_cache=True,
        )
    whole = torch.ones_like(ids, dtype=torch.bool)
    return Prefix(
        tuple(layer.keys for layer in cache.layers),
        tuple(layer.values for layer in cache.layers),
        whole,
        places.amax(dim=1) + 1,
    )
