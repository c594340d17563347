"""What makes training cheaper on a CPU; the numbers stay the same, up to rounding.

Each measure can be left out by name, and then the libraries' own path runs:
EMOSYM_LEAVE_OUT="channels_last group_norm", or "all". benchmarks/training.py measures each.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from emosym.device import cpu_plan
from emosym.errors import unknown_name

LEAVE_OUT = "EMOSYM_LEAVE_OUT"
MEASURES = (
    "channels_last",
    "dropout",
    "freed_memory",
    "group_norm",
    "muon_batch",
    "patch_matmul",
    "short_prefill",
    "vision_batch",
)
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


def in_use(measure: str) -> bool:
    """Return whether one of MEASURES is to be taken: yes, unless EMOSYM_LEAVE_OUT names it.

    Raises:
        UsageError: when EMOSYM_LEAVE_OUT names no measure.
    """
    left_out = os.environ.get(LEAVE_OUT, "").split()
    for name in left_out:
        if name not in (*MEASURES, "all"):
            raise unknown_name(LEAVE_OUT, name, (*MEASURES, "all"))
    return measure not in left_out and "all" not in left_out


def attention_kind() -> str:
    """Return transformers' `attn_implementation` to use: measured on a CPU, sdpa elsewhere."""
    return "sdpa" if torch.cuda.is_available() else cpu_plan().attention


def prepare_for_cpu(module: nn.Module) -> nn.Module:
    """Give a U-Net or autoencoder the CPU's fast paths, in place: layout, norms, attention."""
    if in_use("channels_last"):
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if in_use("group_norm"):
        swap_group_norms(module)
    if hasattr(module, "set_attn_processor") and cpu_plan().attention == "eager":
        from diffusers.models.attention_processor import AttnProcessor

        # Diffusers' default is scaled_dot_product_attention, whose backward is slow on some CPUs.
        module.set_attn_processor(AttnProcessor())  # type: ignore[operator]
    return module


def swap_group_norms(module: nn.Module) -> int:
    """Replace every plain GroupNorm below `module` by FastGroupNorm; return how many."""
    swapped = 0
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.GroupNorm and child.affine:
                setattr(parent, name, FastGroupNorm.sharing(child))
                swapped += 1
    return swapped


def swap_dropouts(module: nn.Module) -> int:
    """Replace every plain Dropout below `module` by FastDropout; return how many."""
    swapped = 0
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Dropout and in_use("dropout"):
                setattr(parent, name, FastDropout(child.p).train(child.training))
                swapped += 1
    return swapped


def keep_freed_memory() -> bool:
    """Keep freed memory in this process, so that large tensors need no new pages each step.

    glibc returns blocks of some MB to the system at once; the page faults of getting them back
    cost up to ten times the arithmetic of a GroupNorm. Returns whether the C library took it.
    """
    if not sys.platform.startswith("linux") or not in_use("freed_memory"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library than glibc
        return False
    limits = {M_MMAP_THRESHOLD: 32 << 20, M_TRIM_THRESHOLD: (1 << 31) - 1, M_TOP_PAD: 64 << 20}
    return all(mallopt(name, limit) == 1 for name, limit in limits.items())


class FastDropout(nn.Dropout):
    """Dropout whose mask takes 16 random bits an element, a third of torch's cost on a CPU.

    The same law as nn.Dropout with p rounded to a multiple of 2^-16, from other draws of the same
    generator.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Zero elements with probability p and scale the others by 1 / (1 - p), when training."""
        dropped = round(self.p * 65536)
        if not self.training or input.device.type != "cpu" or not 0 < dropped < 65536:
            return super().forward(input)
        words = torch.empty(-(-input.numel() // 4), dtype=torch.int64)
        words.random_(torch.iinfo(torch.int64).min, None)  # all 64 bits
        bits = words.view(torch.int16)[: input.numel()].view(input.shape)
        kept = (bits >= dropped - 32768).to(input.dtype)
        return input * kept.mul_(65536 / (65536 - dropped))


class FastGroupNorm(nn.GroupNorm):
    """GroupNorm that computes in fp32 with its own backward; same parameters and state keys."""

    @classmethod
    def sharing(cls, norm: nn.GroupNorm) -> FastGroupNorm:
        """Return a FastGroupNorm that holds the very parameters of `norm`."""
        new = cls(norm.num_groups, norm.num_channels, norm.eps, device="meta")
        new.weight, new.bias = norm.weight, norm.bias
        return new.train(norm.training)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise (B, C, H, W) or (B, C, L) over each group's channels and positions."""
        if input.device.type != "cpu":
            return super().forward(input)
        apply: Callable[..., torch.Tensor] = _GroupNorm.apply
        return apply(input, self.weight, self.bias, self.num_groups, self.eps)


class _GroupNorm(torch.autograd.Function):
    """Group normalisation (Wu and He, 2018) with channels innermost in memory.

    With x^ = (x - mean) / s per group of m values and g = dL/dy * w:
    dL/dx = (g - avg(g) - x^ avg(g x^)) / s, which is affine in (dL/dy, x) per channel.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        groups: int,
        eps: float,
    ) -> torch.Tensor:
        batch, channels = x.shape[:2]
        rows = _rows(x)  # (B, P, C) fp32
        count = rows.shape[1] * (channels // groups)
        mean = rows.sum(1).view(batch, groups, -1).sum(-1, keepdim=True) / count  # (B, G, 1)
        centred = rows - _per_channel(mean, channels)
        variance = (centred * centred).sum(1).view(batch, groups, -1).sum(-1, keepdim=True) / count
        inverse = (variance + eps).rsqrt()  # (B, G, 1)
        scale = (inverse * weight.float().view(groups, -1)).view(batch, 1, channels)
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.groups = groups
        return _unrows(torch.addcmul(bias.float(), centred, scale), x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        groups, (batch, channels) = ctx.groups, x.shape[:2]
        rows, grad = _rows(x), _rows(gradients[0])  # (B, P, C) fp32
        count = rows.shape[1] * (channels // groups)
        grad_sum = grad.sum(1).view(batch, groups, -1)  # (B, G, C/G)
        product = (grad * rows).sum(1).view(batch, groups, -1)
        grad_hat = (product - mean * grad_sum) * inverse  # sum over positions of dL/dy * x^
        weights = weight.float().view(groups, -1)
        average = (grad_sum * weights).sum(-1, keepdim=True) / count  # (B, G, 1)
        average_hat = (grad_hat * weights).sum(-1, keepdim=True) / count
        by_grad = (weights * inverse).reshape(batch, 1, channels)
        by_x = _per_channel(-average_hat * inverse * inverse, channels)
        constant = _per_channel((average_hat * inverse * mean - average) * inverse, channels)
        grad_x = torch.addcmul(constant, rows, by_x).addcmul_(grad, by_grad)
        grad_weight = grad_hat.sum(0).reshape(-1).to(weight.dtype)
        grad_bias = grad_sum.sum(0).reshape(-1).to(weight.dtype)
        return _unrows(grad_x, x), grad_weight, grad_bias, None, None


def _rows(x: torch.Tensor) -> torch.Tensor:
    """View (B, C, *) as fp32 (B, P, C)."""
    return x.flatten(2).transpose(1, 2).float() if x.dim() == 3 else _rows_of_image(x)


def _rows_of_image(x: torch.Tensor) -> torch.Tensor:
    batch, channels, height, width = x.shape
    return x.permute(0, 2, 3, 1).reshape(batch, height * width, channels).float()


def _unrows(rows: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Bring (B, P, C) back to the shape and type of `like`, channels innermost."""
    batch, channels, *spatial = like.shape
    moved = rows.to(like.dtype).view(batch, *spatial, channels)
    return moved.movedim(-1, 1)


def _per_channel(per_group: torch.Tensor, channels: int) -> torch.Tensor:
    """Spread (B, G, 1) to (B, 1, C)."""
    batch, groups, _ = per_group.shape
    return per_group.expand(batch, groups, channels // groups).reshape(batch, 1, channels)
