"""Named LoRA adapters through peft, injected into the language model in place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from peft import (
    LoraConfig,
    get_peft_model_state_dict,
    inject_adapter_in_model,
    set_peft_model_state_dict,
)
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file
from torch import nn

from emosym.errors import EmoSymError
from emosym.files import write_atomic, write_json
from emosym.models.speed import swap_dropouts
from emosym.seeds import stream_seed

LANGUAGE_PROJECTIONS = (
    r".*language_model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)"
)
UNET_PROJECTIONS = r".*\.(to_q|to_k|to_v|to_out\.0)"


def lora_config(
    r: int, alpha: int, dropout: float, targets: str = LANGUAGE_PROJECTIONS
) -> LoraConfig:
    """Return a LoRA configuration over the projections that the pattern `targets` names."""
    return LoraConfig(r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets)


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
    expected = set(get_peft_model_state_dict(model, adapter_name=name))
    if expected != set(stripped):
        odd = sorted(expected ^ set(stripped))[:3]
        raise EmoSymError(f"The adapter in {folder} does not fit this backbone: {odd}.")
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
