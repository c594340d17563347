"""Gaussians of latents: the emotion space to sample from, and the domain score of a picture.

A covariance in D dimensions is kept as its `rank` largest directions and one variance for the
rest: exact sampling and distances, without a D x D matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from emosym.errors import EmoSymError
from emosym.files import write_atomic


@dataclass(frozen=True, slots=True)
class Gaussian:
    """mean (D,), directions (R, D) orthonormal, variances (R,), rest (): the remaining variance."""

    mean: torch.Tensor
    directions: torch.Tensor
    variances: torch.Tensor
    rest: torch.Tensor


def fit_gaussian(values: torch.Tensor, rank: int = 64) -> Gaussian:
    """Fit a Ledoit-Wolf shrunk Gaussian to values (N, D).

    Raises:
        EmoSymError: for fewer than two values.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    if len(values) < 2:
        raise EmoSymError(f"A Gaussian needs at least two values, got {len(values)}.")
    data = values.double()
    mean = data.mean(dim=0)
    centred = data - mean
    shrinkage = float(ledoit_wolf_shrinkage(centred.numpy(), assume_centered=True))
    _, singular, directions = torch.linalg.svd(centred, full_matrices=False)
    spectrum = singular**2 / len(data)  # (min(N, D),)
    average = spectrum.sum() / data.shape[1]
    kept = min(rank, len(spectrum))
    others = max(data.shape[1] - kept, 1)
    rest = (1 - shrinkage) * spectrum[kept:].sum() / others + shrinkage * average
    variances = (1 - shrinkage) * spectrum[:kept] + shrinkage * average
    floor = 1e-6 * average + 1e-12
    return Gaussian(
        mean.float(),
        directions[:kept].float(),
        variances.clamp(min=floor).float(),
        rest.clamp(min=floor).float(),
    )


def truncate(gaussian: Gaussian, rank: int) -> Gaussian:
    """Keep the `rank` largest directions; the variance of the others goes to the rest."""
    kept, size = min(rank, len(gaussian.variances)), gaussian.mean.numel()
    if kept == len(gaussian.variances):
        return gaussian
    order = gaussian.variances.argsort(descending=True)
    outside = gaussian.rest * (size - len(order)) + gaussian.variances[order[kept:]].sum()
    return Gaussian(
        gaussian.mean,
        gaussian.directions[order[:kept]],
        gaussian.variances[order[:kept]],
        outside / (size - kept),
    )


def sample_gaussian(
    gaussian: Gaussian, count: int, generator: torch.Generator, spread: float = 1.0
) -> torch.Tensor:
    """Draw (count, D) values; `spread` scales the standard deviation (0 returns the mean).

    Noise goes through the symmetric square root of the covariance, U diag(sqrt(v) - sqrt(rest)) U^T
    + sqrt(rest) I. It does not depend on the basis U in which a covariance was found: the same
    noise means nearly the same direction for every emotion, and all of it where they vary alike.
    """
    noise = torch.randn(count, gaussian.mean.numel(), generator=generator)
    return gaussian.mean + spread * with_covariance(gaussian, noise)


def with_covariance(gaussian: Gaussian, noise: torch.Tensor) -> torch.Tensor:
    """Return white noise (N, D) times the symmetric square root of a Gaussian's covariance."""
    more = gaussian.variances.sqrt() - gaussian.rest.sqrt()  # (R,)
    inside = (noise @ gaussian.directions.T) * more
    return noise * gaussian.rest.sqrt() + inside @ gaussian.directions


def squared_distance(gaussian: Gaussian, values: torch.Tensor) -> torch.Tensor:
    """Return the squared Mahalanobis distance (N,) of values (N, D)."""
    centred = values.float() - gaussian.mean
    inside = centred @ gaussian.directions.T  # (N, R)
    outside = (centred**2).sum(-1) - (inside**2).sum(-1)
    return (inside**2 / gaussian.variances).sum(-1) + outside.clamp(min=0) / gaussian.rest


@dataclass(frozen=True, slots=True)
class EmotionSpace:
    """One Gaussian of (e, c) together per label, in label order, and the mean over all of them."""

    labels: tuple[str, ...]
    gaussians: tuple[Gaussian, ...]
    num_context_tokens: int

    @property
    def centre(self) -> torch.Tensor:
        """The mean over emotions (D,)."""
        return torch.stack([g.mean for g in self.gaussians]).mean(dim=0)


def require_two_of_each(labels: Sequence[str], truth: np.ndarray) -> None:
    """Raise EmoSymError unless class indices (N,) hold each emotion twice: said before training."""
    counts = np.bincount(truth, minlength=len(labels))
    if counts.min() < 2:
        missing = labels[int(counts.argmin())]
        raise EmoSymError(
            "The emotion space needs two training pictures of each emotion; there "
            f"{'is' if counts.min() else 'are'} {counts.min() or 'none'} of {missing}."
        )


def fit_emotion_space(
    labels: Sequence[str], emotion: torch.Tensor, context: torch.Tensor, truth: np.ndarray
) -> EmotionSpace:
    """Fit the space to e (N, H), c (N, K, H) and class indices (N,).

    Raises:
        EmoSymError: when an emotion has fewer than two pictures.
    """
    joint = torch.cat([emotion[:, None], context], dim=1).flatten(1).float()  # (N, (1 + K) H)
    require_two_of_each(labels, truth)
    rows = [joint[torch.from_numpy(truth == i)] for i in range(len(labels))]
    return EmotionSpace(tuple(labels), tuple(fit_gaussian(r) for r in rows), context.shape[1])


def sample_latents(
    space: EmotionSpace,
    weights: Sequence[float],
    count: int,
    generator: torch.Generator,
    intensity: float = 1.0,
    spread: float = 1.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw e (count, H) and c (count, K, H) for a mixture of emotions.

    A mix draws from one Gaussian between its emotions, so that every painting carries all of them.
    Its mean lies in the weighted direction from the centre of all emotions, over the length of the
    weights: the average of two perpendicular directions is only .71 as far from the centre as each
    of them, and pictures that near to it evoke a third emotion as easily. Deviations are averaged
    over one shared noise. `intensity` moves the mean from the centre (0) through the mix (1) and
    beyond; weights that are all alike stay at the centre. Below 1 the deviation is shared with that
    of an emotion drawn at random, for how pictures of an emotion vary gives it away too: at 0
    nothing of the emotion is left.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    mixed = torch.zeros(count, space.gaussians[0].mean.numel())
    mean = torch.zeros_like(space.gaussians[0].mean)
    for weight, gaussian in zip(weights, space.gaussians, strict=True):
        if weight > 0:
            noise = torch.Generator().manual_seed(seed)
            mixed += weight * (sample_gaussian(gaussian, count, noise, spread) - gaussian.mean)
            mean += weight * gaussian.mean
    own = min(intensity, 1.0)
    if own < 1.0:
        drawn = torch.randint(len(space.gaussians), (count,), generator=generator)
        for label in drawn.unique().tolist():
            gaussian, noise = space.gaussians[label], torch.Generator().manual_seed(seed)
            others = sample_gaussian(gaussian, count, noise, spread) - gaussian.mean
            rows = drawn == label
            mixed[rows] = own * mixed[rows] + (1.0 - own) * others[rows]
    length = sum(weight**2 for weight in weights) ** 0.5
    values = space.centre + intensity / length * (mean - sum(weights) * space.centre) + mixed
    return split_latents(values, space.num_context_tokens)


def split_latents(values: torch.Tensor, num_context: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Split joint values (N, (1 + K) H) into e (N, H) and c (N, K, H)."""
    joint = values.view(len(values), 1 + num_context, -1)
    return joint[:, 0], joint[:, 1:]


@dataclass(frozen=True, slots=True)
class Domain:
    """What a preset has seen: a Gaussian of reader features, and distances of held-out pictures."""

    gaussian: Gaussian
    distances: torch.Tensor  # sorted, of held-out pictures of the same kind
    threshold: float

    @property
    def tells_outside(self) -> bool:
        """Whether a score can fall below the threshold at all.

        The lowest score is 1 / (M + 1) for M held-out pictures: a threshold of .01 needs 100.
        """
        return (len(self.distances) + 1) * self.threshold > 1.0

    def score(self, values: torch.Tensor) -> torch.Tensor:
        """Return in (0, 1] the share of held-out pictures at least as far as each (N, D) value."""
        distance = squared_distance(self.gaussian, values)
        nearer = torch.searchsorted(self.distances, distance, right=False)
        count = len(self.distances)
        return (count - nearer + 1).float() / (count + 1)


def fit_domain(train: torch.Tensor, held_out: torch.Tensor, threshold: float = 0.01) -> Domain:
    """Fit on train features (N, D); rank against held-out features (M, D)."""
    gaussian = fit_gaussian(train, rank=128)
    return Domain(gaussian, squared_distance(gaussian, held_out).sort().values, threshold)


def save_gaussians(path: Path, named: dict[str, Gaussian], extra: dict[str, torch.Tensor]) -> None:
    """Write Gaussians and further tensors as one safetensors file."""
    tensors = dict(extra)
    for name, g in named.items():
        tensors[f"{name}.mean"] = g.mean
        tensors[f"{name}.directions"] = g.directions
        tensors[f"{name}.variances"] = g.variances
        tensors[f"{name}.rest"] = g.rest
    stored = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    write_atomic(path, lambda temporary: save_file(stored, temporary))


def load_gaussians(path: Path) -> tuple[dict[str, Gaussian], dict[str, torch.Tensor]]:
    """Read what `save_gaussians` wrote."""
    tensors = load_file(path)
    names = sorted(key.removesuffix(".mean") for key in tensors if key.endswith(".mean"))
    gaussians: dict[str, Gaussian] = {}
    for name in names:
        parts = [tensors.pop(f"{name}.{p}") for p in ("mean", "directions", "variances", "rest")]
        gaussians[name] = Gaussian(*(part.float() for part in parts))
    return gaussians, tensors
