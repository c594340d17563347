"""The objectives of stage 2 on a few numbers: every loss and its gradient by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emosym.training.stages.objectives import (
    GroupScores,
    LabelBatch,
    expected,
    group_advantages,
    grpo,
    parity,
    supervised,
)

SHARES = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])
RIGHT = np.eye(3)[[0, 0]]
# against even shares: .5 ln 1.5 + .5 ln .75, the same in both rows
KL = 0.5 * np.log(1.5) + 0.5 * np.log(0.75)
KL_SLOPE = SHARES * (np.log(3 * SHARES) - KL) / 2


def batch_of(targets: np.ndarray = RIGHT) -> tuple[LabelBatch, torch.Tensor]:
    """Two rows whose truth is the first label, and even shares as reference; also the logits."""
    logits = torch.from_numpy(SHARES).log().requires_grad_(True)
    truth = torch.tensor([0, 0])
    return LabelBatch(logits, torch.from_numpy(targets), truth, torch.zeros(2, 3)), logits


def slope(loss: torch.Tensor, logits: torch.Tensor) -> np.ndarray:
    (found,) = torch.autograd.grad(loss, logits)
    return found.numpy()


def test_supervised_by_hand() -> None:
    batch, logits = batch_of()
    losses = supervised(batch)
    assert set(losses) == {"loss", "kl"}
    assert float(losses["loss"].detach()) == pytest.approx(1.5 * np.log(2))  # of ln 2 and ln 4
    assert float(losses["kl"].detach()) == pytest.approx(KL)
    np.testing.assert_allclose(slope(losses["loss"], logits), (SHARES - RIGHT) / 2, atol=1e-6)


def test_expected_by_hand() -> None:
    batch, logits = batch_of()
    rewards = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]])
    losses = expected(batch, torch.from_numpy(rewards), proper_weight=0.8, beta=0.3)
    assert set(losses) == {"loss", "reward", "brier", "kl"}
    assert float(losses["reward"].detach()) == pytest.approx((0.625 + 0.5) / 2)
    assert float(losses["brier"].detach()) == pytest.approx((0.375 + 0.875) / 2)
    assert float(losses["kl"].detach()) == pytest.approx(KL)
    assert float(losses["loss"].detach()) == pytest.approx(-0.5625 + 0.8 * 0.625 + 0.3 * KL)
    # the exact policy gradient: p (r - E_p[r])
    gain = expected(batch, torch.from_numpy(rewards), proper_weight=0.0, beta=0.0)["loss"]
    means = np.array([[0.625], [0.5]])
    np.testing.assert_allclose(slope(gain, logits), -SHARES * (rewards - means) / 2, atol=1e-6)


def test_parity_by_hand() -> None:
    """Its truth is the label, also where votes differ; neither blend nor beta has a gradient."""
    batch, logits = batch_of(targets=np.full((2, 3), 1 / 3))
    losses = parity(batch)
    assert set(losses) == {"loss", "reward", "kl"}
    # blend .3 + .7 x .5 where the label is on top, .7 x .25 where it is not
    blend, chosen = np.array([0.65, 0.175]), np.array([0.5, 0.25])
    gain = (blend * chosen).mean()
    assert float(losses["reward"].detach()) == pytest.approx(gain)
    assert float(losses["kl"].detach()) == pytest.approx(KL)
    assert KL < 0.1  # and so beta is .2
    assert float(losses["loss"].detach()) == pytest.approx(1.5 * np.log(2) - gain + 0.2 * KL)
    towards = RIGHT - SHARES
    wanted = (-towards - (blend * chosen)[:, None] * towards) / 2 + 0.2 * KL_SLOPE
    np.testing.assert_allclose(slope(losses["loss"], logits), wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("ratio", "advantage", "gain"),
    [
        (1.5, 2.0, 1.2 * 2.0),  # a good action, already more probable: no more than the clip pays
        (1.1, 2.0, 1.1 * 2.0),
        (0.5, 2.0, 0.5 * 2.0),  # a good action that became rare is not clipped
        (0.5, -3.0, 0.8 * -3.0),  # a bad action, already rarer: no less than the clip costs
        (1.5, -3.0, 1.5 * -3.0),  # a bad action that became probable is not clipped
    ],
)
def test_the_clipped_ratio_by_hand(ratio: float, advantage: float, gain: float) -> None:
    logits = torch.tensor([[1.0, 0.0, -1.0]])
    batch = LabelBatch(logits, torch.eye(3)[:1], torch.tensor([0]), reference=logits)
    scores = GroupScores(
        torch.tensor([ratio, 1.0]), torch.tensor([advantage, 0.0]), torch.tensor([0.25, 0.75])
    )
    losses = grpo(batch, scores, clip=0.2, proper_weight=0.0, beta=0.0)
    assert float(losses["loss"]) == pytest.approx(-gain / 2, rel=1e-6)
    assert float(losses["reward"]) == 0.5
    assert float(losses["ratio"]) == pytest.approx((ratio + 1) / 2)


def test_grpo_adds_the_proper_score_and_the_distance() -> None:
    logits, reference = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    batch = LabelBatch(logits, torch.eye(3)[:1], torch.tensor([0]), reference)
    scores = GroupScores(torch.ones(2), torch.tensor([3.0, 1.0]), torch.zeros(2))
    losses = grpo(batch, scores, clip=0.2, proper_weight=0.5, beta=0.25)
    p, q = (np.exp(x) / np.exp(x).sum() for x in (logits[0].numpy(), reference[0].numpy()))
    brier, kl = ((p - [1, 0, 0]) ** 2).sum(), (p * np.log(p / q)).sum()
    assert float(losses["brier"]) == pytest.approx(brier, rel=1e-5)
    assert float(losses["kl"]) == pytest.approx(kl, rel=1e-5)
    assert float(losses["loss"]) == pytest.approx(-2.0 + 0.5 * brier + 0.25 * kl, rel=1e-5)


def test_group_advantages_by_hand() -> None:
    rewards = torch.tensor([1.0, 0.0, 0.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    deviation = (4 * 0.25 / 3) ** 0.5
    high = 0.5 / (deviation + 1e-4)
    wanted = torch.tensor([high, -high, -high, high, 0.0, 0.0, 0.0, 0.0])
    torch.testing.assert_close(group_advantages(rewards, 4), wanted)
