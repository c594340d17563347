"""Losses against hand-computed values."""

from __future__ import annotations

import math

import pytest
import torch

from emosym.training.stages.losses import (
    attribute_loss,
    brier_loss,
    info_nce,
    kl_to_reference,
    label_loss,
    label_weights,
    several_cross_entropy,
)

NO_SCALE = torch.zeros(())  # exp(0) = 1


def unit(*degrees: float) -> torch.Tensor:
    angles = torch.tensor(degrees) * math.pi / 180
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def cross_entropy(scores: list[float], truth: int) -> float:
    return -scores[truth] + math.log(sum(math.exp(s) for s in scores))


def test_one_hot_is_cross_entropy() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.5], [0.0, 0.0, 0.0]])
    truth = torch.tensor([1, 2])
    wanted = torch.nn.functional.cross_entropy(logits, truth)
    found = label_loss(logits, torch.nn.functional.one_hot(truth, 3).float())
    torch.testing.assert_close(found, wanted)
    assert float(found) == pytest.approx(
        (cross_entropy([1, 2, 0.5], 1) + math.log(3)) / 2, rel=1e-5
    )


def test_votes_are_a_divergence_that_can_reach_0() -> None:
    votes = torch.tensor([[0.5, 0.25, 0.25]])
    assert float(label_loss(votes.log(), votes)) == pytest.approx(0.0, abs=1e-7)
    uniform = torch.zeros(1, 3)
    wanted = 0.5 * math.log(0.5 * 3) + 2 * 0.25 * math.log(0.25 * 3)
    assert float(label_loss(uniform, votes)) == pytest.approx(wanted, rel=1e-5)


def test_kl_by_hand() -> None:
    p, q = torch.tensor([[0.8, 0.2], [0.5, 0.5]]), torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    wanted = (0.8 * math.log(1.6) + 0.2 * math.log(0.4)) / 2
    assert float(kl_to_reference(p.log(), q.log())) == pytest.approx(wanted, rel=1e-5)
    logits = torch.randn(5, 8)
    assert float(kl_to_reference(logits, logits.clone())) == 0.0
    assert float(kl_to_reference(logits, logits + 3)) == pytest.approx(0.0, abs=1e-6)


def test_brier_by_hand() -> None:
    logits = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]).log()
    targets = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]])
    wanted = ((0.09 + 0.04 + 0.01) + (0.01 + 0.16 + 0.09)) / 2
    assert float(brier_loss(logits, targets)) == pytest.approx(wanted, rel=1e-5)


def test_info_nce_by_hand() -> None:
    queries, texts = unit(0, 90, 180), unit(0, 60, 180)
    c = math.cos
    d = math.pi / 180
    scores = [[c(0), c(60 * d), c(180 * d)], [c(90 * d), c(30 * d), c(90 * d)]]
    scores.append([c(180 * d), c(120 * d), c(0)])
    rows = sum(cross_entropy(scores[i], i) for i in range(3)) / 3
    columns = sum(cross_entropy([r[i] for r in scores], i) for i in range(3)) / 3
    found = info_nce(queries, texts, torch.arange(3), NO_SCALE)
    assert float(found) == pytest.approx((rows + columns) / 2, rel=1e-5)
    sharp = [[5 * s for s in row] for row in scores]
    rows = sum(cross_entropy(sharp[i], i) for i in range(3)) / 3
    columns = sum(cross_entropy([r[i] for r in sharp], i) for i in range(3)) / 3
    found = info_nce(queries, texts, torch.arange(3), torch.tensor(5.0).log())
    assert float(found) == pytest.approx((rows + columns) / 2, rel=1e-5)


def test_the_published_form_by_hand() -> None:
    queries, texts = unit(0, 90), unit(0, 60)
    scores = [
        [(1 + 1 / 0.07) / 2, (1 + 0.5 / 0.07) / 2],
        [0.5, (1 + math.cos(math.pi / 6) / 0.07) / 2],
    ]
    wanted = (cross_entropy(scores[0], 0) + cross_entropy(scores[1], 1)) / 2
    scale = torch.tensor(3.0, requires_grad=True)
    found = info_nce(queries, texts, torch.arange(2), scale, symmetric=False)
    assert float(found) == pytest.approx(wanted, rel=1e-4)


def test_equal_texts_are_no_negatives() -> None:
    queries, texts = unit(0, 90, 180), unit(10, 10, 180)
    found = info_nce(queries, texts, torch.tensor([4, 4, 9]), NO_SCALE)
    c, d = math.cos, math.pi / 180
    rows = [
        cross_entropy([c(10 * d), c(180 * d)], 0),
        cross_entropy([c(80 * d), c(90 * d)], 0),
        cross_entropy([c(170 * d), c(170 * d), c(0)], 2),
    ]
    columns = [
        cross_entropy([c(10 * d), c(170 * d)], 0),
        cross_entropy([c(80 * d), c(170 * d)], 0),
        cross_entropy([c(180 * d), c(90 * d), c(0)], 2),
    ]
    assert float(found) == pytest.approx((sum(rows) + sum(columns)) / 6, rel=1e-5)
    # all texts equal: nothing to tell apart, and no NaN
    assert float(info_nce(queries, texts, torch.zeros(3), NO_SCALE)) == 0.0


def test_the_temperature_is_bounded_and_learned() -> None:
    queries, texts = unit(0, 90), unit(30, 60)
    huge = info_nce(queries, texts, torch.arange(2), torch.tensor(50.0))
    bound = info_nce(queries, texts, torch.arange(2), torch.tensor(100.0).log())
    assert float(huge) == pytest.approx(float(bound), abs=1e-6)
    scale = torch.tensor(1.0, requires_grad=True)
    info_nce(queries, texts, torch.arange(2), scale).backward()
    assert scale.grad is not None and float(scale.grad) != 0


def test_attribute_loss_by_hand() -> None:
    condition, texts = 3 * unit(0, 90), 2 * unit(0, 60)
    confidence = torch.tensor([0.75, 0.25])
    t = 0.07
    rows = [
        cross_entropy([1 / t, 0.5 / t], 0),
        cross_entropy([0.0, math.cos(math.pi / 6) / t], 1),
    ]
    found = attribute_loss(condition, texts, torch.arange(2), confidence)
    assert float(found) == pytest.approx(0.75 * rows[0] + 0.25 * rows[1], rel=1e-3)
    assert float(attribute_loss(condition, texts, torch.zeros(2), confidence)) == 0.0
    nothing = attribute_loss(condition, texts, torch.arange(2), torch.zeros(2))
    assert float(nothing) == 0.0


def test_rare_labels_count_for_more_where_they_are_true() -> None:
    counts = torch.tensor([50.0, 1.0, 0.0, 90.0])
    torch.testing.assert_close(label_weights(counts, 100, 0.0), torch.ones(4))
    # 50/50, sqrt(99/1); never true; more often true than false
    torch.testing.assert_close(
        label_weights(counts, 100, 0.5), torch.tensor([1.0, 99**0.5, 1.0, 1.0])
    )
    assert label_weights(counts, 100, 1.0).tolist() == [1.0, 10.0, 1.0, 1.0]  # bounded


def test_several_labels_cost_one_by_one() -> None:
    logits, truth = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    once, thrice = torch.ones(2), torch.tensor([3.0, 5.0])
    assert float(several_cross_entropy(logits, truth, once).mean()) == pytest.approx(math.log(2))
    # (3 ln 2 + ln 2) / 2: the second weight is of a label that is not true
    assert float(several_cross_entropy(logits, truth, thrice).mean()) == pytest.approx(
        2 * math.log(2)
    )
    # (1 - 1/2) ** 2 of it
    focal = several_cross_entropy(logits, truth, thrice, focus=2.0).mean()
    assert float(focal) == pytest.approx(math.log(2) / 2)
    sure = torch.tensor([[math.log(3), math.log(3)]])  # 3/4 each
    assert float(several_cross_entropy(sure, truth, once).mean()) == pytest.approx(
        (math.log(4 / 3) + math.log(4)) / 2
    )
