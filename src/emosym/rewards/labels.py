"""Rewards of every answer a classifier could give, at once: exact expectations, no sampling.

A table is float32 (C, C): row = truth, column = answer. A label reward is
`f(probabilities (B, C), truth (B,), space) -> (B, C)`: the reward of each possible answer.
The confidence log score is a text reward only: over answers y with c = p_y it would pay an unlikely
wrong answer more than a right one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from emosym.emotions import LabelSpace
from emosym.errors import UsageError, unknown_name
from emosym.rewards.nearness import vad_nearness

LabelReward = Callable[[Tensor, Tensor, LabelSpace], Tensor]
BLEND_CORRECT = 0.3
BLEND_PROBABILITY = 0.7
LARGEST_WEIGHT = 1e6  # sums of larger ones are rounded, or overflow


def accuracy_table(space: LabelSpace) -> Tensor:
    """Return (C, C): 1 where the answer is the truth, else 0."""
    return torch.eye(len(space))


def polarity_table(space: LabelSpace) -> Tensor:
    """Return (C, C): 1 where *only* the polarity is right, else 0 (0 for the truth itself).

    It adds to `accuracy` and must weigh less; alone it would pay for wrong labels. Raises
    UsageError where the polarity of a label is unknown.
    """
    kinds = [space.polarity(label) for label in space.labels]
    if None in kinds:
        unknown = space.labels[kinds.index(None)]
        raise UsageError(
            f"The reward 'polarity' needs the polarity of each label; that of {unknown!r} "
            f"({space.name}) is unknown. Give it (data.polarity), or leave the reward out."
        )
    same = torch.tensor([[float(one == other) for other in kinds] for one in kinds])  # (C, C)
    return same - torch.eye(len(space))


def vad_table(space: LabelSpace) -> Tensor:
    """Return (C, C): 1 - ||vad(answer) - vad(truth)|| / largest distance in the space, 0..1.

    Raises:
        UsageError: when a word of the space has no valence/arousal/dominance norm.
    """
    return torch.tensor(vad_nearness(space), dtype=torch.float64).float()


def _checked(probabilities: Tensor, truth: Tensor, space: LabelSpace) -> None:
    size = len(space)
    if probabilities.ndim != 2 or probabilities.shape[1] != size:
        raise UsageError(
            f"Probabilities must be (B, {size}) for {space.name}, got {tuple(probabilities.shape)}."
        )
    if truth.shape != probabilities.shape[:1]:
        raise UsageError(
            f"Truth {tuple(truth.shape)} does not fit probabilities {tuple(probabilities.shape)}."
        )
    if truth.is_floating_point() or truth.dtype == torch.bool:
        raise UsageError(f"Truth must hold class indices, got {truth.dtype}.")
    if truth.numel() and not 0 <= int(truth.min()) <= int(truth.max()) < size:
        raise UsageError(f"Truth holds an index outside 0..{size - 1} of {space.name}.")
    if not bool(torch.isfinite(probabilities).all()):
        raise UsageError("Probabilities contain NaN or infinite values.")


def _looked_up(
    table: Callable[[LabelSpace], Tensor], probabilities: Tensor, truth: Tensor, space: LabelSpace
) -> Tensor:
    _checked(probabilities, truth, space)
    return table(space).to(probabilities)[truth]  # (B, C)


def accuracy(probabilities: Tensor, truth: Tensor, space: LabelSpace) -> Tensor:
    """Return (B, C): 1 for the true label, else 0."""
    return _looked_up(accuracy_table, probabilities, truth, space)


def polarity(probabilities: Tensor, truth: Tensor, space: LabelSpace) -> Tensor:
    """Return (B, C): 1 for the other labels of the true polarity, else 0."""
    return _looked_up(polarity_table, probabilities, truth, space)


def vad(probabilities: Tensor, truth: Tensor, space: LabelSpace) -> Tensor:
    """Return (B, C): nearness in valence/arousal/dominance, 0 (farthest pair) .. 1 (truth)."""
    return _looked_up(vad_table, probabilities, truth, space)


def parity_blend(probabilities: Tensor, truth: Tensor, space: LabelSpace) -> Tensor:
    """Return (B, C): EmoSym's published r = 0.3 * 1[correct] + 0.7 * p_y, 0..1.

    Differentiable in the probabilities; detach them for a reward that is a constant.
    """
    right = accuracy(probabilities, truth, space)
    return BLEND_CORRECT * right + BLEND_PROBABILITY * probabilities


LABEL_REWARDS: dict[str, LabelReward] = {
    "accuracy": accuracy,
    "polarity": polarity,
    "vad": vad,
    "parity_blend": parity_blend,
}


def parity_beta(kl: float) -> float:
    """Return the published KL weight: .1, but .05 above a KL of .5 and .2 below .1.

    It falls as the policy drifts away, the wrong way round; `parity` runs only.

    Raises:
        UsageError: for a NaN.
    """
    if kl != kl:
        raise UsageError("The KL divergence is NaN.")
    if kl > 0.5:
        return 0.05
    return 0.2 if kl < 0.1 else 0.1


def check_weights(weights: Mapping[str, float], valid: Mapping[str, object]) -> None:
    """Check named reward weights before a run.

    Raises:
        UsageError: for no reward, an unknown name (names the nearest), a weight that is not
            finite or too large, or polarity weighing as much as accuracy or more.
    """
    if not weights:
        raise UsageError(f"No reward is named. Valid: {', '.join(valid)}.")
    for name, weight in weights.items():
        if name not in valid:
            raise unknown_name("reward", name, valid)
        if not abs(weight) <= LARGEST_WEIGHT:
            raise UsageError(
                f"The weight of reward {name!r} must be finite and at most {LARGEST_WEIGHT:,.0f} "
                f"in size, got {weight}."
            )
    if weights.get("polarity", 0.0) > 0.0 and weights["polarity"] >= weights.get("accuracy", 0.0):
        raise UsageError(
            "The reward 'polarity' pays for wrong labels of the right polarity: it must weigh "
            "less than 'accuracy'."
        )


def combined_reward(
    weights: Mapping[str, float], probabilities: Tensor, truth: Tensor, space: LabelSpace
) -> Tensor:
    """Return (B, C): the weighted sum of the named label rewards.

    Raises:
        UsageError: see `check_weights`; shape mismatch, NaN, or truth outside the space.
    """
    check_weights(weights, LABEL_REWARDS)
    parts = [w * LABEL_REWARDS[name](probabilities, truth, space) for name, w in weights.items()]
    return torch.stack(parts).sum(dim=0)
