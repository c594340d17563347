"""Train the anatomy on the pictures of some themes, and read those of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from emosym.models.chat import ChatModel
from emosym.models.reader.prefix import Prefix
from emosym.studies.photo_anatomy.network import (
    Network,
    build_network,
    gaussian_loss,
    latents_of,
    rate,
)
from emosym.training.loop.loop import LoopSettings, run_loop
from emosym.training.loop.optim import build_optimizers, cosine
from emosym.training.stages.losses import info_nce

AT_ONCE = 64  # pictures that are read at once
ARMS = ("aligned", "not aligned", "no language model")
SHIPPED = "kernel"


@dataclass(frozen=True, slots=True)
class Settings:
    """How the anatomy is trained, the same in every fold and arm.

    `context` is the number of [CTX] tokens, `dropout` the share of features that a step does not
    see, `align` the weight of the contrast between [CTX] and the words of themes.
    """

    folds: int = 3
    steps: int = 60
    batch_size: int = 16
    lr: float = 3e-4
    weight_decay: float = 0.1
    context: int = 1
    dropout: float = 0.1
    align: float = 0.5


@dataclass(frozen=True, slots=True)
class Photographs:
    """Features (n, d) by block, each of mean 0 and deviation 1; ratings (n, 2); themes (n,).

    `words` (n, D) are unit embeddings of the words of each picture's theme.
    """

    blocks: tuple[torch.Tensor, ...]
    ratings: np.ndarray
    themes: np.ndarray
    words: torch.Tensor


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of left-out pictures: means and deviations (m, 2), as people rate."""

    mean: np.ndarray
    deviation: np.ndarray


def train_and_read(
    chat: ChatModel,
    prompt: Prefix,
    photographs: Photographs,
    held: np.ndarray,
    arm: str,
    settings: Settings,
    seed: int,
) -> Told:
    """Train an arm on the pictures that are not `held` (n,), and read those that are."""
    rows = np.flatnonzero(~held)
    sizes = [block.shape[1] for block in photographs.blocks]
    bare = arm == ARMS[2]
    network = build_network(chat, None if bare else prompt, sizes, settings.context, seed)
    truth = photographs.ratings[rows]
    centre, spread = truth.mean(axis=0), truth.std(axis=0)
    wanted = torch.from_numpy((truth - centre) / spread).float()
    _, groups = np.unique(photographs.themes[rows], return_inverse=True)
    words = centred(photographs.words[rows]) if arm == ARMS[0] else None
    network.reasoner.context_projector.requires_grad_(words is not None)

    def losses(step: int, indices: np.ndarray) -> dict[str, torch.Tensor]:
        some = torch.from_numpy(rows[indices])
        blocks = [block[some] for block in photographs.blocks]
        blocks = [nn.functional.dropout(block, settings.dropout) for block in blocks]
        rating = rate(network, blocks)
        rated = gaussian_loss(rating, wanted[indices])
        if words is None or rating.context is None:
            return {"loss": rated}
        aligned = info_nce(
            network.reasoner.context_projector(rating.context),
            words[indices],
            torch.from_numpy(groups[indices]),
            network.reasoner.context_projector.log_scale,
        )
        return {"loss": rated + settings.align * aligned, "rate": rated, "align": aligned}

    settle(network, photographs.blocks, rows)
    fit(network, losses, len(rows), settings, seed)
    return read(network, photographs.blocks, np.flatnonzero(held), centre, spread)


def fit(network: Network, losses: Any, count: int, settings: Settings, seed: int) -> None:
    """Minimise losses on `count` pictures by the loop of all stages."""
    modules: Mapping[str, nn.Module] = network.modules()
    with TemporaryDirectory() as folder:
        run_loop(
            LoopSettings(
                name="photo-anatomy",
                out=Path(folder),
                steps=settings.steps,
                batch_size=min(settings.batch_size, count),
                seed=seed,
                bf16=False,  # the frozen weights are; what is trained stays in fp32
            ),
            modules,
            build_optimizers(modules, settings.lr, settings.weight_decay),
            cosine(),
            count,
            losses,
            progress=False,
        )


@torch.no_grad()
def settle(network: Network, blocks: Sequence[torch.Tensor], rows: np.ndarray) -> None:
    """Let the head make even what an untrained network says of the pictures of training."""
    parts = [rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]
    found = [
        latents_of(network, [block[torch.from_numpy(part)] for block in blocks])[0]
        for part in parts
    ]
    network.head.settle(torch.cat(found))


@torch.no_grad()
def read(
    network: Network,
    blocks: Sequence[torch.Tensor],
    rows: np.ndarray,
    centre: np.ndarray,
    spread: np.ndarray,
) -> Told:
    """Read pictures `rows` (m,); `centre` and `spread` (2,) are of the ratings in training."""
    means, deviations = [], []
    for start in range(0, len(rows), AT_ONCE):
        some = torch.from_numpy(rows[start : start + AT_ONCE])
        rating = rate(network, [block[some] for block in blocks])
        means.append(rating.mean.double().numpy())
        deviations.append(rating.log_deviation.double().exp().numpy())
    return Told(np.concatenate(means) * spread + centre, np.concatenate(deviations) * spread)


def centred(words: torch.Tensor) -> torch.Tensor:
    """Return unit vectors (m, D) from the mean of all, which embeddings of words share."""
    return nn.functional.normalize(words - words.mean(dim=0), dim=-1)
