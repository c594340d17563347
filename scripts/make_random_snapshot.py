"""Write a preset's folders in the official layout, with real configurations and random weights.

    python scripts/make_random_snapshot.py emosym-2b models

makes models/Qwen2-VL-2B-Instruct and models/stable-diffusion-v1-5: sharded bf16 safetensors,
tokenizers with the official special tokens at their official ids, processor files. With
EMOSYM_MODELS=models every command runs on them: they know nothing, but cost what the real ones do.
`--tiny` keeps every class and file and shrinks the sizes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from emosym.errors import EmoSymError, unknown_name
from emosym.files import write_json, write_text
from emosym.models.presets import PRESETS
from emosym.seeds import stream_seed

STD = 0.02
SHARD = "2GB"
QWEN_SPECIALS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
QWEN_FIRST = 151_643  # id of the first special token
INTERNVL_SPECIALS = ("<img>", "</img>", "<IMG_CONTEXT>", "<video>")
CLIP_SPECIALS = ("<|startoftext|>", "<|endoftext|>")
QWEN_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}PICTURE{% elif 'text' in part %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def main() -> None:
    """Read the command line and write the snapshot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("preset", help=", ".join(n for n, p in PRESETS.items() if not p.shipped))
    parser.add_argument("out", type=Path)
    parser.add_argument("--tiny", action="store_true", help="small sizes, for trying")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("reader", "painter"), help="one of the two")
    options = parser.parse_args()
    try:
        for folder in make_snapshot(
            options.preset, options.out, options.tiny, options.seed, options.only
        ):
            print(f"Wrote {folder}")
    except EmoSymError as error:
        sys.exit(f"Error: {error}")


def make_snapshot(
    preset: str, out: Path, tiny: bool = False, seed: int = 0, only: str | None = None
) -> list[Path]:
    """Write reader and painter of a preset below `out`; a folder that is there is kept.

    Raises:
        UsageError: for an unknown preset, or one that ships its weights.
    """
    hub = {name: found for name, found in PRESETS.items() if found.shipped is None}
    if preset not in hub:
        raise unknown_name("preset", preset, hub)
    made = []
    makers = {"reader": (READERS, hub[preset].reader), "painter": (PAINTERS, hub[preset].painter)}
    for part, (table, source) in makers.items():
        if only not in (None, part):
            continue
        folder = out / source.split("/")[1]
        if not folder.is_dir():
            temporary = out / f".tmp-{folder.name}"
            table[source](temporary, tiny, seed)
            temporary.rename(folder)
        made.append(folder)
    return made


def fill(module: nn.Module, seed: int, name: str) -> nn.Module:
    """Give a model that was built on the meta device random bf16 weights: N(0, .02), norms 1."""
    module = module.to_empty(device="cpu").to(torch.bfloat16)
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


def write_qwen_tokenizer(
    folder: Path, picture: str, first: int, more: tuple[str, ...], named: dict[str, str]
) -> dict[str, int]:
    """Write a byte-level tokenizer with Qwen's special tokens from id `first`; returns their ids.

    `picture` is what the chat template writes for a picture; `named` are tokens that the
    processor asks the tokenizer for by name.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(byte_vocabulary(first), []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = (*QWEN_SPECIALS, *more)
    tokenizer.add_special_tokens(list(specials))
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=[t for t in specials if t not in named.values()][3:],
        model_max_length=32_768,
        padding_side="left",
        extra_special_tokens=named,
    )
    wrapped.chat_template = QWEN_TEMPLATE.replace("PICTURE", picture)
    wrapped.save_pretrained(folder)
    return {token: int(wrapped.convert_tokens_to_ids(token)) for token in specials}


def write_qwen(
    family: str, real: dict[str, Any], vision: dict[str, Any], patch: int
) -> Callable[[Path, bool, int], None]:
    """Return the maker of a Qwen-VL folder from its published sizes."""

    def make(folder: Path, tiny: bool, seed: int) -> None:
        from transformers import AutoConfig, AutoModelForImageTextToText, GenerationConfig

        first = 400 if tiny else QWEN_FIRST
        ids = write_qwen_tokenizer(
            folder, "<|vision_start|><|image_pad|><|vision_end|>", first, (), {}
        )
        text = {**real, **(TINY_TEXT | {"vocab_size": first + 32} if tiny else {})}
        text |= {"bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|im_end|>"]}
        tower = {**vision, **(TINY_TOWERS[family] if tiny else {})}
        if tiny:
            text["rope_parameters"] = {**text["rope_parameters"], "mrope_section": [4, 2, 2]}
        config = AutoConfig.for_model(
            family,
            text_config=text,
            vision_config=tower,
            image_token_id=ids["<|image_pad|>"],
            video_token_id=ids["<|video_pad|>"],
            vision_start_token_id=ids["<|vision_start|>"],
            vision_end_token_id=ids["<|vision_end|>"],
            tie_word_embeddings=real["tie_word_embeddings"],
            dtype="bfloat16",
        )
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(config)
        save_model(fill(model, seed, family), folder)
        GenerationConfig(
            eos_token_id=[ids["<|im_end|>"], ids["<|endoftext|>"]],
            pad_token_id=ids["<|endoftext|>"],
            do_sample=False,
        ).save_pretrained(folder)
        unit = (2 * patch) ** 2
        mean, std = ((0.5,) * 3,) * 2 if family == "qwen3_vl" else (CLIP_MEAN, CLIP_STD)
        write_json(
            folder / "preprocessor_config.json",
            {
                "image_processor_type": "Qwen2VLImageProcessor",
                "processor_class": PROCESSORS[family],
                "patch_size": patch,
                "temporal_patch_size": 2,
                "merge_size": 2,
                "size": {"shortest_edge": 4 * unit, "longest_edge": 16_384 * unit},
                "image_mean": list(mean),
                "image_std": list(std),
            },
        )

    return make


def write_internvl(folder: Path, tiny: bool, seed: int) -> None:
    """Write an InternVL3-1B-hf folder."""
    from transformers import InternVLConfig, InternVLForConditionalGeneration

    first = 400 if tiny else QWEN_FIRST
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    ids = write_qwen_tokenizer(folder, "<IMG_CONTEXT>\n", first, INTERNVL_SPECIALS, named)
    side, patch = (56, 14) if tiny else (448, 14)
    text: dict[str, Any] = {
        "model_type": "qwen2",
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "vocab_size": 151_674,
        "tie_word_embeddings": False,
    }
    vision: dict[str, Any] = {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": [side, side],
        "patch_size": [patch, patch],
    }
    if tiny:
        text |= TINY_TEXT | {"vocab_size": first + 32}
        vision |= {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
        }
    length = (side // patch) ** 2 // 4
    config = InternVLConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=ids["<IMG_CONTEXT>"],
        image_seq_length=length,
        downsample_ratio=0.5,
        tie_word_embeddings=False,
        dtype="bfloat16",
    )
    save_model(fill(built(InternVLForConditionalGeneration, config), seed, "internvl"), folder)
    write_json(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": "GotOcr2ImageProcessor",
            "processor_class": "InternVLProcessor",
            "size": {"height": side, "width": side},
            "crop_to_patches": True,
            "min_patches": 1,
            "max_patches": 12,
            "image_mean": [0.485, 0.456, 0.406],
            "image_std": [0.229, 0.224, 0.225],
        },
    )
    write_json(
        folder / "processor_config.json",
        {"processor_class": "InternVLProcessor", "image_seq_length": length},
    )


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
    save_model(fill(built(kind, config), seed, folder.name), folder)


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
    save_model(fill(built(AutoencoderKL, vae_sizes(0.18215, tiny)), seed, "vae"), folder / "vae")
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
    save_model(checker, folder / "safety_checker")
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


def write_index(folder: Path, kind: str, **parts: list[str]) -> None:
    """Write model_index.json as diffusers does."""
    import diffusers

    write_json(
        folder / "model_index.json",
        {"_class_name": kind, "_diffusers_version": diffusers.__version__, **parts},
    )


def save_model(model: Any, folder: Path) -> None:
    """Write a model's configuration and sharded safetensors."""
    model.save_pretrained(str(folder), max_shard_size=SHARD)


CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
PROCESSORS = {
    "qwen2_vl": "Qwen2VLProcessor",
    "qwen2_5_vl": "Qwen2_5_VLProcessor",
    "qwen3_vl": "Qwen3VLProcessor",
}
TINY_TEXT: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
TINY_UNET: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": (16, 32, 32, 32),
    "norm_num_groups": 8,
    "layers_per_block": 1,
    "attention_head_dim": 2,
}
TINY_TOWERS: dict[str, dict[str, Any]] = {
    "qwen2_vl": {"depth": 2, "embed_dim": 32, "num_heads": 2, "hidden_size": 64},
    "qwen2_5_vl": {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 64,
        "fullatt_block_indexes": [1],
    },
    "qwen3_vl": {
        "depth": 3,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 64,
        "deepstack_visual_indexes": [0, 1],
        "num_position_embeddings": 64,
    },
}


def _text(
    hidden: int,
    inner: int,
    layers: int,
    heads: int,
    kv: int,
    vocabulary: int,
    tied: bool,
    **more: Any,
) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": 1_000_000.0, "mrope_section": [16, 24, 24]}
    return {
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "vocab_size": vocabulary,
        "max_position_embeddings": 32_768,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": tied,
        "rope_parameters": rope,
        **more,
    }


def _tower(hidden: int) -> dict[str, Any]:
    return {
        "depth": 32,
        "embed_dim": 1280,
        "num_heads": 16,
        "mlp_ratio": 4,
        "patch_size": 14,
        "hidden_size": hidden,
    }


READERS: dict[str, Callable[[Path, bool, int], None]] = {
    "Qwen/Qwen2-VL-2B-Instruct": write_qwen(
        "qwen2_vl", _text(1536, 8960, 28, 12, 2, 151_936, True), _tower(1536), 14
    ),
    "Qwen/Qwen2-VL-7B-Instruct": write_qwen(
        "qwen2_vl", _text(3584, 18_944, 28, 28, 4, 152_064, False), _tower(3584), 14
    ),
    "Qwen/Qwen2.5-VL-3B-Instruct": write_qwen(
        "qwen2_5_vl",
        _text(2048, 11_008, 36, 16, 2, 151_936, True),
        {
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "out_hidden_size": 2048,
            "patch_size": 14,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        14,
    ),
    "Qwen/Qwen3-VL-2B-Instruct": write_qwen(
        "qwen3_vl",
        _text(
            *(2048, 6144, 28, 16, 8, 151_936, True),
            head_dim=128,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 5_000_000.0,
                "mrope_section": [24, 20, 20],
                "mrope_interleaved": True,
            },
        ),
        {
            "depth": 24,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_heads": 16,
            "out_hidden_size": 2048,
            "patch_size": 16,
            "deepstack_visual_indexes": [5, 11, 17],
            "num_position_embeddings": 2304,
        },
        16,
    ),
    "OpenGVLab/InternVL3-1B-hf": write_internvl,
}
PAINTERS: dict[str, Callable[[Path, bool, int], None]] = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": write_stable_diffusion,
    "stabilityai/stable-diffusion-xl-base-1.0": write_sdxl,
}

if __name__ == "__main__":
    main()
