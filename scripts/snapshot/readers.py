"""Qwen-VL and InternVL folders with their published sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from scripts.snapshot.parts import built, byte_vocabulary, fill, save_model

from emosym.files import write_json

Maker = Callable[[Path, bool, int], None]
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
QWEN_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}PICTURE{% elif 'text' in part %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
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


def write_qwen(family: str, real: dict[str, Any], vision: dict[str, Any], patch: int) -> Maker:
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


READERS: dict[str, Maker] = {
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
            2048,
            6144,
            28,
            16,
            8,
            151_936,
            True,
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
