"""Gaussians of latents against explicit matrices; mixing, intensity and the domain score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from emosym.errors import EmoSymError
from emosym.models.gaussians import (
    Domain,
    EmotionSpace,
    Gaussian,
    fit_domain,
    fit_emotion_space,
    fit_gaussian,
    load_gaussians,
    sample_gaussian,
    sample_latents,
    save_gaussians,
    split_latents,
    squared_distance,
    truncate,
    with_covariance,
)


def matrix(gaussian: Gaussian) -> torch.Tensor:
    """The covariance (D, D) that a Gaussian stands for."""
    d = gaussian.directions.double()
    outside = torch.eye(d.shape[1], dtype=torch.float64) - d.T @ d
    return d.T @ torch.diag(gaussian.variances.double()) @ d + gaussian.rest.double() * outside


def known(count: int, size: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Draws (count, size), and their covariance."""
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(size, size, generator=generator)
    values = torch.randn(count, size, generator=generator) @ root + 3.0
    return values, (root.T @ root).double()


def test_a_known_covariance_is_recovered() -> None:
    values, wanted = known(40000)
    found = matrix(fit_gaussian(values))
    assert float((found - wanted).norm() / wanted.norm()) < 0.02
    torch.testing.assert_close(fit_gaussian(values).mean, values.mean(0))


def test_the_fit_is_the_library_shrinkage() -> None:
    from sklearn.covariance import LedoitWolf

    values, _ = known(12)
    wanted = LedoitWolf().fit(values.double().numpy()).covariance_
    np.testing.assert_allclose(matrix(fit_gaussian(values)).numpy(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_smaller_rank_keeps_the_largest_directions_and_the_whole_variance(rank: int) -> None:
    values, _ = known(5000)
    full, low = fit_gaussian(values), fit_gaussian(values, rank=rank)
    assert low.directions.shape == (rank, 4)
    torch.testing.assert_close(low.variances, full.variances[:rank])
    assert float(low.rest) == pytest.approx(float(full.variances[rank:].mean()), rel=1e-4)
    assert float(matrix(low).trace()) == pytest.approx(float(matrix(full).trace()), rel=1e-4)


@pytest.mark.parametrize("rank", [2, 4], ids=["rank<D", "rank=D"])
def test_distance_equals_the_explicit_inverse(rank: int) -> None:
    values, _ = known(200)
    gaussian = fit_gaussian(values, rank)
    centred = (values[:20] - gaussian.mean).double()
    inverse = torch.linalg.inv(matrix(gaussian))
    wanted = torch.einsum("nd,de,ne->n", centred, inverse, centred)
    found = squared_distance(gaussian, values[:20]).double()
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("rank", [2, 4])
def test_samples_have_the_mean_and_the_covariance(rank: int) -> None:
    gaussian = fit_gaussian(known(500)[0], rank)
    drawn = sample_gaussian(gaussian, 60000, torch.Generator().manual_seed(1))
    wanted = matrix(gaussian)
    assert float((drawn.mean(0) - gaussian.mean).norm() / wanted.trace().sqrt()) < 0.02
    assert float((torch.cov(drawn.T).double() - wanted).norm() / wanted.norm()) < 0.02


def test_spread() -> None:
    gaussian = fit_gaussian(known(50)[0])
    still = sample_gaussian(gaussian, 3, torch.Generator().manual_seed(1), spread=0.0)
    assert torch.equal(still, gaussian.mean.expand(3, -1))
    one, two = (
        sample_gaussian(gaussian, 3, torch.Generator().manual_seed(1), s) - gaussian.mean
        for s in (1.0, 2.0)
    )
    torch.testing.assert_close(two, 2 * one, atol=1e-5, rtol=1e-4)


def test_more_dimensions_than_values_and_no_variance_at_all() -> None:
    few = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    gaussian = fit_gaussian(few)
    assert bool(torch.isfinite(squared_distance(gaussian, few)).all())
    same = fit_gaussian(torch.ones(4, 6))
    assert torch.equal(squared_distance(same, torch.ones(2, 6)), torch.zeros(2))
    with pytest.raises(EmoSymError, match="at least two"):
        fit_gaussian(torch.ones(1, 6))


def test_noise_goes_through_the_symmetric_square_root_by_hand() -> None:
    """Covariance [[2.5, 1.5, 0], [1.5, 2.5, 0], [0, 0, 1]]: variance 4 along (1, 1, 0), rest 1.

    Its root is [[1.5, .5, 0], [.5, 1.5, 0], [0, 0, 1]], for which (2, 0, 3) gives (3, 1, 3).
    """
    along = torch.tensor([[1.0, 1.0, 0.0]]) / 2**0.5
    gaussian = Gaussian(torch.zeros(3), along, torch.tensor([4.0]), torch.ones(()))
    found = with_covariance(gaussian, torch.tensor([[2.0, 0.0, 3.0]]))
    torch.testing.assert_close(found, torch.tensor([[3.0, 1.0, 3.0]]))


def test_half_and_half_of_one_covariance_in_two_bases_keeps_its_variance() -> None:
    """Equal variances 4 and 4 along x and y, 1 along z: any basis of the plane describes them."""
    turned = torch.tensor([[0.6, 0.8, 0.0], [-0.8, 0.6, 0.0]])
    bases = (torch.eye(3)[:2], turned, -torch.eye(3)[:2].flip(0))
    twice, rest = torch.tensor([4.0, 4.0]), torch.ones(())
    alike = [Gaussian(torch.zeros(3), basis, twice, rest) for basis in bases]
    space = EmotionSpace(("a", "b", "c"), tuple(alike), 0)
    drawn = [
        sample_latents(space, weights, 4000, torch.Generator().manual_seed(0))[0][:, :]
        for weights in ([1, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5])
    ]
    for mixed in drawn[1:]:
        torch.testing.assert_close(mixed, drawn[0], atol=1e-5, rtol=1e-4)
    variances = drawn[1].var(dim=0)
    torch.testing.assert_close(variances, torch.tensor([4.0, 4.0, 1.0]), atol=0.2, rtol=0)


# --- the emotion space ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def space() -> EmotionSpace:
    """Three emotions around (10, 0, ...), (0, 10, ...), (0, 0, 10, ...); H = 3, K = 1."""
    generator = torch.Generator().manual_seed(0)
    truth = np.repeat([0, 1, 2], 30)
    joint = torch.randn(90, 6, generator=generator)
    joint[torch.arange(90), torch.from_numpy(truth)] += 10.0
    return fit_emotion_space(("a", "b", "c"), joint[:, :3], joint[:, 3:, None].mT, truth)


def draw(space: EmotionSpace, weights: list[float], intensity: float, spread: float = 0.0):
    generator = torch.Generator().manual_seed(4)
    return sample_latents(space, weights, 400, generator, intensity, spread)


def test_intensity_walks_from_the_centre_through_the_emotion(space: EmotionSpace) -> None:
    centre, mean = space.centre[:3], space.gaussians[0].mean[:3]
    for intensity in (0.0, 0.5, 1.0, 1.5):
        e, c = draw(space, [1, 0, 0], intensity)
        assert e.shape == (400, 3) and c.shape == (400, 1, 3)
        wanted = centre + intensity * (mean - centre)
        torch.testing.assert_close(e[0], wanted, atol=1e-4, rtol=1e-4)


def test_one_emotion_alone_is_drawn_from_its_own_gaussian(space: EmotionSpace) -> None:
    e, c = draw(space, [0, 1, 0], 1.0, spread=0.5)
    seed = int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(4)))
    noise = torch.Generator().manual_seed(seed)
    wanted = split_latents(sample_gaussian(space.gaussians[1], 400, noise, 0.5), 1)
    torch.testing.assert_close((e, c), wanted, atol=1e-4, rtol=1e-4)


def test_a_mix_raises_both_and_keeps_its_spread(space: EmotionSpace) -> None:
    alone, _ = draw(space, [1, 0, 0], 1.0, spread=1.0)
    mixed, _ = draw(space, [0.5, 0.5, 0], 1.0, spread=1.0)
    centre = space.centre[:3]
    assert float(mixed.mean(0)[0]) > float(centre[0]) + 1  # more than average of a
    assert float(mixed.mean(0)[1]) > float(centre[1]) + 1  # and of b
    assert float(mixed.mean(0)[2]) < float(centre[2]) - 1
    # each painting carries both: rows lie near the middle, not near one or the other
    assert float((mixed[:, 0] - mixed[:, 1]).abs().max()) < 8
    # one noise shared by the emotions: deviations are averaged, not shrunk by the square root
    assert float(mixed[:, 0].std() / alone[:, 0].std()) > 0.8


def test_a_mix_is_as_far_from_the_centre_as_its_emotions() -> None:
    e = 5.0 * torch.eye(4).repeat_interleave(50, dim=0)  # perpendicular, seen from the centre
    space = fit_emotion_space(tuple("abcd"), e, e[:, None], np.repeat(np.arange(4), 50))

    def away(weights: list[float]) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        return sample_latents(space, weights, 1, generator, 1.0, 0.0)[0][0] - space.centre[:4]

    a, b = away([1, 0, 0, 0]), away([0, 1, 0, 0])
    torch.testing.assert_close(away([0.5, 0.5, 0, 0]), (a + b) / 2**0.5)
    torch.testing.assert_close(away([0.6, 0.4, 0, 0]), (0.6 * a + 0.4 * b) / 0.52**0.5)
    torch.testing.assert_close(away([0.25] * 4), torch.zeros(4))  # neutral stays neutral


def test_at_intensity_0_nothing_of_the_emotion_is_left() -> None:
    """Two emotions of one centre that differ only in how they vary: one along x, one along y."""
    generator = torch.Generator().manual_seed(1)
    wide = torch.randn(400, 2, generator=generator) * torch.tensor([3.0, 0.1])
    e = torch.cat([wide, wide.flip(1)])
    space = fit_emotion_space(("a", "b"), e, e[:, None].clone(), np.repeat([0, 1], 400))

    def spreads(weights: list[float], intensity: float) -> torch.Tensor:
        noise = torch.Generator().manual_seed(2)
        return sample_latents(space, weights, 2000, noise, intensity)[0].std(dim=0)

    torch.testing.assert_close(spreads([1, 0], 0.0), spreads([0, 1], 0.0))
    for intensity in (1.0, 2.0):
        assert spreads([1, 0], intensity)[0] > 5 * spreads([1, 0], intensity)[1]


def test_draws_follow_the_generator(space: EmotionSpace) -> None:
    one, two = draw(space, [1, 0, 0], 1.0, 1.0), draw(space, [1, 0, 0], 1.0, 1.0)
    assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
    other = sample_latents(space, [1, 0, 0], 400, torch.Generator().manual_seed(5))
    assert not torch.equal(one[0], other[0])


def test_emotion_and_context_are_drawn_together() -> None:
    """c = e here: a space that drew them apart would lose this."""
    e = torch.randn(800, 2, generator=torch.Generator().manual_seed(0))
    space = fit_emotion_space(("a", "b"), e, e[:, None].clone(), np.arange(800) % 2)
    drawn, context = sample_latents(space, [1, 0], 500, torch.Generator().manual_seed(0))
    both = torch.stack([drawn[:, 0], context[:, 0, 0]])
    assert float(torch.corrcoef(both)[0, 1]) > 0.9


def test_each_emotion_needs_two_pictures() -> None:
    values = torch.randn(3, 2)
    with pytest.raises(EmoSymError, match="two training pictures of each emotion; there is 1 of b"):
        fit_emotion_space(("a", "b"), values, values[:, None], np.array([0, 0, 1]))


def test_split() -> None:
    e, c = split_latents(torch.arange(12.0).view(2, 6), 2)
    assert e.tolist() == [[0, 1], [6, 7]]
    assert c.tolist() == [[[2, 3], [4, 5]], [[8, 9], [10, 11]]]


# --- the domain ----------------------------------------------------------------------------------


def test_domain_score_is_a_rank_in_0_1_and_falls_with_distance() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(500, 3, generator=generator)
    domain = fit_domain(values[:400], values[400:], threshold=0.05)
    line = torch.linspace(0, 40, 60)[:, None] * torch.tensor([[1.0, 0.0, 0.0]])
    scores = domain.score(domain.gaussian.mean + line)
    assert bool((scores > 0).all()) and bool((scores <= 1).all())
    assert bool((scores.diff() <= 0).all())
    assert float(scores[0]) == 1.0
    assert float(scores[-1]) == pytest.approx(1 / 101)
    held_out = domain.score(values[400:]).sort().values
    torch.testing.assert_close(held_out, torch.arange(2, 102) / 101)


def test_domain_score_by_hand() -> None:
    one = Gaussian(torch.zeros(1), torch.ones(1, 1), torch.ones(1), torch.ones(()))
    domain = Domain(one, torch.tensor([1.0, 4.0, 9.0]), 0.1)
    # distances .25, 4 (equal counts as at least as far), 16
    scores = domain.score(torch.tensor([[0.5], [2.0], [4.0]]))
    assert scores.tolist() == [1.0, 0.75, 0.25]


def test_gaussians_survive_the_disk(tmp_path: Path) -> None:
    gaussians = {"fear": fit_gaussian(known(9)[0]), "awe": fit_gaussian(known(20)[0], 2)}
    path = tmp_path / "g.safetensors"
    save_gaussians(path, gaussians, {"distances": torch.arange(3.0)})
    loaded, extra = load_gaussians(path)
    assert set(loaded) == {"fear", "awe"}
    for name, gaussian in gaussians.items():
        for part in ("mean", "directions", "variances", "rest"):
            assert torch.equal(getattr(loaded[name], part), getattr(gaussian, part))
    assert list(extra) == ["distances"] and torch.equal(extra["distances"], torch.arange(3.0))


def test_truncation_keeps_the_total_variance_and_the_largest_directions() -> None:
    values = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    values *= torch.tensor([5.0, 4.0, 3.0, 1.0, 1.0, 1.0])
    whole = fit_gaussian(values, rank=6)
    small = truncate(whole, 2)
    assert small.directions.shape == (2, 6)
    assert torch.equal(small.variances, whole.variances[:2])
    total = small.variances.sum() + 4 * small.rest
    assert torch.allclose(total, whole.variances.sum(), rtol=1e-5)
    assert truncate(whole, 10) is whole
