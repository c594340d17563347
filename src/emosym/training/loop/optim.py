"""Optimizers and learning-rate schedules shared by every stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

from emosym.device import has_bf16
from emosym.models.speed import in_use

Schedule = Callable[[float], float]


class FlattenedMuon(Muon):
    """Muon over matrices and convolutions, each convolution seen as the matrix (out, in*kh*kw).

    torch's Muon takes matrices only, one after the other; here matrices of one shape go through
    the iteration together. The flattened view shares memory with the weight, in the weight's own
    memory order: Muon's update does not depend on the order of the columns.
    """

    def __init__(self, weights: Iterable[nn.Parameter], **settings: Any) -> None:
        """Hold `weights` (each of 2 or more dimensions); other settings are torch's Muon's."""
        self._weights = list(weights)
        self._views = [nn.Parameter(_as_matrix(weight.data)) for weight in self._weights]
        self._batched = in_use("muon_batch")
        super().__init__(self._views, **settings)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update every weight through its flattened view."""
        for weight, view in zip(self._weights, self._views, strict=True):
            if weight.data_ptr() != view.data_ptr():
                view.data = _as_matrix(weight.data)
            view.grad = None if weight.grad is None else _as_matrix(weight.grad, weight)
        if not self._batched:
            return super().step(closure)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            alike: dict[tuple[torch.Size, torch.device], list[torch.Tensor]] = {}
            for view in group["params"]:
                if view.grad is not None:
                    alike.setdefault((view.shape, view.device), []).append(view)
            for views in alike.values():
                self._step_alike(views, group)
        return loss

    def _step_alike(self, views: list[torch.Tensor], group: Mapping[str, Any]) -> None:
        """Update matrices of one shape, as torch's Muon updates each."""
        grads = [view.grad for view in views if view.grad is not None]
        for view in views:
            if "momentum_buffer" not in self.state[view]:
                self.state[view]["momentum_buffer"] = torch.zeros_like(view)
        buffers = [self.state[view]["momentum_buffer"] for view in views]
        momentum, lr = group["momentum"], float(group["lr"])
        torch._foreach_lerp_(buffers, grads, 1 - momentum)
        updates: Sequence[torch.Tensor] = buffers
        if group["nesterov"]:
            updates = torch._foreach_lerp(grads, buffers, momentum)
        settings = (group["ns_coefficients"], group["ns_steps"], group["eps"])
        directions = orthogonalise(torch.stack(tuple(updates)), *settings)
        rows, columns = views[0].shape
        scale = max(1, rows / columns) ** 0.5
        if group["adjust_lr_fn"] == "match_rms_adamw":
            scale = 0.2 * max(rows, columns) ** 0.5
        torch._foreach_mul_(views, 1 - lr * group["weight_decay"])
        torch._foreach_add_(views, list(directions.to(views[0].dtype)), alpha=-lr * scale)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of the weights and of their views."""
        super().zero_grad(set_to_none)
        for weight in self._weights:
            weight.grad = None


def orthogonalise(
    matrices: torch.Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> torch.Tensor:
    """Return about U V^T of each matrix U S V^T in (N, R, C), by Newton-Schulz steps.

    In bf16 where that is fast (`device.has_bf16`), else in float32.

    X <- a X + (b A + c A A) X with A = X X^T (Jordan et al., 2024: Muon).
    """
    a, b, c = coefficients
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.to(torch.bfloat16 if has_bf16() else torch.float32)
    x = x.mT if tall else x  # (N, short, long)
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=eps)
    # A batch of one costs more than its matrix.
    x, product = (x[0], torch.addmm) if len(x) == 1 else (x, torch.baddbmm)
    for _ in range(steps):
        gram = x @ x.mT
        x = product(x, product(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    x = x.mT if tall else x
    return x if x.dim() == 3 else x[None]


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
    no weight decay. A module is a table where it is an nn.Embedding or says `holds_embeddings`.
    """
    matrices: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    seen: set[int] = set()
    for module in modules.values():
        tables = {
            id(p)
            for m in module.modules()
            if isinstance(m, nn.Embedding) or getattr(m, "holds_embeddings", False)
            for p in m.parameters()
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
        optimizers.append(AdamW(groups, lr=lr, betas=(0.9, 0.98), fused=_can_fuse(groups)))
    return optimizers


def _can_fuse(groups: list[dict[str, Any]]) -> bool:
    """Return whether AdamW can update all weights in one call each, here many small ones."""
    kinds = {p.device.type for group in groups for p in group["params"]}
    floating = all(p.is_floating_point() for group in groups for p in group["params"])
    return floating and kinds <= {"cpu", "cuda"}


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
