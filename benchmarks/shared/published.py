"""The published training and painting loops, as baselines: their behaviour, none of their code.

What is here is what PARITY.md's left column describes: a second model in memory as the target of
the KL term, its logits computed anew in every step, vision tower and whole prefix run in every
step, dropout left on; and pictures painted one at a time. All else (sizes, tokens, optimizer,
batch) is ours, so that a ratio compares the behaviour and not the sizes.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from emosym.models.reader.prefix import Prefix, prefill
from emosym.models.reader.reader import prepare_inputs
from emosym.models.reader.reasoner import EmotionReasoner, think
from emosym.models.speed import LEAVE_OUT
from emosym.rewards.labels import parity_beta
from emosym.training.stages.feed import Feed
from emosym.training.stages.losses import kl_to_reference, label_loss
from emosym.types import only_picture

Losses = dict[str, torch.Tensor]


@dataclass(frozen=True)
class PublishedRl:
    """The loss of a step, and the models it holds in memory."""

    loss_fn: Callable[[int, np.ndarray], Losses]
    models: tuple[nn.Module, ...]


def library_prefill(backbone: nn.Module, inputs: Mapping[str, torch.Tensor]) -> Prefix:
    """Prefill by the library's whole forward pass, to the end of the last layer."""
    with patch.dict(os.environ, {LEAVE_OUT: "short_prefill"}):
        return prefill(backbone, inputs)


def published_rl(feed: Feed, policy: EmotionReasoner) -> PublishedRl:
    """Build the published step of stage 2 for a policy that is set to train.

    The reference is a copy of the policy. Loss: cross-entropy - mean(r p_y) + beta KL with the
    blend .3 correct + .7 p_y as reward, and the beta that falls as the KL rises.
    """
    reference = copy.deepcopy(policy).requires_grad_(False).eval()
    policy.train()  # dropout stays on
    space = feed.reader.space

    def logits_of(model: EmotionReasoner, indices: np.ndarray) -> torch.Tensor:
        images = [only_picture(feed.samples[i]) for i in indices]
        inputs = prepare_inputs(feed.reader, images)  # type: ignore[arg-type]
        return model.logits(
            think(model, library_prefill(model.backbone, inputs)).emotion_latent, space
        )

    def loss_fn(step: int, indices: np.ndarray) -> Losses:
        logits = logits_of(policy, indices)  # (B, C)
        with torch.no_grad():
            target = logits_of(reference, indices)  # (B, C)
        truth = torch.from_numpy(feed.truth[indices])
        one_hot = feed.targets[torch.from_numpy(indices)]
        chosen = logits.softmax(-1).gather(1, truth[:, None])[:, 0]  # p_y (B,)
        blend = 0.3 * (logits.argmax(-1) == truth).float() + 0.7 * chosen
        kl = kl_to_reference(logits, target)
        gain = (blend.detach() * chosen).mean()
        loss = label_loss(logits, one_hot) - gain + parity_beta(float(kl.detach())) * kl
        return {"loss": loss, "reward": gain, "kl": kl}

    return PublishedRl(loss_fn, (policy, reference))


def bytes_held(modules: Iterable[nn.Module], *tensors: torch.Tensor) -> int:
    """Return the bytes of all distinct parameters and buffers, and of further tensors."""
    held = {
        tensor.data_ptr(): tensor.numel() * tensor.element_size()
        for module in modules
        for tensor in (*module.parameters(), *module.buffers())
    }
    return sum(held.values()) + sum(t.numel() * t.element_size() for t in tensors)
