"""The Inception network of the Frechet Inception distance, without torchvision.

Szegedy et al. 2016, as the weights of 2015-12-05 need it: 1008 outputs, averages that leave the
padding out, and a maximum in the last block's pool. Parameters are named as in the published
PyTorch weights (pt_inception-2015-12-05-6726825d).

Our own because torchmetrics takes this network from torch-fidelity, which needs torchvision built
for the same torch; local weights it would take.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE = 299
WIDTH = 2048
OUTPUTS = 1008
Kernel: TypeAlias = int | tuple[int, int] | None
Steps: TypeAlias = tuple[tuple[str, int, Kernel], ...]
FORK = None
"""A step that splits into a wide and a tall convolution, side by side."""

_THREE: Steps = (("_1", 64, 1), ("_2", 96, 3), ("_3", 96, 3))
_A: Mapping[str, Steps] = {
    "branch1x1": (("", 64, 1),),
    "branch5x5": (("_1", 48, 1), ("_2", 64, 5)),
    "branch3x3dbl": _THREE,
}
_B: Mapping[str, Steps] = {"branch3x3": (("", 384, 3),), "branch3x3dbl": _THREE}
_D: Mapping[str, Steps] = {
    "branch3x3": (("_1", 192, 1), ("_2", 320, 3)),
    "branch7x7x3": (("_1", 192, 1), ("_2", 192, (1, 7)), ("_3", 192, (7, 1)), ("_4", 192, 3)),
}
_E: Mapping[str, Steps] = {
    "branch1x1": (("", 320, 1),),
    "branch3x3": (("_1", 384, 1), ("_2", 384, FORK)),
    "branch3x3dbl": (("_1", 448, 1), ("_2", 384, 3), ("_3", 384, FORK)),
}


def _c(width: int) -> Mapping[str, Steps]:
    return {
        "branch1x1": (("", 192, 1),),
        "branch7x7": (("_1", width, 1), ("_2", width, (1, 7)), ("_3", 192, (7, 1))),
        "branch7x7dbl": (
            *(("_1", width, 1), ("_2", width, (7, 1)), ("_3", width, (1, 7))),
            *(("_4", width, (7, 1)), ("_5", 192, (1, 7))),
        ),
    }


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(
        self, inside: int, outside: int, kernel: int | tuple[int, int], stride: int, pad: bool
    ) -> None:
        """Make the layers; with `pad` the size stays as it is at stride 1."""
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (sides[0] // 2, sides[1] // 2) if pad else (0, 0)
        self.conv = nn.Conv2d(inside, outside, sides, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outside, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inside, H, W) to (N, outside, H', W')."""
        return F.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Chains of convolutions and a pool, side by side; their outputs are joined as channels.

    `pool` is "average" or "max" at stride 1, followed by a 1x1 convolution to `pooled` channels, or
    "halve": the last step of every chain and a maximum have stride 2.
    """

    def __init__(self, inside: int, chains: Mapping[str, Steps], pool: str, pooled: int) -> None:
        """Make one convolution for every step, named chain + step."""
        super().__init__()
        self.chains = chains
        self.pool = pool
        halve = pool == "halve"
        for chain, steps in chains.items():
            width = inside
            for place, (step, outside, kernel) in enumerate(steps):
                name = chain + step
                if kernel is FORK:
                    self.add_module(f"{name}a", ConvNorm(width, outside, (1, 3), 1, True))
                    self.add_module(f"{name}b", ConvNorm(width, outside, (3, 1), 1, True))
                    continue
                last = halve and place == len(steps) - 1
                stride = 2 if last else 1
                self.add_module(name, ConvNorm(width, outside, kernel, stride, not last))
                width = outside
        if not halve:
            self.branch_pool = ConvNorm(inside, pooled, 1, 1, True)

    def _chain(self, x: Tensor, name: str, steps: Steps) -> list[Tensor]:
        for step, _, kernel in steps:
            if kernel is FORK:
                return [self.get_submodule(f"{name}{step}{side}")(x) for side in "ab"]
            x = self.get_submodule(name + step)(x)
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inside, H, W) to (N, sum of the chains' and the pool's channels, H', W')."""
        parts = [
            part for name, steps in self.chains.items() for part in self._chain(x, name, steps)
        ]
        if self.pool == "halve":
            parts.append(F.max_pool2d(x, 3, 2))
        elif self.pool == "max":
            parts.append(self.branch_pool(F.max_pool2d(x, 3, 1, 1)))
        else:
            average = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
            parts.append(self.branch_pool(average))
        return torch.cat(parts, dim=1)


class Inception(nn.Module):
    """Pictures to 2048 features; `torchmetrics` takes it as the `feature` of its own FID."""

    num_features = WIDTH

    def __init__(self) -> None:
        """Make the layers with random weights."""
        super().__init__()
        self.Conv2d_1a_3x3 = ConvNorm(3, 32, 3, 2, False)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, 3, 1, False)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, 3, 1, True)
        self.Conv2d_3b_1x1 = ConvNorm(64, 80, 1, 1, True)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, 3, 1, False)
        self.Mixed_5b = Mixed(192, _A, "average", 32)
        self.Mixed_5c = Mixed(256, _A, "average", 64)
        self.Mixed_5d = Mixed(288, _A, "average", 64)
        self.Mixed_6a = Mixed(288, _B, "halve", 0)
        self.Mixed_6b = Mixed(768, _c(128), "average", 192)
        self.Mixed_6c = Mixed(768, _c(160), "average", 192)
        self.Mixed_6d = Mixed(768, _c(160), "average", 192)
        self.Mixed_6e = Mixed(768, _c(192), "average", 192)
        self.Mixed_7a = Mixed(768, _D, "halve", 0)
        self.Mixed_7b = Mixed(1280, _E, "average", 192)
        self.Mixed_7c = Mixed(2048, _E, "max", 192)
        self.fc = nn.Linear(WIDTH, OUTPUTS)  # in the weights file; features end before it

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (N, 2048) float features of uint8 (N, 3, H, W) pictures.

        Resized to 299x299, bilinear and antialiased (as torchmetrics does), then (x - 128) / 128.
        """
        x = pictures.to(self.fc.weight.dtype)
        x = F.interpolate(x, (SIZE, SIZE), mode="bilinear", antialias=True)
        x = (x - 128.0) / 128.0  # (N, 3, 299, 299)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = F.max_pool2d(x, 3, 2)  # (N, 64, 73, 73)
        x = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)  # (N, 192, 35, 35)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))  # (N, 288, 35, 35)
        x = self.Mixed_6a(x)  # (N, 768, 17, 17)
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))  # (N, 2048, 8, 8)
        return x.mean(dim=(2, 3))
