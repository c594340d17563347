"""The storybook preset's reader: Qwen2-VL's own class at toy size."""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase, Qwen2VLConfig, Qwen2VLForConditionalGeneration

from emosym.models.speed import attention_kind
from emosym.models.tokenizer import END, IMAGE_PAD, TURN_END, VIDEO_PAD, VISION_END, VISION_START
from emosym.seeds import stream_seed

TOY_IMAGE_SIZE = 64
TOY_PATCH = 8


def toy_reader_config(
    tokenizer: PreTrainedTokenizerBase, hidden_size: int = 192, layers: int = 4
) -> Qwen2VLConfig:
    """Return a Qwen2-VL configuration of about three million parameters for 64-pixel pictures."""
    ids = {
        token: int(tokenizer.convert_tokens_to_ids(token))
        for token in (END, IMAGE_PAD, TURN_END, VIDEO_PAD, VISION_END, VISION_START)
    }
    return Qwen2VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": hidden_size,
            "intermediate_size": hidden_size * 8 // 3 // 64 * 64,
            "num_hidden_layers": layers,
            "num_attention_heads": hidden_size // 32,
            "num_key_value_heads": hidden_size // 96,
            "max_position_embeddings": 1024,
            "initializer_range": 0.06,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [4, 6, 6],
            },
            "bos_token_id": ids[END],
            "eos_token_id": ids[TURN_END],
            "pad_token_id": ids[END],
        },
        vision_config={
            "depth": layers,
            "embed_dim": hidden_size * 2 // 3,
            "hidden_size": hidden_size,
            "num_heads": hidden_size // 48,
            "mlp_ratio": 4,
            "patch_size": TOY_PATCH,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "initializer_range": 0.06,
        },
        image_token_id=ids[IMAGE_PAD],
        video_token_id=ids[VIDEO_PAD],
        vision_start_token_id=ids[VISION_START],
        vision_end_token_id=ids[VISION_END],
        tie_word_embeddings=True,
    )


def build_toy_reader(
    tokenizer: PreTrainedTokenizerBase, seed: int, hidden_size: int = 192, layers: int = 4
) -> Qwen2VLForConditionalGeneration:
    """Return an untrained toy reader, initialised from the stream (seed, "reader-init")."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "reader-init"))
        config = toy_reader_config(tokenizer, hidden_size, layers)
        config._attn_implementation = attention_kind()
        model = Qwen2VLForConditionalGeneration(config)
        # the patch convolution keeps torch's tiny default otherwise and the tower starts blind
        nn.init.normal_(model.model.visual.patch_embed.proj.weight, std=0.06)
    return model
