"""Training state on disk: trainable weights, optimizers, step and numbers so far; no pickle.

A state is whole or absent, but for a disk that lost power or was filled: then its checksums do not
fit, and the state before it is used. Two are kept for that.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from emosym.errors import EmoSymError, UsageError
from emosym.files import disk_errors, read_json, sha256_of, sync

log = logging.getLogger(__name__)
KEPT = 2
METRICS = "metrics.jsonl"
DESCRIPTION = "state.json"
Weights = dict[str, torch.Tensor]


def trainable_tensors(modules: Mapping[str, nn.Module]) -> Weights:
    """Return the live tensors that training changes: trainable parameters and saved buffers."""
    found: Weights = {}
    seen: set[int] = set()  # a tied weight has two names: it is trained and clipped once
    for prefix, module in modules.items():
        frozen = {id(p) for p in module.parameters() if not p.requires_grad}
        for name, tensor in module.state_dict(keep_vars=True).items():
            if id(tensor) not in frozen and id(tensor) not in seen:
                seen.add(id(tensor))
                found[f"{prefix}.{name}"] = tensor
    return found


def save_state(
    folder: Path,
    step: int,
    weights: Weights,
    optimizers: list[Optimizer],
    average: Weights | None,
    run: str = "",
    main: bool = True,
) -> None:
    """Write folder/step-XXXXXXXX by a rename, then drop all but it and the one before.

    The numbers so far, metrics.jsonl beside the folder, go with it. Sharded tensors are put
    together first, so the files are the same for any number of processes. All processes must call
    this; only the `main` one writes.
    """
    wanted = main or any(isinstance(tensor, DTensor) for tensor in weights.values())
    if not wanted:
        return
    whole, whole_average = _portable(weights), None if average is None else _portable(average)
    described, tensors = _describe(optimizers)
    if not main:
        return
    final = folder / f"step-{step:08d}"
    temporary = folder / f".tmp-{step:08d}"
    with disk_errors(folder):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            save_file(whole, temporary / "weights.safetensors")
            if whole_average is not None:
                save_file(whole_average, temporary / "average.safetensors")
            save_file(tensors, temporary / "optimizer.safetensors")
            if (folder.parent / METRICS).is_file():
                shutil.copyfile(folder.parent / METRICS, temporary / METRICS)
            written = sorted(temporary.iterdir())
            told = {
                "format": 2,
                "name": run,
                "step": step,
                "sha256": {path.name: sha256_of(path) for path in written},
                "optimizers": described,
            }
            (temporary / DESCRIPTION).write_text(json.dumps(told))
            for path in (*written, temporary / DESCRIPTION, temporary):
                sync(path)
            if final.exists():
                shutil.rmtree(final)
            temporary.replace(final)
            sync(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    earlier = sorted(path for path in folder.glob("step-*") if path != final)
    for needless in (*earlier[: 1 - KEPT], *folder.glob(".torn-*")):
        shutil.rmtree(needless, ignore_errors=True)


def _describe(optimizers: list[Optimizer]) -> tuple[list[dict[str, Any]], Weights]:
    """Return what a state says of its optimizers as JSON, and their tensors by name."""
    described: list[dict[str, Any]] = []
    tensors: Weights = {}
    for i, optimizer in enumerate(optimizers):
        state = optimizer.state_dict()
        scalars: dict[str, Any] = {}
        for index, slots in state["state"].items():
            for name, value in slots.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"{i}.{index}.{name}"] = value
                else:
                    scalars[f"{index}.{name}"] = value
        described.append({"param_groups": state["param_groups"], "scalars": scalars})
    return described, _portable(tensors)


def latest_state(folder: Path) -> Path | None:
    """Return the newest whole state in `folder`, or None; a torn one is set aside, and said so."""
    states = sorted(folder.glob("step-*"))
    torn: list[tuple[Path, str]] = []
    while states:
        fault = fault_of(states[-1])
        if fault is None:
            break
        torn.append((states.pop(), fault))
    then = f"goes on from {states[-1].name}" if states else "begins anew"
    for path, fault in torn:
        log.warning("The training state %s is torn (%s): training %s.", path, fault, then)
        aside = folder / f".torn-{path.name}"
        shutil.rmtree(aside, ignore_errors=True)
        with suppress(OSError):
            path.replace(aside)  # the next state that is written removes it
    return states[-1] if states else None


def fault_of(state: Path) -> str | None:
    """Return what is wrong with the files of a state, or None where it is whole.

    States of format 1 have no checksums: of those it is checked that their files can be read.
    """
    try:
        described = read_json(state / DESCRIPTION, DESCRIPTION)
        step, sums = described["step"], dict(described.get("sha256", {}))
        if not isinstance(step, int) or state.name != f"step-{step:08d}":
            return f"{DESCRIPTION} is of step {step}"
        if not isinstance(described["name"], str) or not isinstance(described["optimizers"], list):
            return f"{DESCRIPTION} is no description of a state"
    except UsageError:
        return f"{DESCRIPTION} cannot be read"
    except (AttributeError, KeyError, TypeError, ValueError):
        return f"{DESCRIPTION} is no description of a state"
    for name in ("weights.safetensors", "optimizer.safetensors", *sums):
        try:
            if not sums:
                load_file(state / name)
            elif sha256_of(state / name) != sums.get(name):
                return f"{name} is not what was written"
        except FileNotFoundError:
            return f"{name} is missing"
        except (OSError, SafetensorError):
            return f"{name} cannot be read"
    return None


def load_state(
    path: Path,
    weights: Weights,
    optimizers: list[Optimizer],
    average: Weights | None,
    run: str = "",
) -> int:
    """Load a whole state in place and return the number of steps it has done.

    Raises:
        EmoSymError: when the state is of another run's name, or of other parameters than given.
    """
    described = read_json(path / DESCRIPTION, "training state")
    if described.get("name", "") != run:
        raise EmoSymError(
            f"The training state {path} is of the run {described.get('name')!r}, not {run!r}. "
            "Choose another output folder, or remove that state to start afresh."
        )
    _copy_into(load_file(path / "weights.safetensors"), weights, path)
    if average is not None:
        if not (path / "average.safetensors").is_file():  # that run kept none
            raise _other_run(path)
        _copy_into(load_file(path / "average.safetensors"), average, path)
    tensors = load_file(path / "optimizer.safetensors")
    if len(described["optimizers"]) != len(optimizers):
        raise _other_run(path)
    for i, (optimizer, saved) in enumerate(zip(optimizers, described["optimizers"], strict=True)):
        state: dict[int, dict[str, Any]] = {}
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for key, tensor in tensors.items():
            owner, index, name = key.split(".", 2)
            if int(owner) == i:
                live = parameters[int(index)] if int(index) < len(parameters) else tensor
                state.setdefault(int(index), {})[name] = _shard_like(tensor, live)
        for key, value in saved["scalars"].items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value
        try:
            optimizer.load_state_dict(
                {"state": state, "param_groups": _with_own_kernels(optimizer, saved)}
            )
        except ValueError as error:
            raise _other_run(path) from error
    return int(described["step"])


def _with_own_kernels(optimizer: Optimizer, saved: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return saved groups that compute as `optimizer` does now: shards have other kernels."""
    groups: list[dict[str, Any]] = [dict(group) for group in saved["param_groups"]]
    for group, own in zip(groups, optimizer.param_groups, strict=False):
        group.update({name: own[name] for name in ("foreach", "fused") if name in own})
    return groups


def _copy_into(saved: Weights, live: Weights, path: Path) -> None:
    """Copy saved tensors into the live ones, which must match by name and shape."""
    if set(saved) != set(live) or any(saved[k].shape != live[k].shape for k in saved):
        raise _other_run(path)
    with torch.no_grad():
        for name, tensor in live.items():
            tensor.copy_(_shard_like(saved[name], tensor))


def _shard_like(whole: torch.Tensor, live: torch.Tensor) -> torch.Tensor:
    """Return this process's shard of a tensor if `live` is sharded and of that shape."""
    if not isinstance(live, DTensor) or whole.shape != live.shape:
        return whole
    placed = whole.to(device=live.device, dtype=live.dtype)
    return distribute_tensor(placed, live.device_mesh, live.placements, src_data_rank=None)


def here(tensor: torch.Tensor) -> torch.Tensor:
    """Return what this process holds of a tensor, sharing its memory."""
    detached = tensor.detach()
    return detached.to_local() if isinstance(detached, DTensor) else detached


def _other_run(path: Path) -> EmoSymError:
    return EmoSymError(
        f"The training state {path} belongs to a run with other parameters. Choose another "
        "output folder, or remove that state to start afresh."
    )


def _portable(tensors: Weights) -> Weights:
    """Return whole, detached, contiguous CPU copies, as safetensors needs them."""
    found: Weights = {}
    for name, tensor in tensors.items():
        whole = tensor.detach()
        if isinstance(whole, DTensor):
            whole = whole.full_tensor()
        found[name] = whole.to("cpu", copy=True).contiguous()
    return found
