"""After `m2se`: the pointer to causes alone, on latents that stay, and from where pairs are said.

The pointer starts from nothing, and a conversation has few causes: the steps that teach a language
model's adapter are too few for it, while on latents that were read once a step costs nothing. And
where few pairs are true, a pair is said for the sake of F1 well below a probability of a half.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from emosym.metrics.several import best_thresholds
from emosym.models.emosym_model import EmoSymModel
from emosym.models.reader.pointer import UNKNOWN_EMOTION
from emosym.models.reader.talks import (
    Talk,
    emotional,
    padded_causes,
    padded_labels,
    padded_speakers,
    read_all_turns,
)
from emosym.seeds import numpy_rng, torch_rng
from emosym.training.loop.optim import cosine

log = logging.getLogger(__name__)
ASKED = 7  # one conversation in seven is not learned from: it says from where on a pair is said
BATCH = 16
RATE, DECAY, DROPOUT = 1e-3, 0.1, 0.3


@dataclass(frozen=True, slots=True)
class Latents:
    """Conversations (B) of up to N turns, read: latents (B, N, H), and what is known of turns.

    `labels` and `found` (B, N) are true emotions and those that the head finds; `asked` (B, N) says
    which turns have a cause to find, `there` (B, N) which there are; `causes` (B, N, N).
    """

    latents: torch.Tensor
    labels: torch.Tensor
    found: torch.Tensor
    speakers: torch.Tensor
    asked: torch.Tensor
    there: torch.Tensor
    causes: torch.Tensor

    def rows(self, rows: np.ndarray) -> Latents:
        """Return some of the conversations."""
        chosen = torch.from_numpy(rows)
        return Latents(*(getattr(self, name)[chosen] for name in self.__slots__))


def settle_pointer(model: EmoSymModel, talks: Sequence[Talk], steps: int, seed: int) -> None:
    """Train the pointer for `steps` on training conversations, all else as it is, and set `likely`.

    One in ASKED of them, drawn from the stream (seed, "settle"), is kept to choose `likely` on: the
    probability from which pairs are said has the best F1 there, emotions given.
    """
    pointer = model.reader.reasoner.pointer
    known = [talk for talk in talks if talk.causes is not None]
    if pointer is None or len(known) < 2 * ASKED:
        return
    log.info("The pointer settles: %d conversations are read, then %d steps.", len(known), steps)
    data, rng = read_latents(model, known), numpy_rng(seed, "settle")
    order = rng.permutation(len(known))
    kept, learned = order[: len(order) // ASKED], order[len(order) // ASKED :]
    noise = torch_rng(seed, "settle-dropout")
    pointer.requires_grad_(True)
    optimizer = torch.optim.AdamW(pointer.parameters(), lr=RATE, weight_decay=DECAY)
    factor = cosine(0.0)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * factor(step / steps)
        some = data.rows(rng.choice(learned, min(BATCH, len(learned)), replace=False))
        told = torch.from_numpy(rng.random(len(some.labels)) < 0.5)[:, None]
        mask = torch.rand(some.latents.shape, generator=noise) >= DROPOUT
        latents = some.latents * mask / (1 - DROPOUT)
        logits = pointer(latents, some.labels.where(told, some.found), some.speakers)
        pairs = some.asked[:, :, None] & some.there[:, None]
        loss = nn.functional.binary_cross_entropy_with_logits(
            logits[pairs], some.causes[pairs].float()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pointer.requires_grad_(False)
    chances, truth = chances_of(pointer, data.rows(kept))
    pointer.likely.fill_(float(best_thresholds(chances, truth)[0]))
    log.info("Pairs are said from a probability of %.2f on.", float(pointer.likely))


def read_latents(model: EmoSymModel, talks: Sequence[Talk]) -> Latents:
    """Read conversations whose causes are known with the current model; on its device."""
    reader, device = model.reader, model.reader.reasoner.device
    read = read_all_turns(reader, talks)
    most = max(len(talk.labels) for talk in talks)
    counts = torch.tensor([len(talk.labels) for talk in talks])
    latents = np.stack(
        [np.pad(one.emotion, ((0, most - len(one.emotion)), (0, 0))) for one in read]
    )
    there = torch.arange(most) < counts[:, None]  # (B, N)
    heads = [np.pad(one.logits.argmax(1), (0, most - len(one.logits))) for one in read]
    found = torch.from_numpy(np.stack(heads))
    labels = padded_labels(talks, most)
    return Latents(
        torch.from_numpy(latents).float().to(device),
        labels.to(device),
        found.where(there, found.new_tensor(UNKNOWN_EMOTION)).to(device),
        padded_speakers(talks, most).to(device),
        (emotional(labels, reader.space) & there).to(device),
        there.to(device),
        padded_causes(talks, most)[0].to(device),
    )


@torch.no_grad()
def chances_of(pointer: nn.Module, data: Latents) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability and the truth (M, 1) of every pair that is asked, emotions given."""
    logits = pointer(data.latents, data.labels, data.speakers)
    pairs = data.asked[:, :, None] & data.there[:, None]
    return logits[pairs].sigmoid().cpu().numpy()[:, None], data.causes[pairs].cpu().numpy()[:, None]
