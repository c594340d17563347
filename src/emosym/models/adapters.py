"""Named LoRA adapters through peft, injected into the language model in place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import (
    LoraConfig,
    get_peft_model_state_dict,
    inject_adapter_in_model,
    set_peft_model_state_dict,
)
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.pytorch_utils import Conv1D

from emosym.errors import EmoSymError
from emosym.files import write_atomic, write_json
from emosym.models.reader.prefix import language_model, spares_prompt, text_config
from emosym.models.speed import swap_dropouts
from emosym.seeds import stream_seed

LANGUAGE_PROJECTIONS = (
    r".*language_model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)"
)
UNET_PROJECTIONS = r".*\.(to_q|to_k|to_v|to_out\.0)"
ROUTERS = ("gate", "router")  # which expert a token goes to is not adapted


def lora_config(
    r: int,
    alpha: int,
    dropout: float,
    targets: str = LANGUAGE_PROJECTIONS,
    transposed: bool = False,
) -> LoraConfig:
    """Return a LoRA configuration over the projections that the pattern `targets` names.

    `transposed` says that their weights are (in, out), as those of GPT-2.
    """
    return LoraConfig(
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=targets,
        fan_in_fan_out=transposed,
    )


def language_lora(
    backbone: nn.Module, r: int, alpha: int, dropout: float, last: int | None = None
) -> LoraConfig:
    """Return a LoRA configuration over every projection of a language model, whatever its names.

    `last` says of how many of its last layers, None of all: below them nothing has a gradient, and
    a step costs less.

    Raises:
        EmoSymError: when its layers have none.
    """
    count = int(text_config(backbone).num_hidden_layers)
    first = 0 if last is None else max(count - last, 0)
    numbers = r"\d+" if first == 0 else f"({'|'.join(map(str, range(first, count)))})"
    if any(re.fullmatch(LANGUAGE_PROJECTIONS, name) for name, _ in backbone.named_modules()):
        return lora_config(r, alpha, dropout, LANGUAGE_PROJECTIONS.replace(r"\d+", numbers))
    decoder = language_model(backbone)
    place = next(name for name, module in backbone.named_modules() if module is decoder)
    stacks = {
        name: module
        for name, module in decoder.named_modules(prefix=place)
        if isinstance(module, nn.ModuleList)
    }
    layers = max(stacks, key=lambda name: len(stacks[name]), default="")
    found = {
        inside: layer
        for block in stacks.get(layers, ())
        for inside, layer in block.named_modules()
        if isinstance(layer, nn.Linear | Conv1D) and inside.split(".")[-1] not in ROUTERS
    }
    if not found:
        raise EmoSymError(
            f"A {type(backbone).__name__} has no layers of linear projections that an adapter "
            "could stand on: set lora.r=0, or take another base."
        )
    names = "|".join(sorted(map(re.escape, found)))
    transposed = all(isinstance(layer, Conv1D) for layer in found.values())
    return lora_config(r, alpha, dropout, rf"{re.escape(layers)}\.{numbers}\.({names})", transposed)


def add_adapter(model: nn.Module, config: LoraConfig, name: str, seed: int) -> int:
    """Inject a fresh adapter, drawn from the stream (seed, "adapter-init"); others are frozen.

    Returns the number of layers that got one. Raises EmoSymError when none did.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, f"adapter-init-{name}"))
        try:
            inject_adapter_in_model(config, model, adapter_name=name)
        except ValueError as error:
            raise EmoSymError(
                f"No layer matches the adapter's pattern {config.target_modules!r}: this backbone "
                "names its projections differently."
            ) from error
    _prepare(model, name)
    return sum(name in getattr(layer, "lora_A", {}) for layer in _adapted(model))


def train_adapter(model: nn.Module, name: str, trainable: bool) -> list[nn.Parameter]:
    """Make one adapter's weights trainable or frozen, and freeze all others of `model`."""
    chosen: list[nn.Parameter] = []
    for key, parameter in model.named_parameters():
        mine = f".lora_A.{name}." in key or f".lora_B.{name}." in key
        parameter.requires_grad_(mine and trainable)
        if mine:
            chosen.append(parameter)
    return chosen


@contextmanager
def merged_adapter(model: nn.Module, name: str) -> Iterator[int]:
    """Within the block a frozen adapter is part of the weights it adapts; yields of how many.

    One product then does the work of three. Only fp32 weights take part: in bf16 a weight would
    swallow the smaller half of what the adapter adds. Afterwards the weights are the very same
    tensors as before; meanwhile a second copy of them is in memory. Where prompts are read without
    the adapter nothing is merged.
    """
    if spares_prompt(model):
        yield 0
        return
    before: list[tuple[LoraLayer, nn.Parameter, torch.Tensor]] = []
    try:
        for layer in _adapted(model):
            if isinstance(layer, LoraLayer) and _can_merge(layer, name):
                weight = layer.get_base_layer().weight
                before.append((layer, weight, weight.data))
                weight.data = weight.data + layer.get_delta_weight(name)
                layer.merged_adapters.append(name)
        yield len(before)
    finally:
        for layer, weight, data in before:
            weight.data = data
            layer.merged_adapters.remove(name)


def _can_merge(layer: LoraLayer, name: str) -> bool:
    """Return whether a layer has this adapter alone, frozen, on a plain fp32 weight."""
    weight = getattr(layer.get_base_layer(), "weight", None)
    plain = type(weight) is nn.Parameter and weight.dtype == torch.float32
    alone = layer.active_adapters == [name] and name in layer.lora_A and not layer.merged_adapters
    mine = [m for kind in (layer.lora_A, layer.lora_B) for m in kind.values()]
    frozen = not any(p.requires_grad for m in mine for p in m.parameters())
    return (
        plain and alone and frozen and name in layer.lora_A and hasattr(layer, "get_delta_weight")
    )


@contextmanager
def without_adapters(model: nn.Module) -> Iterator[None]:
    """Within the block the model computes as its base does, without any adapter."""
    layers = [layer for layer in _adapted(model) if not layer.disable_adapters]
    trained = {key: p.requires_grad for key, p in model.named_parameters()}
    try:
        for layer in layers:
            layer.enable_adapters(False)
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)
        for key, parameter in model.named_parameters():  # peft switches them, too
            parameter.requires_grad_(trained[key])


def save_adapter(model: nn.Module, name: str, folder: Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors, as PEFT reads them."""
    config = _configs(model)[name]
    weights = get_peft_model_state_dict(model, adapter_name=name)
    portable = {
        key.removeprefix("base_model.model."): value.detach().cpu().contiguous()
        for key, value in weights.items()
    }
    prefixed = {f"base_model.model.{key}": value for key, value in portable.items()}
    write_atomic(folder / "adapter_model.safetensors", lambda path: save_file(prefixed, path))
    described = config.to_dict()
    described["target_modules"] = config.target_modules
    serial = {k: sorted(v) if isinstance(v, set) else v for k, v in described.items()}
    write_json(folder / "adapter_config.json", {k: _plain(v) for k, v in serial.items()})


def load_adapter(model: nn.Module, name: str, folder: Path) -> None:
    """Inject the adapter saved in `folder` under `name`.

    Raises:
        EmoSymError: when a weight of the adapter is missing or does not fit.
    """
    config = LoraConfig.from_pretrained(str(folder))
    if not isinstance(config, LoraConfig):
        raise EmoSymError(f"{folder} does not hold a LoRA adapter.")
    inject_adapter_in_model(config, model, adapter_name=name)
    _prepare(model, name)
    weights = load_file(folder / "adapter_model.safetensors")
    stripped = {key.removeprefix("base_model.model."): value for key, value in weights.items()}
    wanted = get_peft_model_state_dict(model, adapter_name=name)
    odd = sorted(set(wanted) ^ set(stripped))
    odd += [key for key in wanted if key in stripped and wanted[key].shape != stripped[key].shape]
    if odd:
        raise EmoSymError(
            f"The adapter in {folder} does not fit this backbone, it is of another: {odd[:3]}."
        )
    set_peft_model_state_dict(model, stripped, adapter_name=name)


def has_adapter(model: nn.Module, name: str) -> bool:
    """Return whether an adapter of this name is injected."""
    return name in _configs(model)


def _prepare(model: nn.Module, name: str) -> None:
    """Give adapters the cheap dropout, and fp32 weights on any base: bf16 ones would stall."""
    for layer in _adapted(model):
        swap_dropouts(layer)
    for key, parameter in model.named_parameters():
        if f".lora_A.{name}." in key or f".lora_B.{name}." in key:
            parameter.data = parameter.data.float()


def _adapted(model: nn.Module) -> Iterator[BaseTunerLayer]:
    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            yield module


def _configs(model: nn.Module) -> dict[str, LoraConfig]:
    configs: dict[str, LoraConfig] = getattr(model, "peft_config", {})
    return configs


def _plain(value: object) -> object:
    """Make enums and sets of a PEFT configuration JSON-able."""
    plain = (str, int, float, bool, list, dict, type(None))
    return value if isinstance(value, plain) else str(value)


def take_adapter(model: nn.Module, name: str) -> tuple[LoraConfig, dict[str, torch.Tensor]]:
    """Remove an adapter from a model; returns its configuration and a copy of its weights."""
    config = _configs(model)[name]
    found = get_peft_model_state_dict(model, adapter_name=name)
    weights = {key: value.detach().clone() for key, value in found.items()}
    remove_adapter(model, name)
    return config, weights


def put_adapter(
    model: nn.Module, name: str, config: LoraConfig, weights: Mapping[str, torch.Tensor]
) -> None:
    """Inject an adapter with the weights that `take_adapter` returned."""
    inject_adapter_in_model(config, model, adapter_name=name)
    _prepare(model, name)
    loaded = set_peft_model_state_dict(model, dict(weights), adapter_name=name)
    assert not loaded.unexpected_keys, loaded.unexpected_keys


def remove_adapter(model: nn.Module, name: str) -> None:
    """Remove an adapter; the layers that it stood on compute as if it had never been."""
    for layer in _adapted(model):
        layer.delete_adapter(name)
    _configs(model).pop(name, None)
    if not _configs(model) and hasattr(model, "peft_config"):
        del model.peft_config
