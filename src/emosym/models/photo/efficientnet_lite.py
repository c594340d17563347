"""EfficientNet-Lite1 (Tan and Le, 2019; the Lite variant without squeeze-and-excitation).

Only what reading features takes: inference, with the batch statistics of its ImageNet training.
Weights come from the package that carries them, see `emosym.models.presets`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

SIDE = 240  # what it was trained at, in pixels
MEAN, SCALE = 127.0, 128.0  # of 0..255: what it was trained with
EPSILON = 1e-3
HEAD, CLASSES = 1280, 1000


@dataclass(frozen=True, slots=True)
class StageShape:
    """One stage: `repeats` blocks from `inside` to `outside` channels, the first with a stride."""

    kernel: int
    stride: int
    expand: int
    inside: int
    outside: int
    repeats: int


STAGES = (
    StageShape(3, 1, 1, 32, 16, 1),
    StageShape(3, 2, 6, 16, 24, 3),
    StageShape(5, 2, 6, 24, 40, 3),
    StageShape(3, 2, 6, 40, 80, 4),
    StageShape(5, 1, 6, 80, 112, 4),
    StageShape(5, 2, 6, 112, 192, 5),
    StageShape(3, 1, 6, 192, 320, 1),
)


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow does: what cannot be shared evenly goes right and down."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, C', ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        high, wide = (
            max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:]
        )
        x = functional.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
        return super().forward(x)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON)


class Block(nn.Module):
    """An inverted residual block: widen, convolve each channel alone, narrow."""

    def __init__(self, shape: StageShape, first: bool) -> None:
        """Build one block of a stage; the first one has its stride and changes the channels."""
        super().__init__()
        inside = shape.inside if first else shape.outside
        stride = shape.stride if first else 1
        wide = inside * shape.expand
        self.residual = not first
        self.expand_conv = None
        if shape.expand != 1:
            self.expand_conv = SameConv(inside, wide, 1, bias=False)
            self.bn0 = _norm(wide)
        self.depthwise_conv = SameConv(wide, wide, shape.kernel, stride, groups=wide, bias=False)
        self.bn1 = _norm(wide)
        self.project_conv = SameConv(wide, shape.outside, 1, bias=False)
        self.bn2 = _norm(shape.outside)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, C', H', W')."""
        wide = x
        if self.expand_conv is not None:
            wide = functional.relu6(self.bn0(self.expand_conv(x)))
        wide = functional.relu6(self.bn1(self.depthwise_conv(wide)))
        narrow: torch.Tensor = self.bn2(self.project_conv(wide))
        return x + narrow if self.residual else narrow


class EfficientNetLite1(nn.Module):
    """The network up to its head, and the classifier of ImageNet's 1,000 classes."""

    def __init__(self) -> None:
        """Build it with random weights."""
        super().__init__()
        self.conv_stem = SameConv(3, STAGES[0].inside, 3, 2, bias=False)
        self.bn0 = _norm(STAGES[0].inside)
        self.blocks = nn.ModuleList(
            Block(shape, number == 0) for shape in STAGES for number in range(shape.repeats)
        )
        self.conv_head = SameConv(STAGES[-1].outside, HEAD, 1, bias=False)
        self.bn1 = _norm(HEAD)
        self.fc = nn.Linear(HEAD, CLASSES)

    def stages(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """Return what each of the seven stages makes of pictures, and the head: (B, C, H, W) each.

        `pictures` are (B, 3, H, W) of 0..255, as `SIDE` wide and high as it was trained at.
        """
        x = (pictures - MEAN) / SCALE
        x = functional.relu6(self.bn0(self.conv_stem(x)))
        found, blocks = [], iter(self.blocks)
        for shape in STAGES:
            for _ in range(shape.repeats):
                x = next(blocks)(x)
            found.append(x)
        return [*found, functional.relu6(self.bn1(self.conv_head(x)))]

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, 1000) of ImageNet's classes."""
        logits: torch.Tensor = self.fc(self.stages(pictures)[-1].mean(dim=(2, 3)))
        return logits


def renamed(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return published weights under the names used here."""
    return {
        key.removeprefix("_").replace("._", "."): value.contiguous()
        for key, value in tensors.items()
    }
