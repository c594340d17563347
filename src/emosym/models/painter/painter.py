"""The painter: a latent diffusion model of real library parts, at any size.

Folders have the layout of diffusers (unet/, vae/, text_encoder/, tokenizer/, scheduler/), so that
Stable Diffusion's open the same way; a second text encoder (SDXL) is one more entry of the tuples.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DPMSolverMultistepScheduler,
    SchedulerMixin,
    UNet2DConditionModel,
)
from torch import nn
from transformers import (
    AutoTokenizer,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    PreTrainedTokenizerBase,
)

from emosym.errors import UsageError, unknown_name
from emosym.files import read_json, write_json
from emosym.models.painter import text_encoder as text
from emosym.models.painter.autoencoder import (
    Autoencoder,
    decode_with,
    encode_with,
    unshuffle_factor,
)
from emosym.models.painter.prompt import fill_placeholders, without_placeholders
from emosym.models.painter.safety import Safety, load_safety
from emosym.models.quiet import KEY_OF_TINY, quiet_loading
from emosym.models.snapshots import (
    bytes_needed,
    found_variant,
    require_fit,
    require_memory,
    weight_files,
)
from emosym.models.speed import attention_kind, prepare_for_cpu
from emosym.models.tokenizer import settle

AUTOENCODERS = {"AutoencoderTiny": AutoencoderTiny, "AutoencoderKL": AutoencoderKL}
TEXT_ENCODERS = {
    "CLIPTextModel": CLIPTextModel,
    "CLIPTextModelWithProjection": CLIPTextModelWithProjection,
}
SUFFIXES = ("", "_2")


@dataclass(frozen=True, slots=True)
class Painter:
    """The parts of a latent diffusion model. The modules are the only state."""

    tokenizers: tuple[PreTrainedTokenizerBase, ...]
    text_encoders: tuple[nn.Module, ...]
    vae: Autoencoder
    unet: UNet2DConditionModel
    scheduler: SchedulerMixin
    safety: Safety | None = None

    @property
    def embed_dims(self) -> tuple[int, ...]:
        """Return the input embedding width D_i of each text encoder."""
        return tuple(_input_width(encoder) for encoder in self.text_encoders)

    @property
    def device(self) -> torch.device:
        """Return where the U-Net is."""
        device: torch.device = self.unet.device
        return device

    def modules(self) -> dict[str, nn.Module]:
        """Return every module by the name of its folder."""
        encoders = zip(SUFFIXES, self.text_encoders, strict=False)
        named = {f"text_encoder{suffix}": encoder for suffix, encoder in encoders}
        return {"unet": self.unet, "vae": self.vae, **named}


@dataclass(frozen=True, slots=True)
class PromptEmbeds:
    """What the U-Net hears: hidden states (B, L, D), pooled (B, D') or None, mask (B, L) bool.

    `mask` tells real tokens from padding for whoever looks at them; attention does not use it.
    """

    hidden: torch.Tensor
    pooled: torch.Tensor | None
    mask: torch.Tensor


def encode_images(painter: Painter, pixels: torch.Tensor) -> torch.Tensor:
    """Encode pictures (B, 3, H, W) in [-1, 1] to the U-Net's latents (B, c, h, w)."""
    return encode_with(painter.vae, pixels)


def decode_latents(painter: Painter, latents: torch.Tensor) -> torch.Tensor:
    """Decode the U-Net's latents (B, c, h, w) to pictures (B, 3, H, W), about [-1, 1]."""
    return decode_with(painter.vae, latents)


def encode_prompts(
    painter: Painter,
    prompts: Sequence[str],
    condition_embeds: Sequence[torch.Tensor] | None = None,
) -> PromptEmbeds:
    """Encode prompts, with latents inserted as input embeddings at each prompt's {}.

    `condition_embeds` holds per text encoder i a tensor (B, 1 + K, D_i); gradients reach it.
    Without it a {} is taken out of the prompt.

    Raises:
        UsageError: for the wrong number or shape of conditions, or a prompt that leaves no room.
    """
    if condition_embeds is None:
        filled = [without_placeholders(prompt) for prompt in prompts]
        conditions: list[torch.Tensor | None] = [None] * len(painter.text_encoders)
    else:
        _check_conditions(painter, len(prompts), condition_embeds)
        num_context = condition_embeds[0].shape[1] - 1
        filled = [fill_placeholders(prompt, num_context) for prompt in prompts]
        conditions = list(condition_embeds)
    ids = [
        text.tokenize(tokenizer, filled, text.text_length(tokenizer, encoder))
        for tokenizer, encoder in zip(painter.tokenizers, painter.text_encoders, strict=True)
    ]
    return encode_ids(painter, ids, conditions)


def encode_ids(
    painter: Painter,
    ids: Sequence[torch.Tensor],
    conditions: Sequence[torch.Tensor | None] | None = None,
) -> PromptEmbeds:
    """Encode token ids (B, L), one tensor per text encoder; see `encode_prompts`."""
    conditions = conditions or [None] * len(ids)
    penultimate = painter.unet.config.addition_embed_type == "text_time"  # as SDXL was trained
    hidden, pooled = [], None
    for tokenizer, encoder, rows, embeds in zip(
        painter.tokenizers, painter.text_encoders, ids, conditions, strict=True
    ):
        device = encoder.get_input_embeddings().weight.device  # type: ignore[operator]
        rows = rows.to(device)
        if embeds is None:
            output = encoder(input_ids=rows, output_hidden_states=penultimate)
        else:
            places = text.placeholder_mask(tokenizer, rows)
            # Any id with a row will do where the embedding is replaced, but not the end's, at
            # which the pooled output is read.
            known = rows.masked_fill(places, int(tokenizer.bos_token_id))
            with text.inserted_embeddings(encoder, places, embeds.to(device)):
                output = encoder(input_ids=known, output_hidden_states=penultimate)
        hidden.append(output.hidden_states[-2] if penultimate else output.last_hidden_state)
        pooled = getattr(output, "text_embeds", None)
        pooled = output.pooler_output if pooled is None else pooled
    ends = (ids[0] == painter.tokenizers[0].eos_token_id).int()
    mask = ends.cumsum(1) - ends == 0  # (B, L): up to and with the first end
    return PromptEmbeds(torch.cat(hidden, dim=-1), pooled, mask.to(hidden[0].device))


def _check_conditions(painter: Painter, batch: int, conditions: Sequence[torch.Tensor]) -> None:
    wanted = [(batch, width) for width in painter.embed_dims]
    got = [(c.shape[0], c.shape[-1]) for c in conditions]
    counts = {c.shape[1] for c in conditions if c.dim() == 3}
    if wanted != got or len(counts) != 1 or 0 in counts or any(c.dim() != 3 for c in conditions):
        raise UsageError(
            f"condition_embeds must hold (batch {batch}, 1 + K, width) with widths "
            f"{painter.embed_dims}, got shapes {[tuple(c.shape) for c in conditions]}."
        )


def _input_width(encoder: nn.Module) -> int:
    table = encoder.get_input_embeddings()  # type: ignore[operator]
    return int(table.weight.shape[1])


def save_painter(painter: Painter, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write the painter in diffusers' folder layout, as safetensors, optionally in `dtype`."""
    index: dict[str, Any] = {"_class_name": "Painter", "unshuffle": unshuffle_factor(painter.vae)}
    if unshuffle_factor(painter.vae) == 1 and len(painter.text_encoders) == 1:
        index = {"_class_name": "StableDiffusionPipeline"}
    for name, module in painter.modules().items():
        stored = module if dtype is None else copy.deepcopy(module).to(dtype)
        stored.save_pretrained(str(folder / name))  # type: ignore[operator]
        _tidy_config(folder / name / "config.json")
        library = "transformers" if name.startswith("text") else "diffusers"
        index[name] = [library, type(module).__name__]
    for suffix, tokenizer in zip(SUFFIXES, painter.tokenizers, strict=False):
        tokenizer.save_pretrained(str(folder / f"tokenizer{suffix}"))
        index[f"tokenizer{suffix}"] = ["transformers", type(tokenizer).__name__]
    painter.scheduler.save_pretrained(str(folder / "scheduler"))
    index["scheduler"] = ["diffusers", type(painter.scheduler).__name__]
    write_json(folder / "model_index.json", index)


def _tidy_config(path: Path) -> None:
    """Drop the folder a part was loaded from, a path of this machine, and a key nobody reads."""
    config = read_json(path, "part of the painter")
    tiny = config.get("_class_name") == "AutoencoderTiny"
    unread = {"_name_or_path", *([KEY_OF_TINY] if tiny else [])}
    if unread & set(config):
        write_json(path, {key: value for key, value in config.items() if key not in unread})


def load_painter(
    folder: Path,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    variant: str | None = None,
) -> Painter:
    """Open a painter folder; every weight is frozen and in evaluation mode.

    `variant` is the part of the files' names before `.safetensors`, such as fp16; unset, the
    plain files are taken where they are, else fp16.

    Raises:
        UsageError: when the folder or a part of it is missing or of an unknown kind.
        EmoSymError: when weights are missing, left over or damaged, or memory is too small.
    """
    index = read_json(folder / "model_index.json", "painter (model_index.json)")
    suffixes = [suffix for suffix in SUFFIXES if index.get(f"text_encoder{suffix}")]
    if not suffixes or not index.get("unet"):
        raise UsageError(
            f"{folder} is not a painter: it needs a unet and CLIP text encoders, as Stable "
            f"Diffusion and SDXL have; model_index.json names {sorted(index)}."
        )
    tokenizers = tuple(_load_tokenizer(folder / f"tokenizer{suffix}") for suffix in suffixes)
    kind = _part(folder / "vae")["_class_name"]
    if kind not in AUTOENCODERS:
        raise unknown_name("autoencoder", kind, AUTOENCODERS)
    _part(folder / "unet")
    variant = variant or found_variant(folder / "unet")
    parts = ("unet", "vae", *(f"text_encoder{suffix}" for suffix in suffixes))
    files = [file for part in parts for file in weight_files(folder / part, variant)]
    require_memory(
        bytes_needed(files, str(dtype).removeprefix("torch.")), device, f"painter in {folder.name}"
    )
    options: dict[str, Any] = {
        "variant": variant,
        "use_safetensors": True,
        "local_files_only": True,
        "output_loading_info": True,
    }
    with quiet_loading():
        encoders = tuple(
            _load_text_encoder(folder / f"text_encoder{suffix}", tokenizer, dtype, options)
            for suffix, tokenizer in zip(suffixes, tokenizers, strict=True)
        )
        vae, unet = (
            _whole(
                folder / part,
                *model.from_pretrained(str(folder / part), torch_dtype=dtype, **options),
            )
            for part, model in (("vae", AUTOENCODERS[kind]), ("unet", UNet2DConditionModel))
        )
        safety = load_safety(folder, dtype, device)
    # Every sampler setting that DPM-Solver++ shares with the stored scheduler is taken over.
    scheduler = DPMSolverMultistepScheduler.from_config(
        read_json(folder / "scheduler" / "scheduler_config.json", "scheduler")
    )
    painter = Painter(tokenizers, encoders, vae, unet, scheduler, safety)
    for module in painter.modules().values():
        module.to(device).eval().requires_grad_(False)
    if device == "cpu" and dtype == torch.float32:
        prepare_for_cpu(unet)
        prepare_for_cpu(vae)
    return painter


def _whole(folder: Path, module: nn.Module, report: dict[str, Any]) -> nn.Module:
    """Return a loaded module, refusing one with weights missing or left over."""
    require_fit(folder, report)
    return module


def _part(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = read_json(folder / "config.json", f"{folder.name} of the painter")
    return config


def _load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    if not folder.is_dir():
        raise UsageError(f"Missing {folder.name} of the painter: {folder} does not exist.")
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        str(folder), local_files_only=True
    )
    text.add_placeholder_tokens(tokenizer)
    settle(tokenizer)
    return tokenizer


def _load_text_encoder(
    folder: Path, tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype, options: dict[str, Any]
) -> nn.Module:
    kind = _part(folder)["architectures"][0]
    if kind not in TEXT_ENCODERS:
        raise unknown_name("text encoder", kind, TEXT_ENCODERS)
    encoder = _whole(
        folder,
        *TEXT_ENCODERS[kind].from_pretrained(
            str(folder), dtype=dtype, attn_implementation=attention_kind(), **options
        ),
    )
    # Old configurations say end = 2 and mean "the largest id", which added tokens would break.
    for module in encoder.modules():
        if hasattr(module, "eos_token_id"):
            module.eos_token_id = tokenizer.eos_token_id
    return encoder
