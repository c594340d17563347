"""Optimizers and learning-rate schedules shared by every stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

Schedule = Callable[[float], float]


class FlattenedMuon(Muon):
    """Muon over matrices and convolutions, each convolution seen as the matrix (out, in*kh*kw).

    torch's Muon takes matrices only. The flattened view shares memory with the weight, in the
    weight's own memory order: Muon's update does not depend on the order of the columns.
    """

    def __init__(self, weights: Iterable[nn.Parameter], **settings: Any) -> None:
        """Hold `weights` (each of 2 or more dimensions); other settings are torch's Muon's."""
        self._weights = list(weights)
        self._views = [nn.Parameter(_as_matrix(weight.data)) for weight in self._weights]
        super().__init__(self._views, **settings)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update every weight through its flattened view."""
        for weight, view in zip(self._weights, self._views, strict=True):
            if weight.data_ptr() != view.data_ptr():
                view.data = _as_matrix(weight.data)
            view.grad = None if weight.grad is None else _as_matrix(weight.grad, weight)
        return super().step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of the weights and of their views."""
        super().zero_grad(set_to_none)
        for weight in self._weights:
            weight.grad = None


def _as_matrix(tensor: torch.Tensor, like: torch.Tensor | None = None) -> torch.Tensor:
    """Flatten (out, in, kh, kw) to (out, -1), without a copy, in the memory order of `like`."""
    if tensor.dim() == 2:
        return tensor
    reference = tensor if like is None else like
    if tensor.dim() == 4 and not reference.is_contiguous():
        tensor = tensor.permute(0, 2, 3, 1)
    return tensor.reshape(tensor.shape[0], -1)


def build_optimizers(
    modules: Mapping[str, nn.Module],
    lr: float,
    weight_decay: float = 0.1,
    muon_lr: float | None = None,
) -> list[Optimizer]:
    """Return AdamW over every trainable parameter or, with `muon_lr`, Muon for the inner matrices.

    Embedding tables, vectors and scalars always stay with AdamW; biases, norms and embeddings get
    no weight decay.
    """
    matrices: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    seen: set[int] = set()
    for module in modules.values():
        tables = {
            id(p) for m in module.modules() if isinstance(m, nn.Embedding) for p in m.parameters()
        }
        for parameter in module.parameters():
            if not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            if parameter.dim() < 2 or id(parameter) in tables:
                plain.append(parameter)
            elif muon_lr is not None and min(parameter.shape[0], parameter[0].numel()) > 1:
                matrices.append(parameter)
            else:
                decayed.append(parameter)
    optimizers: list[Optimizer] = []
    if matrices and muon_lr is not None:
        optimizers.append(
            FlattenedMuon(
                matrices,
                lr=muon_lr,
                weight_decay=weight_decay,
                ns_steps=4,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if groups:
        optimizers.append(AdamW(groups, lr=lr, betas=(0.9, 0.98)))
    return optimizers


def cosine(warmup: float = 0.03) -> Schedule:
    """Return a linear warm-up over the first share `warmup`, then a cosine down to 0."""

    def multiplier(progress: float) -> float:
        if progress < warmup:
            return max(progress, 1e-3 * warmup) / warmup
        return 0.5 * (1.0 + math.cos(math.pi * (progress - warmup) / (1.0 - warmup)))

    return multiplier


def flat_then_decay(warmup: float = 0.01, decay: float = 0.4) -> Schedule:
    """Return a linear warm-up, a plateau, and a linear decay to 0 over the last share `decay`."""

    def multiplier(progress: float) -> float:
        if progress < warmup:
            return max(progress, 1e-3 * warmup) / warmup
        return min(1.0, (1.0 - progress) / decay)

    return multiplier
