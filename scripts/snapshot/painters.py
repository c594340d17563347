"""Stable Diffusion 1.5 and SDXL folders with their published sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.snapshot.parts import built, byte_vocabulary, fill, save_model, write_index

from emosym.files import write_json, write_text

Maker = Callable[[Path, bool, int], None]
CLIP_SPECIALS = ("<|startoftext|>", "<|endoftext|>")
TINY_UNET: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": (16, 32, 32, 32),
    "norm_num_groups": 8,
    "layers_per_block": 1,
    "attention_head_dim": 2,
}


def official_text_key(key: str) -> str:
    """Return the published name of a CLIP text encoder's weight."""
    return key if key.startswith("text_") else f"text_model.{key}"


def official_safety_key(key: str) -> str:
    """Return the published name of a safety checker's weight."""
    return f"vision_model.{key}" if key.startswith("vision_model.") else key


def official_vae_key(key: str) -> str:
    """Return the published name of an SD 1.5 autoencoder's weight: its attention is older."""
    if ".attentions." not in key:
        return key
    for now, then in (("to_q", "query"), ("to_k", "key"), ("to_v", "value")):
        key = key.replace(f".{now}.", f".{then}.")
    return key.replace(".to_out.0.", ".proj_attn.")


def write_clip_text(
    folder: Path,
    tokenizer_folder: Path,
    sizes: dict[str, Any],
    projected: bool,
    tiny: bool,
    seed: int,
) -> None:
    """Write a CLIP text encoder and its tokenizer, as Stable Diffusion has them."""
    from transformers import (
        CLIPTextConfig,
        CLIPTextModel,
        CLIPTextModelWithProjection,
        CLIPTokenizer,
    )

    first = 600 if tiny else 49_406
    vocabulary = byte_vocabulary(first, "</w>")
    vocabulary |= {token: first + i for i, token in enumerate(CLIP_SPECIALS)}
    tokenizer_folder.mkdir(parents=True, exist_ok=True)
    write_json(tokenizer_folder / "vocab.json", vocabulary, indent=None)
    write_text(tokenizer_folder / "merges.txt", "#version: 0.2\n")
    CLIPTokenizer(
        str(tokenizer_folder / "vocab.json"),
        str(tokenizer_folder / "merges.txt"),
        model_max_length=77,
    ).save_pretrained(tokenizer_folder)
    if tiny:
        sizes = sizes | {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "projection_dim": 32,
        }
    config = CLIPTextConfig(
        vocab_size=first + 2,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
        max_position_embeddings=77,
        **sizes,
    )
    kind = CLIPTextModelWithProjection if projected else CLIPTextModel
    save_model(fill(built(kind, config), seed, folder.name), folder, official_text_key)


def write_stable_diffusion(folder: Path, tiny: bool, seed: int) -> None:
    """Write a Stable Diffusion 1.5 folder, its safety checker included."""
    from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessorPil

    clip = {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "projection_dim": 768,
    }
    write_clip_text(folder / "text_encoder", folder / "tokenizer", clip, False, tiny, seed)
    unet: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
    if tiny:
        unet |= TINY_UNET | {"cross_attention_dim": 32}
    save_model(fill(built(UNet2DConditionModel, unet), seed, "unet"), folder / "unet")
    vae = fill(built(AutoencoderKL, vae_sizes(0.18215, tiny)), seed, "vae")
    save_model(vae, folder / "vae", official_vae_key)
    PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        steps_offset=1,
    ).save_pretrained(folder / "scheduler")
    tower = {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "patch_size": 14,
        "projection_dim": 768,
    }
    if tiny:
        tower |= {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
        }
    config = CLIPConfig(vision_config=tower, projection_dim=768)
    checker = fill(built(StableDiffusionSafetyChecker, config), seed, "safety")
    # random concepts near nothing: thresholds of 1 flag no picture
    for name in ("concept_embeds_weights", "special_care_embeds_weights"):
        getattr(checker, name).data.fill_(1.0)
    save_model(checker, folder / "safety_checker", official_safety_key)
    CLIPImageProcessorPil().save_pretrained(folder / "feature_extractor")
    write_index(
        folder,
        "StableDiffusionPipeline",
        text_encoder=["transformers", "CLIPTextModel"],
        tokenizer=["transformers", "CLIPTokenizer"],
        unet=["diffusers", "UNet2DConditionModel"],
        vae=["diffusers", "AutoencoderKL"],
        scheduler=["diffusers", "PNDMScheduler"],
        safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"],
        feature_extractor=["transformers", "CLIPImageProcessor"],
    )


def write_sdxl(folder: Path, tiny: bool, seed: int) -> None:
    """Write an SDXL folder: two text encoders, and a U-Net that hears a pooled embedding."""
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel

    first = {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "projection_dim": 768,
    }
    second = {
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 20,
        "projection_dim": 1280,
        "hidden_act": "gelu",
    }
    write_clip_text(folder / "text_encoder", folder / "tokenizer", first, False, tiny, seed)
    write_clip_text(folder / "text_encoder_2", folder / "tokenizer_2", second, True, tiny, seed)
    unet: dict[str, Any] = {
        "sample_size": 128,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    }
    if tiny:
        unet |= {
            "sample_size": 8,
            "block_out_channels": (16, 32, 32),
            "transformer_layers_per_block": 1,
            "attention_head_dim": (2, 2, 2),
            "norm_num_groups": 8,
            "layers_per_block": 1,
            "cross_attention_dim": 64,
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 80,
        }
    save_model(fill(built(UNet2DConditionModel, unet), seed, "unet"), folder / "unet")
    save_model(fill(built(AutoencoderKL, vae_sizes(0.13025, tiny)), seed, "vae"), folder / "vae")
    EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        timestep_spacing="leading",
    ).save_pretrained(folder / "scheduler")
    write_index(
        folder,
        "StableDiffusionXLPipeline",
        text_encoder=["transformers", "CLIPTextModel"],
        text_encoder_2=["transformers", "CLIPTextModelWithProjection"],
        tokenizer=["transformers", "CLIPTokenizer"],
        tokenizer_2=["transformers", "CLIPTokenizer"],
        unet=["diffusers", "UNet2DConditionModel"],
        vae=["diffusers", "AutoencoderKL"],
        scheduler=["diffusers", "EulerDiscreteScheduler"],
    )


def vae_sizes(scaling_factor: float, tiny: bool) -> dict[str, Any]:
    """Return the sizes of Stable Diffusion's autoencoder."""
    widths = (8, 16, 16, 16) if tiny else (128, 256, 512, 512)
    return {
        "block_out_channels": widths,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 1 if tiny else 2,
        "norm_num_groups": 4 if tiny else 32,
        "sample_size": 64 if tiny else 512,
        "latent_channels": 4,
        "scaling_factor": scaling_factor,
    }


PAINTERS: dict[str, Maker] = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": write_stable_diffusion,
    "stabilityai/stable-diffusion-xl-base-1.0": write_sdxl,
}
