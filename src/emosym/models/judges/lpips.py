"""LPIPS with AlexNet (Zhang et al. 2018), without torchvision.

The distance of two pictures: unit-normalised activations after each of AlexNet's five ReLUs, their
squared difference weighted by channel, averaged over places, summed over layers.

Our own because torchmetrics' LPIPS needs torchvision built for the same torch, and fetches AlexNet
where no local copy is in torch's cache; its learned heads come along and are used here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
CHANNELS = (64, 192, 384, 256, 256)
LEAST_SIDE = 35
"""Pixels a side below which AlexNet's pools have nothing left."""
_RELUS = (1, 4, 7, 9, 11)
_TINY = 1e-10


def alexnet_features() -> nn.Sequential:
    """Return AlexNet's convolutions up to the last ReLU, with the published weights' numbering."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
    )


class Lpips(nn.Module):
    """The distance as a network; `heads` are its learned channel weights, one (C,) a layer."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        """Make AlexNet with random weights and heads that weigh all channels alike."""
        super().__init__()
        self.features = alexnet_features()
        self.heads = nn.ParameterList(nn.Parameter(torch.ones(width)) for width in CHANNELS)
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1), persistent=False)

    def layers(self, pictures: Tensor) -> list[Tensor]:
        """Return the five activations (N, C, h, w) of (N, 3, H, W), unit length per place."""
        x = (pictures - self.shift) / self.scale
        found = []
        for place, layer in enumerate(self.features):
            x = layer(x)
            if place in _RELUS:
                found.append(x / (x.norm(dim=1, keepdim=True) + _TINY))
        return found

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return (N,) distances, 0 or more, of (N, 3, H, W) in [-1, 1]."""
        pairs = zip(self.layers(first), self.layers(second), self.heads, strict=True)
        parts = [
            torch.einsum("nchw,c->nhw", (a - b) ** 2, head).mean(dim=(1, 2))  # (N,)
            for a, b, head in pairs
        ]
        return torch.stack(parts).sum(dim=0)
