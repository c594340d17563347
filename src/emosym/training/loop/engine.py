"""How accelerate runs a stage's losses: plainly, or through DDP or FSDP2.

The losses of a stage are one module, which holds all that is trained and is prepared once.
Sharded parameters are whole again after training: until then the plain ones hold nothing.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import DistributedType
from torch import nn
from torch.distributed.tensor import DTensor
from torch.optim import Muon, Optimizer

from emosym.errors import UsageError

Losses = dict[str, torch.Tensor]
LossFn = Callable[[int, np.ndarray], Losses]


@dataclass(frozen=True, slots=True)
class Engine:
    """A stage's losses, ready to run in this process.

    `losses` is what to call; `module` is the prepared module, None where nothing was to prepare.
    """

    accelerator: Accelerator
    losses: LossFn
    module: nn.Module | None
    sharded: bool
    plain: tuple[PlainModule, ...]


@dataclass(frozen=True, slots=True)
class PlainModule:
    """What a module was before its parameters were sharded."""

    module: nn.Module
    kind: type[nn.Module]
    keys: frozenset[str]
    hooks: Mapping[str, dict[Any, Any]]
    parameters: Mapping[str, nn.Parameter]


class StageLosses(nn.Module):
    """The losses of a stage as one module over everything that the stage trains."""

    def __init__(self, modules: Mapping[str, nn.Module], loss_fn: LossFn) -> None:
        """Hold the modules that `loss_fn` uses."""
        super().__init__()
        self.trained = nn.ModuleDict(modules)
        self._loss_fn = loss_fn
        kinds = {name for m in self.modules() for name in getattr(m, "_no_split_modules", ())}
        present = {type(m).__name__ for m in self.modules()}
        self._no_split_modules = sorted(kinds & present)  # each is a unit of FSDP2

    def forward(self, step: int, indices: np.ndarray) -> Losses:
        """Return the losses of the samples `indices`."""
        return self._loss_fn(step, indices)


def new_accelerator() -> Accelerator:
    """Return an Accelerator for training; how it distributes is the launcher's choice."""
    return Accelerator(kwargs_handlers=[DistributedDataParallelKwargs()])


def prepare(
    accelerator: Accelerator,
    modules: Mapping[str, nn.Module],
    optimizers: list[Optimizer],
    loss_fn: LossFn,
    uses_all: bool = False,
) -> Engine:
    """Prepare a stage's losses; the optimizers then hold the parameters that are trained.

    With `uses_all` every trained parameter takes part in the losses, but for alternatives such
    as heads of several label spaces; DDP then need not look for those that do not.

    Raises:
        UsageError: for DeepSpeed, FSDP version 1, and Muon on sharded parameters: it needs whole
            matrices.
    """
    kind = accelerator.distributed_type
    sharded = kind == DistributedType.FSDP
    if kind == DistributedType.DEEPSPEED:
        raise UsageError(
            "DeepSpeed is not supported. recipes/accelerate/fsdp2.yaml shards as ZeRO-3 does; with "
            "fsdp_reshard_after_forward: false weights are whole in a step, as in ZeRO-2."
        )
    if accelerator.num_processes == 1 and not sharded:
        return Engine(accelerator, loss_fn, None, False, ())
    losses = StageLosses(modules, loss_fn)
    if not sharded:
        accelerator.ddp_handler.find_unused_parameters = not uses_all or _has_alternatives(losses)
        module = accelerator.prepare_model(losses)
        return Engine(accelerator, module, module, False, ())
    if any(isinstance(optimizer, Muon) for optimizer in optimizers):
        raise UsageError(
            "Muon needs whole matrices, and FSDP shards them. Train with AdamW "
            "(optim.muon_lr=null), or launch with plain DDP."
        )
    return _shard(accelerator, losses, optimizers)


def _has_alternatives(module: nn.Module) -> bool:
    """Return whether a dict of trained modules has several, of which a step may use only one."""
    dicts = [m for m in module.modules() if isinstance(m, nn.ModuleDict)][1:]  # not `trained`
    trained = [[any(p.requires_grad for p in m.parameters()) for m in d.values()] for d in dicts]
    return any(sum(each) > 1 for each in trained)


def _shard(accelerator: Accelerator, losses: StageLosses, optimizers: list[Optimizer]) -> Engine:
    """Shard the parameters of a stage's modules with FSDP2, layer by layer."""
    plugin = accelerator.state.fsdp_plugin
    if plugin.fsdp_version != 2:
        raise UsageError("FSDP version 1 is not supported: set fsdp_version: 2.")
    # fully_shard takes no scalars (gain, temperature): their small modules stay whole.
    plugin.ignored_modules = [
        m for m in losses.modules() if any(p.dim() == 0 for p in m.parameters(recurse=False))
    ]
    plain = tuple(map(_remember, losses.modules()))
    module, *_ = accelerator.prepare(losses, *optimizers)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["foreach"], group["fused"] = False, False  # whole and sharded ones are mixed
    for before in plain:
        for name, parameter in before.parameters.items():
            if before.module._parameters[name] is not parameter:
                parameter.data = parameter.data.new_empty(0)
        if before.module is not losses and type(before.module) is not before.kind:
            before.module.register_forward_hook(_tie_cache_to_output, with_kwargs=True)
    return Engine(accelerator, module, module, True, plain)


def _tie_cache_to_output(
    layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
) -> None:
    """Let the last layer's keys depend, times 0, on its output.

    FSDP2 gathers a layer's weights when a gradient comes to its output. Later passes reach what
    the last layer left in the cache also where nobody uses its output, and found no weights.
    """
    cache = kwargs.get("past_key_values")
    attention: Any = getattr(layer, "self_attn", None)
    if cache is None or attention is None or attention.layer_idx != len(cache.layers) - 1:
        return
    hidden = output[0] if isinstance(output, tuple) else output  # (B, T, H)
    if hidden.requires_grad:
        entry = cache.layers[attention.layer_idx]
        entry.keys = entry.keys + 0 * hidden.flatten()[0].to(entry.keys.dtype)


def _remember(module: nn.Module) -> PlainModule:
    hooks = {k: dict(v) for k, v in vars(module).items() if "hooks" in k and isinstance(v, dict)}
    parameters = {k: p for k, p in module._parameters.items() if p is not None}
    return PlainModule(module, type(module), frozenset(vars(module)), hooks, parameters)


def close(engine: Engine) -> None:
    """Make the modules plain again, with whole parameters: the very ones of before."""
    for before in engine.plain:
        module = before.module
        for name, parameter in before.parameters.items():
            now = module._parameters[name]
            if isinstance(now, DTensor):
                if not parameter.numel():  # a tied weight is made whole once
                    parameter.data = now.full_tensor()
                module._parameters[name] = parameter
    for before in engine.plain:
        before.module.__class__ = before.kind
        for name, hooks in before.hooks.items():
            vars(before.module)[name].clear()
            vars(before.module)[name].update(hooks)
        for name in set(vars(before.module)) - before.keys:
            del vars(before.module)[name]
    if engine.module is not None:
        engine.accelerator.free_memory()
        gc.collect()  # else DDP's hooks stay on parameters that the next loop prepares again


def backward(
    engine: Engine, step: int, part: np.ndarray, parts: int, last: bool, bf16: bool
) -> Losses:
    """Compute the losses of a part of a batch and their gradients, summed up over the `parts`.

    Gradients are exchanged between processes after the last part only.
    """
    quiet: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    if engine.module is not None and not last:
        quiet = engine.accelerator.no_sync(engine.module)
    with quiet:
        device = engine.accelerator.device.type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
            losses = engine.losses(step, part)
        engine.accelerator.backward(losses["loss"] / parts)
    return losses


def clip(engine: Engine, parameters: list[nn.Parameter], largest: float) -> float:
    """Clip the gradients to a global norm; returns the norm before."""
    if engine.sharded:
        for parameter in parameters:
            if parameter.grad is not None and not isinstance(parameter.grad, DTensor):
                parameter.grad = engine.accelerator.reduce(parameter.grad, "mean")
    norm = engine.accelerator.clip_grad_norm_(parameters, largest)
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
