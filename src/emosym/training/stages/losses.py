"""Losses of the stages, as pure functions of tensors."""

from __future__ import annotations

import torch
from torch import nn

PUBLISHED_TEMPERATURE = 0.07
HEAVIEST = 10.0  # weight of a rare label where it is true


def label_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return KL(targets || softmax(logits)) averaged over the batch; both (B, C).

    For one-hot targets this is the cross-entropy, for votes their divergence.
    """
    log_probabilities = logits.float().log_softmax(dim=-1)
    entropy = torch.special.entr(targets).sum(dim=-1)  # (B,)
    return (-(targets * log_probabilities).sum(dim=-1) - entropy).mean()


def info_nce(
    queries: torch.Tensor,
    texts: torch.Tensor,
    groups: torch.Tensor,
    log_scale: torch.Tensor,
    symmetric: bool = True,
) -> torch.Tensor:
    """Return InfoNCE between unit vectors (B, D) of pictures and of their texts.

    Pairs of one group (B,) have equal texts: they are no negatives of each other. With
    `symmetric=False` the published form: one direction, logits (1 + cos / .07) / 2.
    """
    cosine = queries.float() @ texts.float().T  # (B, B)
    scores = cosine * log_scale.exp().clamp(max=100.0)
    if not symmetric:
        scores = (1 + cosine / PUBLISHED_TEMPERATURE) / 2
    same = (groups[:, None] == groups[None, :]) & ~torch.eye(
        len(groups), dtype=torch.bool, device=groups.device
    )
    scores = scores.masked_fill(same, float("-inf"))
    truth = torch.arange(len(scores), device=scores.device)
    forward = nn.functional.cross_entropy(scores, truth)
    if not symmetric:
        return forward
    return 0.5 * (forward + nn.functional.cross_entropy(scores.T, truth))


def state_distance(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Return the mean over rows of |student - teacher|^2 / |teacher|^2; both (B, H).

    The teacher gets no gradient.
    """
    aim = teacher.detach().float()
    apart = ((student.float() - aim) ** 2).sum(dim=-1)  # (B,)
    return (apart / (aim**2).sum(dim=-1).clamp(min=1e-6)).mean()


def class_weights(counts: torch.Tensor, power: float) -> torch.Tensor:
    """Return weights (C,) of classes that occur `counts` (C,) times: rarer ones count for more.

    Proportional to counts ** -power, and 1 on average over samples; power 0 leaves all at 1, power
    1 gives every class the same sum. A class that never occurs has weight 0.
    """
    raw = counts.clamp(min=1).double() ** -power * (counts > 0)
    return (raw * counts.sum() / (raw * counts).sum()).float()


def weighted_cross_entropy(
    logits: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor, focus: float = 0.0
) -> torch.Tensor:
    """Return w_y (1 - p_y) ** focus (-ln p_y) of each sample (M,); logits (M, C), truth (M,).

    `focus` above 0 is the focal loss (Lin et al. 2017): what is sure already counts for less.
    """
    own = logits.float().log_softmax(dim=-1).gather(1, truth[:, None])[:, 0]  # ln p_y, (M,)
    losses = -own if not focus else -own * (1 - own.exp()) ** focus
    return weights[truth] * losses


def label_weights(counts: torch.Tensor, samples: int, power: float) -> torch.Tensor:
    """Return weights (C,) of labels where they are true: rarer ones count for more.

    (false / true) ** power of `counts` (C,) true ones among `samples`, within 1..HEAVIEST; power 0
    leaves all at 1. A label that is never true has weight 1: it is learned to be false.
    """
    true = counts.double()
    raw = ((samples - true) / true.clamp(min=1)) ** power
    return raw.where(true > 0, 1.0).clamp(1.0, HEAVIEST).float()


def several_cross_entropy(
    logits: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor, focus: float = 0.0
) -> torch.Tensor:
    """Return the mean over labels of each sample's binary cross-entropy (M,); all else (M, C).

    True labels count `weights` (C,) times; `focus` as in `weighted_cross_entropy`.
    """
    each = nn.functional.binary_cross_entropy_with_logits(
        logits.float(), truth, reduction="none"
    )  # -ln of the probability of what is true
    losses = each if not focus else each * (1 - (-each).exp()) ** focus
    return (torch.where(truth > 0.5, weights, 1.0) * losses).mean(dim=-1)


def kl_to_reference(logits: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Return KL(softmax(logits) || softmax(reference)) averaged over the batch; both (B, C)."""
    current = logits.float().log_softmax(dim=-1)
    frozen = reference.float().log_softmax(dim=-1)
    return (current.exp() * (current - frozen)).sum(dim=-1).mean()


def brier_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the multi-class Brier score sum_c (p_c - t_c)^2, averaged over the batch."""
    probabilities = logits.float().softmax(dim=-1)
    return ((probabilities - targets) ** 2).sum(dim=-1).mean()


def attribute_loss(
    condition: torch.Tensor, texts: torch.Tensor, groups: torch.Tensor, confidence: torch.Tensor
) -> torch.Tensor:
    """Return the attribute loss (EmoGen): conditions must pick out their picture's attribute text.

    `condition`, `texts` (B, D) are pooled text-encoder outputs of the condition prompt and of the
    attribute text; each picture is weighted by its emotion confidence (B,).
    """
    scores = (
        nn.functional.normalize(condition.float(), dim=-1)
        @ nn.functional.normalize(texts.float(), dim=-1).T
    )
    scores = scores / PUBLISHED_TEMPERATURE
    same = (groups[:, None] == groups[None, :]) & ~torch.eye(
        len(groups), dtype=torch.bool, device=groups.device
    )
    scores = scores.masked_fill(same, float("-inf"))
    losses = nn.functional.cross_entropy(
        scores, torch.arange(len(scores), device=scores.device), reduction="none"
    )
    return (confidence * losses).sum() / confidence.sum().clamp(min=1e-6)
