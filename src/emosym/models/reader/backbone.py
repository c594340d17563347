"""Loading the frozen image-text-to-text model that a reader stands on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.utils import is_flash_attn_2_available

from emosym.errors import UsageError
from emosym.extras import require
from emosym.files import read_json
from emosym.models.chat import ChatModel, load_processors
from emosym.models.presets import Base
from emosym.models.quiet import quiet_loading
from emosym.models.reader.prefix import family
from emosym.models.reader.vision import prepare_vision
from emosym.models.snapshots import bytes_needed, locate, require_fit, require_memory, weight_files
from emosym.models.speed import attention_kind

log = logging.getLogger(__name__)
FOUR_BIT_SHARE = 0.35  # of the bytes in bf16: 4 of 16 bits, scales, and what is not quantised


def open_chat(base: Base, device: str = "cpu", four_bit: bool = False) -> ChatModel:
    """Load a base's image-text-to-text model with what feeds it; errors as in `load_backbone`."""
    folder = locate(base.reader, f"reader of {base.name}")
    backbone = load_backbone(base, device, four_bit)
    tokenizer, images, own = load_processors(folder, family(backbone), base.max_pixels)
    return ChatModel(backbone, tokenizer, images, base.image_size, own)


def load_backbone(base: Base, device: str = "cpu", four_bit: bool = False) -> nn.Module:
    """Load the frozen image-text-to-text model of a base, in its dtype, in evaluation mode.

    Older official checkpoints have other key names: transformers converts them.

    Raises:
        UsageError: when the folder is not here, or of another kind of model.
        EmoSymError: when weights are missing, left over or damaged (never a silently untrained
            model), or when memory is too small: said before anything is read.
    """
    folder = locate(base.reader, f"reader of {base.name}")
    require_architecture(folder, base)
    needed = bytes_needed(weight_files(folder), base.dtype)
    share = FOUR_BIT_SHARE if four_bit else 1.0
    require_memory(round(needed * share), device, f"reader of {base.name}")
    options: dict[str, Any] = {"attn_implementation": attention_for(base, device)}
    if four_bit:
        options |= {"quantization_config": four_bit_config(), "device_map": {"": device}}
    with quiet_loading():
        model, report = AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype=base.torch_dtype(),
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
    require_fit(folder, report)
    visual = getattr(model.model, "visual", None)
    if visual is not None and base.image_size is not None:  # pictures of one size
        prepare_vision(visual)
    model = model if four_bit else model.to(device)
    return model.requires_grad_(False).eval()


def require_architecture(folder: Path, base: Base) -> None:
    """Raise UsageError unless a folder's configuration is of an image-text-to-text model."""
    described = read_json(folder / "config.json", f"configuration of the reader of {base.name}")
    kind = str(described.get("model_type")) if isinstance(described, dict) else "None"
    if kind not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        raise UsageError(
            f"{folder} holds a {kind!r} model, which does not read pictures and text: a reader is "
            "an image-text-to-text model, such as Qwen/Qwen2-VL-2B-Instruct."
        )
    try:
        AutoConfig.from_pretrained(folder, local_files_only=True)
    except (ValueError, TypeError, KeyError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise UsageError(f"The configuration in {folder} cannot be read: {reason}") from error


def attention_for(base: Base, device: str) -> str:
    """Return the attention to load with, and say once where FlashAttention is not to be had.

    The small preset takes what was measured for this CPU; the others FlashAttention 2 on a GPU
    that has it (for the prefill; the tokens after it go through `prefix_cache`), else sdpa.
    """
    if base.image_size is not None:
        return attention_kind()
    if not device.startswith("cuda"):
        return "sdpa"
    if is_flash_attn_2_available() and base.dtype != "float32":
        return "flash_attention_2"
    log.info("FlashAttention 2 is not installed: %s attends by sdpa.", base.name)
    return "sdpa"


def four_bit_config() -> Any:
    """Return the 4-bit NF4 configuration of QLoRA (Dettmers et al., 2023).

    Raises:
        EmoSymError: when bitsandbytes is not installed; names the extra.
    """
    require("bitsandbytes", "4bit")
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
