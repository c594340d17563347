"""The objectives of stage 2, from tensors to losses.

`expected` is the exact policy gradient over the few labels. Over a fixed label set it equals a
supervised surrogate, and the expected reward alone only sharpens; hence the proper score.
`grpo` treats the recurrent context latents as actions. `parity` is the published blend.
`supervised` is the control of every reward: as many steps on the labels themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from emosym.rewards.labels import BLEND_CORRECT, BLEND_PROBABILITY, parity_beta
from emosym.training.stages.losses import brier_loss, kl_to_reference, label_loss

Losses = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class LabelBatch:
    """What is read of a batch: logits, targets (votes or one-hot), reference logits; all (B, C).

    `truth` (B,) are class indices.
    """

    logits: torch.Tensor
    targets: torch.Tensor
    truth: torch.Tensor
    reference: torch.Tensor


@dataclass(frozen=True, slots=True)
class GroupScores:
    """How B groups of G actions did, flat (B G,).

    `ratio` is the policy's probability of each action over that of the policy which drew it.
    """

    ratio: torch.Tensor
    advantages: torch.Tensor
    rewards: torch.Tensor


def supervised(batch: LabelBatch) -> Losses:
    """Return the labels' cross-entropy, and the KL to the reference beside it."""
    loss = label_loss(batch.logits, batch.targets)
    return {"loss": loss, "kl": kl_to_reference(batch.logits, batch.reference)}


def expected(batch: LabelBatch, rewards: torch.Tensor, proper_weight: float, beta: float) -> Losses:
    """Return -E_p[r] + proper_weight * Brier + beta * KL(p || reference); rewards are (B, C)."""
    gain = (batch.logits.softmax(-1) * rewards).sum(-1).mean()
    brier = brier_loss(batch.logits, batch.targets)
    kl = kl_to_reference(batch.logits, batch.reference)
    loss = -gain + proper_weight * brier + beta * kl
    return {"loss": loss, "reward": gain, "brier": brier, "kl": kl}


def parity(batch: LabelBatch) -> Losses:
    """Return the published loss: CE - mean(r p_y) + beta KL, with the blend reward and its beta.

    The blend is .3 * correct + .7 * p_y; beta is .1, .05 where KL > .5, .2 where KL < .1: it falls
    as KL rises, as published.
    """
    one_hot = torch.nn.functional.one_hot(batch.truth, batch.logits.shape[1]).float()
    chosen = batch.logits.softmax(-1).gather(1, batch.truth[:, None])[:, 0]  # p_y (B,)
    correct = (batch.logits.argmax(-1) == batch.truth).float()
    blend = BLEND_CORRECT * correct + BLEND_PROBABILITY * chosen
    kl = kl_to_reference(batch.logits, batch.reference)
    gain = (blend.detach() * chosen).mean()
    loss = label_loss(batch.logits, one_hot) - gain + parity_beta(float(kl.detach())) * kl
    return {"loss": loss, "reward": gain, "kl": kl}


def grpo(
    batch: LabelBatch, scores: GroupScores, clip: float, proper_weight: float, beta: float
) -> Losses:
    """Return -mean(min(ratio A, clipped ratio A)) + proper_weight * Brier + beta * KL.

    The ratio is clipped to 1 - clip .. 1 + clip. Brier score and KL are of the policy without
    noise.
    """
    clipped = scores.ratio.clamp(1 - clip, 1 + clip)
    gain = torch.minimum(scores.ratio * scores.advantages, clipped * scores.advantages)  # (B G,)
    kl = kl_to_reference(batch.logits, batch.reference)
    brier = brier_loss(batch.logits, batch.targets)
    loss = -gain.mean() + proper_weight * brier + beta * kl
    return {
        "loss": loss,
        "reward": scores.rewards.mean(),
        "ratio": scores.ratio.mean(),
        "brier": brier,
        "kl": kl,
    }


def group_advantages(rewards: torch.Tensor, group_size: int) -> torch.Tensor:
    """Return (r - mean) / (std + 1e-4) within consecutive groups; rewards and result (B G,)."""
    grouped = rewards.view(-1, group_size)
    centred = grouped - grouped.mean(dim=1, keepdim=True)
    return (centred / (grouped.std(dim=1, keepdim=True) + 1e-4)).flatten()
