"""Random weights, byte vocabularies, and files as the official repositories have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from emosym.files import write_json
from emosym.seeds import stream_seed

STD = 0.02
SHARD = "2GB"


def fill(module: nn.Module, seed: int, name: str) -> nn.Module:
    """Give a model that was built on the meta device random bf16 weights: N(0, .02), norms 1."""
    module = nn.Module.to(module.to_empty(device="cpu"), torch.bfloat16)
    if hasattr(module, "tie_weights"):
        module.tie_weights()  # type: ignore[operator] # emptying untied them
    generator = torch.Generator().manual_seed(stream_seed(seed, f"snapshot-{name}"))
    kinds = {id(p): type(m).__name__ for m in module.modules() for p in m.parameters(recurse=False)}
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            if "Norm" in kinds[id(parameter)] and key.endswith("weight"):
                parameter.fill_(1.0)
            elif key.endswith("bias"):
                parameter.zero_()
            else:
                parameter.normal_(0.0, STD, generator=generator)
    return module


def built(kind: Any, config: Any) -> nn.Module:
    """Build a model of transformers or diffusers without allocating its weights."""
    with torch.device("meta"):
        model: nn.Module = kind(config) if not isinstance(config, dict) else kind(**config)
    return model


def byte_vocabulary(count: int, suffix: str = "") -> dict[str, int]:
    """Return `count` tokens: the 256 byte characters, with suffixed ones too, then fillers."""
    from tokenizers import pre_tokenizers

    tokens = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens += [f"{token}{suffix}" for token in tokens] if suffix else []
    tokens += [f"filler{i}" for i in range(count - len(tokens))]
    return {token: i for i, token in enumerate(tokens[:count])}


def write_index(folder: Path, kind: str, **parts: list[str]) -> None:
    """Write model_index.json as diffusers does."""
    import diffusers

    write_json(
        folder / "model_index.json",
        {"_class_name": kind, "_diffusers_version": diffusers.__version__, **parts},
    )


def save_model(model: Any, folder: Path, official: Callable[[str], str] = lambda key: key) -> None:
    """Write a model's configuration and sharded safetensors.

    `official` maps a key of today's class to the one in the published file (of one shard), where
    the library still writes its own.
    """
    model.save_pretrained(str(folder), max_shard_size=SHARD)
    for path in folder.glob("*.safetensors"):
        tensors = load_file(path)
        renamed = {official(key): tensor for key, tensor in tensors.items()}
        if renamed.keys() != tensors.keys():
            save_file(renamed, path, metadata={"format": "pt"})
