"""Every sample of a feed read once with the current model: logits and latents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from emosym.models.reader.reasoner import think
from emosym.processes import Processes
from emosym.training.stages.feed import Feed
from emosym.training.stages.prefix_store import PrefixStore


@dataclass(frozen=True, slots=True)
class Readings:
    """logits (N, C), emotion latents (N, H) and context latents (N, K, H) of a feed, fp32."""

    logits: torch.Tensor
    emotion: torch.Tensor
    context: torch.Tensor


@torch.no_grad()
def read_all(
    feed: Feed, batch_size: int = 64, store: PrefixStore | None = None, bf16: bool = False
) -> Readings:
    """Read every sample of a feed with the current model, in evaluation mode.

    Several processes share the batches, and all of them get all readings.
    `bf16` computes as training does, for references that training compares itself to.
    """
    reasoner = feed.reader.reasoner
    training = reasoner.training
    reasoner.eval()
    processes, tokens = Processes(), reasoner.latent_tokens
    stretches = processes.stretches(len(feed), batch_size)
    first, last = stretches[processes.rank]
    width, steps = tokens.emotion_embed.shape[1], tokens.num_context_tokens
    logits = [torch.empty(0, feed.targets.shape[1])]  # a process may have nothing to read
    emotion, context = [torch.empty(0, width)], [torch.empty(0, steps, width)]
    source = store or feed
    batches = [
        np.arange(start, min(start + batch_size, last)) for start in range(first, last, batch_size)
    ]
    for number, rows in enumerate(batches):
        if store is None:
            feed.want(batches[number + 1] if number + 1 < len(batches) else rows[:0])
        with torch.autocast(reasoner.device.type, dtype=torch.bfloat16, enabled=bf16):
            thought = think(reasoner, source.prefix(rows))
            scores = reasoner.logits(thought.emotion_latent, feed.reader.space)
        logits.append(scores.cpu())
        emotion.append(thought.emotion_latent.float().cpu())
        context.append(thought.context_latents.float().cpu())
    reasoner.train(training)
    counts = [stop - start for start, stop in stretches]
    own = (torch.cat(parts) for parts in (logits, emotion, context))
    return Readings(*(processes.join(rows, counts) for rows in own))
