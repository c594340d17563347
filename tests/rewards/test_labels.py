from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emosym.emotions import MIKELS8, LabelSpace, label_space
from emosym.errors import UsageError
from emosym.rewards import labels as r

AWE, ANGER = MIKELS8.index("awe"), MIKELS8.index("anger")


def uniform(rows: int = 1) -> torch.Tensor:
    return torch.full((rows, 8), 1 / 8)


def test_accuracy_and_polarity_tables_by_hand() -> None:
    assert torch.equal(r.accuracy_table(MIKELS8), torch.eye(8))
    polarity = r.polarity_table(MIKELS8)
    assert polarity[AWE].tolist() == [1, 0, 1, 1, 0, 0, 0, 0]  # not the truth itself
    assert polarity[ANGER].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    meld = label_space("meld7")
    pair = meld.index("neutral"), meld.index("surprise")
    assert r.polarity_table(meld)[pair] == 1.0


def test_vad_table_by_hand() -> None:
    table = r.vad_table(MIKELS8)
    points = np.asarray(MIKELS8.norms())
    gaps = np.sqrt(((points[:, None] - points[None]) ** 2).sum(-1))
    # awe (6.85, 3.83, 5.85) and anger (2.5, 5.93, 5.14).
    gap = np.sqrt(4.35**2 + 2.1**2 + 0.71**2)
    assert float(table[AWE, ANGER]) == pytest.approx(1 - gap / gaps.max(), abs=1e-6)
    assert torch.equal(table.diagonal(), torch.ones(8))
    assert torch.equal(table, table.T)
    assert float(table.min()) == 0.0
    farthest = np.unravel_index(gaps.argmax(), gaps.shape)
    assert {MIKELS8.labels[i] for i in farthest} == {"excitement", "sadness"}
    with pytest.raises(UsageError, match="meld7"):
        r.vad_table(label_space("meld7"))


def test_every_reward_has_the_shape_of_its_probabilities() -> None:
    truth = torch.tensor([AWE, ANGER, AWE])
    for name, reward in r.LABEL_REWARDS.items():
        rows = reward(uniform(3), truth, MIKELS8)
        assert rows.shape == (3, 8), name
        assert torch.equal(rows[0], rows[2]), name
        best = rows.argmax(dim=1)
        assert torch.equal(best, truth) == (name != "polarity"), name


def test_parity_blend_by_hand() -> None:
    shares = torch.tensor([[0.1, 0.5, 0.4, 0, 0, 0, 0, 0]])
    rows = r.parity_blend(shares, torch.tensor([AWE]), MIKELS8)
    assert rows[0, :3].tolist() == pytest.approx([0.07, 0.3 + 0.35, 0.28])


@pytest.mark.parametrize(
    ("kl", "beta"), [(0.0, 0.2), (0.0999, 0.2), (0.1, 0.1), (0.5, 0.1), (0.51, 0.05)]
)
def test_parity_beta_falls_with_the_divergence(kl: float, beta: float) -> None:
    assert r.parity_beta(kl) == beta


def test_parity_beta_refuses_nan() -> None:
    with pytest.raises(UsageError, match="NaN"):
        r.parity_beta(float("nan"))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_parity_blend_is_differentiable(seed: int) -> None:
    torch.manual_seed(seed)
    logits = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    truth = torch.randint(0, 8, (3,))

    def value(x: torch.Tensor) -> torch.Tensor:
        return r.parity_blend(x.softmax(-1), truth, MIKELS8)

    assert torch.autograd.gradcheck(value, logits)


def test_climbing_the_expected_reward_finds_the_truth() -> None:
    truth = torch.arange(8)
    logits = torch.zeros(8, 8, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(60):
        shares = logits.softmax(-1)
        weights = {"accuracy": 1.0, "polarity": 0.5}
        loss = -(shares * r.combined_reward(weights, shares, truth, MIKELS8)).sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.equal(logits.argmax(-1), truth)
    assert float(logits.detach().softmax(-1).diagonal().min()) > 0.9


def test_combined_reward_is_the_weighted_sum() -> None:
    truth = torch.tensor([AWE])
    rows = r.combined_reward({"accuracy": 2.0, "polarity": 0.5}, uniform(), truth, MIKELS8)
    assert rows[0].tolist() == [0.5, 2.0, 0.5, 0.5, 0, 0, 0, 0]


def test_the_largest_weight_is_one_that_may_be_given() -> None:
    rows = r.combined_reward({"accuracy": 1e6}, uniform(), torch.tensor([AWE]), MIKELS8)
    assert rows.max() == 1e6


def test_polarity_of_labels_without_one_is_refused() -> None:
    with pytest.raises(UsageError, match=r"that of 'one' \(own\) is unknown"):
        r.polarity_table(LabelSpace("own", ("one", "two")))


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({}, "No reward"),
        ({"acuracy": 1.0}, "Did you mean 'accuracy'"),
        ({"accuracy": float("nan")}, "finite"),
        ({"accuracy": 1e308}, "at most 1,000,000"),
        ({"accuracy": -1.1e6}, "at most 1,000,000"),
        ({"polarity": 1.0}, "less than 'accuracy'"),
        ({"polarity": 1.0, "accuracy": 1.0}, "less than 'accuracy'"),
    ],
)
def test_bad_weights_are_refused(weights: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        r.combined_reward(weights, uniform(), torch.tensor([0]), MIKELS8)


@pytest.mark.parametrize(
    ("shares", "truth"),
    [
        (torch.ones(1, 7), torch.tensor([0])),
        (torch.ones(8), torch.tensor([0])),
        (torch.ones(2, 8), torch.tensor([0])),
        (torch.ones(1, 8), torch.tensor([8])),
        (torch.ones(1, 8), torch.tensor([-1])),
        (torch.ones(1, 8), torch.tensor([0.0])),
        (torch.full((1, 8), float("nan")), torch.tensor([0])),
    ],
)
def test_bad_inputs_are_refused(shares: torch.Tensor, truth: torch.Tensor) -> None:
    for reward in r.LABEL_REWARDS.values():
        with pytest.raises(UsageError):
            reward(shares, truth, MIKELS8)
