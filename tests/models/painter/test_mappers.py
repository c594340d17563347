"""Mappers: shapes, the size they start at, and gradients to both."""

from __future__ import annotations

import pytest
import torch

from emosym.models.painter.mappers import ConditionMappers


@pytest.fixture
def mappers() -> ConditionMappers:
    return ConditionMappers(12, (8, 20), (0.5, 2.0), seed=0)


def test_shapes_per_text_encoder(mappers: ConditionMappers) -> None:
    embeds = mappers(torch.randn(3, 12), torch.randn(3, 4, 12))
    assert [tuple(e.shape) for e in embeds] == [(3, 5, 8), (3, 5, 20)]


def test_each_starts_at_the_size_of_its_encoders_embeddings(mappers: ConditionMappers) -> None:
    torch.manual_seed(0)
    made = mappers(torch.randn(9, 12), torch.randn(9, 2, 12))
    for embeds, rms in zip(made, (0.5, 2.0), strict=True):
        sizes = embeds.square().mean(-1).sqrt()  # (9, 3)
        torch.testing.assert_close(sizes, torch.full_like(sizes, rms), rtol=1e-3, atol=0)


def test_the_emotion_comes_first_and_no_latent_leaks_into_another(
    mappers: ConditionMappers,
) -> None:
    torch.manual_seed(0)
    e, c = torch.randn(1, 12), torch.randn(1, 3, 12)
    before = mappers(e, c)[0]
    c[:, 1] += torch.randn(12)
    after = mappers(e, c)[0]
    assert [torch.equal(before[0, i], after[0, i]) for i in range(4)] == [True, True, False, True]
    after = mappers(e + torch.randn(12), c)[0]
    assert not torch.equal(before[0, 0], after[0, 0])


def test_gradients_reach_both_mappers_and_both_latents(mappers: ConditionMappers) -> None:
    e, c = torch.randn(2, 12, requires_grad=True), torch.randn(2, 4, 12, requires_grad=True)
    weights = [torch.randn(2, 5, d) for d in (8, 20)]
    sum((m * w).sum() for m, w in zip(mappers(e, c), weights, strict=True)).backward()
    for name, parameter in mappers.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.any()), name
    assert e.grad is not None and bool(e.grad.any(1).all())
    assert c.grad is not None and bool(c.grad.any(2).all())


def test_the_start_is_the_named_stream() -> None:
    one, two, other = (ConditionMappers(4, (4,), (1.0,), seed) for seed in (0, 0, 1))
    weights = [m.emotion_mapper[0][1].weight for m in (one, two, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
