"""Several data sets in one run, each answered by the head of its own label space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from emosym.models.reader.reader import Reader
from emosym.models.reader.reasoner import EmotionReasoner
from emosym.training.stages.feed import Feed, Stretch, loose_feed
from emosym.training.stages.losses import label_loss


def join_feeds(reader: Reader, feeds: Sequence[Feed], workers: int = 2) -> Feed:
    """Return one feed over the rows of several feeds, one after another.

    Its targets (N, C) are as wide as the largest space, with zeros behind a row's own labels. Its
    truth (N,) counts the labels of all spaces through. Vision features are kept where all have
    them; else every sample is decoded when it is needed.
    """
    width = max(feed.targets.shape[1] for feed in feeds)
    wide = [torch.nn.functional.pad(f.targets, (0, width - f.targets.shape[1])) for f in feeds]
    stretches: list[Stretch] = []
    truth: list[np.ndarray] = []
    start = labels = 0
    for feed in feeds:
        (own,) = feed.parts()
        stretches.append(replace(own, first=start, stop=start + len(feed)))
        truth.append(feed.truth + labels)
        start, labels = start + len(feed), labels + len(own.space)
    samples = [sample for feed in feeds for sample in feed.samples]
    targets, classes = torch.cat(wide), np.concatenate(truth)
    bare = [feed for feed in feeds if feed.rows is None]  # pictures without words beside them
    features = [feed.features for feed in bare if feed.features is not None]
    pictures = [feed.pictures for feed in feeds if feed.pictures is not None]
    if len(features) == len(pictures) == len(feeds):
        shown = np.concatenate(pictures), torch.cat(features)
        return Feed(reader, tuple(samples), targets, classes, *shown, stretches=tuple(stretches))
    loose = loose_feed(reader, samples, targets, workers)
    return replace(loose, truth=classes, stretches=tuple(stretches))


def heads_loss(
    reasoner: EmotionReasoner,
    feed: Feed,
    latents: torch.Tensor,
    indices: np.ndarray,
    whole: Callable[[torch.Tensor], torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean over a batch of each row's loss at its own head, and the accuracy.

    `latents` (b, H) are those of this process, `indices` (B,) the rows of the whole batch; `whole`
    gathers (b, C) to (B, C). A head learns from no row of another label space.
    """
    rows = torch.from_numpy(indices)
    losses, right = [], []
    for part in feed.parts():
        logits = whole(reasoner.logits(latents, part.space))  # (B, C)
        targets = feed.targets[rows, : len(part.space)].to(logits.device)
        own = ((rows >= part.first) & (rows < part.stop)).to(logits.device)  # (B,)
        count = int(own.sum())
        if count < len(rows):
            logits, targets = logits[own], targets[own]
        right.append((logits.argmax(-1) == targets.argmax(-1)).sum())
        # without a row of it a head still gets gradients, of 0, in every process
        losses.append(label_loss(logits, targets) * (count / len(rows)) if count else logits.sum())
    return torch.stack(losses).sum(), torch.stack(right).sum().float() / len(rows)
