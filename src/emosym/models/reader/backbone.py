"""Loading the frozen model that a reader stands on: image-text-to-text, or of text alone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)
from transformers.utils import is_flash_attn_2_available

from emosym.errors import UsageError
from emosym.extras import require
from emosym.files import read_json
from emosym.models.chat import ChatModel, load_processors
from emosym.models.presets import Base
from emosym.models.quiet import quiet_loading
from emosym.models.reader.prefix import (
    body,
    extend,
    family,
    next_logits,
    open_cache,
    prefill,
    sees,
    splits,
)
from emosym.models.reader.vision import prepare_vision
from emosym.models.snapshots import bytes_needed, require_fit, require_memory, weight_files
from emosym.models.speed import attention_kind
from emosym.models.tested import SPLIT_FAMILIES, is_tested, say_if_untested
from emosym.models.tokenizer import load_tokenizer, plain_template

log = logging.getLogger(__name__)
PROBE, PROBED, PADDED = 12, 4, 3  # tokens of a row, those compared, those that are padding
MOST_DIFFERENCE = 0.05  # of the logits' deviation; bf16 alone gives about .01
FOUR_BIT_SHARE = 0.35  # of the bytes in bf16: 4 of 16 bits, scales, and what is not quantised


def open_chat(base: Base, device: str = "cpu", four_bit: bool = False) -> ChatModel:
    """Load a base's reader with what feeds it; errors as in `load_backbone`."""
    folder = base.reader_folder()
    backbone = load_backbone(base, device, four_bit)
    if not sees(backbone):
        tokenizer = load_tokenizer(folder)
        if not tokenizer.chat_template:
            tokenizer.chat_template = plain_template(tokenizer)
        return ChatModel(backbone, tokenizer, None, None)
    tokenizer, images, own = load_processors(folder, family(backbone), base.max_pixels)
    return ChatModel(backbone, tokenizer, images, base.image_size, own)


def load_backbone(base: Base, device: str = "cpu", four_bit: bool = False) -> nn.Module:
    """Load the frozen model of a base, in its dtype, in evaluation mode.

    One that reads pictures and text where its family does, else a causal language model. Older
    official checkpoints have other key names: transformers converts them.

    Raises:
        UsageError: when the folder is not here, or of another kind of model.
        EmoSymError: when weights are missing, left over or damaged (never a silently untrained
            model), or when memory is too small: said before anything is read.
    """
    folder = base.reader_folder()
    kind = require_architecture(folder, base)
    say_if_untested()
    needed = bytes_needed(weight_files(folder), base.dtype)
    share = FOUR_BIT_SHARE if four_bit else 1.0
    require_memory(round(needed * share), device, f"reader of {base.name}")
    options: dict[str, Any] = {"attn_implementation": attention_for(base, device, kind)}
    if four_bit:
        options |= {"quantization_config": four_bit_config(), "device_map": {"": device}}
    pictures = kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    opener: Any = AutoModelForImageTextToText if pictures else AutoModelForCausalLM
    with quiet_loading():
        model, report = opener.from_pretrained(
            folder,
            dtype=base.torch_dtype(),
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
    require_fit(folder, report)
    visual = getattr(body(model), "visual", None)
    if visual is not None and base.image_size is not None:  # pictures of one size
        prepare_vision(visual)
    model = model if four_bit else model.to(device)
    model.requires_grad_(False).eval()
    if not pictures and not splits(model):
        require_continuation(model, str(folder))
    return model


def reads_pictures(folder: Path, base: Base) -> bool:
    """Return whether a folder holds a model that reads pictures; errors as below."""
    return require_architecture(folder, base) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES


def require_architecture(folder: Path, base: Base) -> str:
    """Return the kind of model that a folder's configuration is of.

    Raises:
        UsageError: unless it is an image-text-to-text or a causal language model.
    """
    described = read_json(folder / "config.json", f"configuration of the reader of {base.name}")
    kind = str(described.get("model_type")) if isinstance(described, dict) else "None"
    known = (MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    if not any(kind in names for names in known):
        raise UsageError(
            f"{folder} holds a {kind!r} model, which neither reads pictures and text nor goes on "
            "with a text: a reader is an image-text-to-text model, such as "
            "Qwen/Qwen2-VL-2B-Instruct, or a causal language model, such as "
            "HuggingFaceTB/SmolLM2-135M-Instruct."
        )
    try:
        AutoConfig.from_pretrained(folder, local_files_only=True)
    except (ValueError, TypeError, KeyError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise UsageError(f"The configuration in {folder} cannot be read: {reason}") from error
    return kind


@torch.no_grad()
def require_continuation(backbone: nn.Module, where: str) -> None:
    """Refuse a language model that cannot go on from kept keys and values under a given mask.

    Two rows of twelve tokens, one of them padded, are run in two parts and compared with the
    library's own forward pass over each row alone.

    Raises:
        UsageError: when the numbers differ, or the model takes no such call.
    """
    size = int(backbone.get_input_embeddings().weight.shape[0])  # type: ignore[operator]
    device = backbone.get_input_embeddings().weight.device  # type: ignore[operator]
    ids = (torch.arange(1, 2 * PROBE + 1, device=device) * 7919 % size).view(2, PROBE)
    mask = torch.ones_like(ids)
    mask[1, :PADDED] = 0
    cut = PROBE - PROBED
    try:
        rows = [ids[:1], ids[1:, PADDED:]]
        whole = torch.cat([backbone(row, use_cache=False).logits[:, -PROBED:] for row in rows])
        prefix = prefill(backbone, {"input_ids": ids[:, :cut], "attention_mask": mask[:, :cut]})
        following = backbone.get_input_embeddings()(ids[:, cut:])  # type: ignore[operator]
        hidden = extend(backbone, following, open_cache(prefix), prefix.mask, prefix.next_position)
        found = next_logits(backbone, hidden)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise UsageError(
            f"{where}: a {family(backbone)!r} model cannot go on from what it has read ({reason}): "
            "take a causal language model with a cache of keys and values."
        ) from error
    spread = (whole - whole.mean(dim=-1, keepdim=True)).float().norm()
    if not float((found - whole).float().norm()) <= MOST_DIFFERENCE * float(spread):
        raise UsageError(
            f"{where}: a {family(backbone)!r} model gives other numbers when it goes on from what "
            "it has read than in one pass: take a causal language model with a cache of keys and "
            "values."
        )


def attention_for(base: Base, device: str, kind: str) -> str | None:
    """Return the attention to load a kind of model with; None is the library's own choice.

    The small preset takes what was measured for this CPU; the others FlashAttention 2 on a GPU
    that has it (for the prefill; the tokens after it go through `prefix_cache`, where they may),
    else sdpa. Where FlashAttention is not to be had is said.
    """
    if base.image_size is not None:
        return attention_kind()
    if kind not in SPLIT_FAMILIES:
        return None
    if not device.startswith("cuda") or not is_tested():
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
