"""The networks behind the judges: two families that share no layer, and one head per question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emosym.errors import unknown_name

EMOTION_HEAD = "emotion"


@dataclass(frozen=True, slots=True)
class JudgeConfig:
    """What rebuilds a judge: its family, the names each head tells apart, its picture size."""

    name: str
    family: str
    heads: Mapping[str, tuple[str, ...]]
    size: int = 64
    widths: tuple[int, ...] = (32, 64, 112)
    depth: int = 3


class _Residual(nn.Module):
    """x + gain * conv(relu(conv(relu(x)))), gain starting at 0 (SkipInit, De and Smith 2020).

    No normalisation layer: on a CPU its backward costs more than the convolutions.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.second(F.relu(self.first(F.relu(x))))
        return x + self.gain * inner


class ResidualTrunk(nn.Module):
    """Convolutions at 1/2, 1/4 and 1/8 of the size with two residual blocks each."""

    def __init__(self, config: JudgeConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for index, width in enumerate(config.widths):
            layers.append(nn.Conv2d(before, width, 3, stride=2, padding=1))
            blocks = 1 if index == len(config.widths) - 1 else 2
            layers.extend(_Residual(width) for _ in range(blocks))
            before = width
        self.layers = nn.Sequential(*layers)
        self.width = 2 * before

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (N, 3, H, W) pixels in [-1, 1] to (N, 2W) features."""
        grid = F.relu(self.layers(pixels))  # (N, W, H/8, W/8)
        # The mean tells scene and light, the maximum whether a small thing is there at all.
        return torch.cat([grid.mean((2, 3)), grid.amax((2, 3))], dim=1)  # (N, 2W)


class _Block(nn.Module):
    """A pre-norm transformer block with plain (eager) attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.up = nn.Linear(width, 3 * width)
        self.down = nn.Linear(3 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(batch, length, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (N, heads, T, d)
        scores = query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5  # (N, heads, T, T)
        mixed = scores.softmax(-1).to(value.dtype) @ value  # (N, heads, T, d)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norm_mlp(x))))


class TransformerTrunk(nn.Module):
    """A plain convolutional stem to 1/8 of the size, then `depth` transformer blocks."""

    def __init__(self, config: JudgeConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for index, width in enumerate(config.widths):
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1), nn.GELU()]
            if index < len(config.widths) - 1:
                layers += [nn.Conv2d(width, width, 3, padding=1), nn.GELU()]
            before = width
        self.stem = nn.Sequential(*layers)
        tokens = (config.size // 2 ** len(config.widths)) ** 2
        self.position = nn.Parameter(torch.randn(1, tokens, before) * 0.02)
        self.blocks = nn.ModuleList(_Block(before, 4) for _ in range(config.depth))
        self.norm = nn.LayerNorm(before)
        self.width = 2 * before

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (N, 3, size, size) pixels in [-1, 1] to (N, 2W) features."""
        x = self.stem(pixels).flatten(2).transpose(1, 2) + self.position  # (N, T, W)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return torch.cat([x.mean(1), x.amax(1)], dim=1)  # (N, 2W)


FAMILIES: dict[str, type[ResidualTrunk] | type[TransformerTrunk]] = {
    "residual": ResidualTrunk,
    "transformer": TransformerTrunk,
}


class JudgeNet(nn.Module):
    """A trunk and one linear or two-layer head per thing to tell.

    The emotion head has a hidden layer: an emotion is a conjunction of cues that lie in different
    places of the picture, so they can only be combined after pooling.
    """

    def __init__(self, config: JudgeConfig) -> None:
        super().__init__()
        if config.family not in FAMILIES:
            raise unknown_name("judge family", config.family, FAMILIES)
        self.trunk = FAMILIES[config.family](config)
        width = self.trunk.width
        self.heads = nn.ModuleDict()
        for name, labels in config.heads.items():
            if name == EMOTION_HEAD:
                self.heads[name] = nn.Sequential(
                    nn.LayerNorm(width),
                    nn.Linear(width, 128),
                    nn.GELU(),
                    nn.Linear(128, 128),
                    nn.GELU(),
                    nn.Linear(128, len(labels)),
                )
            else:
                self.heads[name] = nn.Linear(width, len(labels))

    def forward(self, pixels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Map (N, 3, H, W) pixels in [-1, 1] to (N, D) features and (N, K) logits per head."""
        features = self.trunk(pixels)
        return features, {name: head(features) for name, head in self.heads.items()}
