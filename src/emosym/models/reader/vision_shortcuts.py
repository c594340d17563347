"""Qwen2-VL's vision attention and patch embedding, the same numbers in fewer operations."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers.models.qwen2_vl.modeling_qwen2_vl import (
    PatchEmbed,
    VisionAttention,
    apply_rotary_pos_emb_vision,
)

from emosym.models.speed import in_use


class BatchedVisionAttention(VisionAttention):
    """Qwen2-VL's vision attention with equal-sized pictures in one batch instead of a loop."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        cu_seqlens: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor] | None = None,
        max_seqlen: int | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        """Attend inside each picture; falls back to the library's loop for mixed sizes."""
        lengths = cu_seqlens.diff()
        if position_embeddings is None or bool((lengths != lengths[0]).any()):
            plain: torch.Tensor = super().forward(
                hidden_states, cu_seqlens, position_embeddings, max_seqlen, **kwargs
            )
            return plain
        total = hidden_states.shape[0]
        shape = (len(lengths), total // len(lengths), self.num_heads, self.head_dim)
        queries, keys, values = (
            self.qkv(hidden_states).view(total, 3, self.num_heads, self.head_dim).unbind(1)
        )
        queries, keys = apply_rotary_pos_emb_vision(queries, keys, *position_embeddings)
        queries = queries.view(shape).transpose(1, 2)  # (N, heads, patches, d)
        keys, values = (x.reshape(shape).transpose(1, 2) for x in (keys, values))
        weights = torch.matmul(queries, keys.transpose(2, 3)) * self.scaling
        weights = weights.softmax(dim=-1, dtype=torch.float32).to(queries.dtype)
        mixed = torch.matmul(weights, values).transpose(1, 2).reshape(total, -1)
        return self.proj(mixed)


def batch_vision_attention(visual: nn.Module) -> None:
    """Swap every VisionAttention below `visual` for the batched one, sharing its weights."""
    if not in_use("vision_batch"):
        return
    for module in visual.modules():
        attention: Any = getattr(module, "attn", None)
        if type(attention) is VisionAttention:
            with torch.device("meta"):
                batched = BatchedVisionAttention(attention.config)
            batched.qkv, batched.proj = attention.qkv, attention.proj
            module.attn = batched


class MatmulPatchEmbed(PatchEmbed):
    """Qwen2-VL's patch embedding as the matrix product that its strided convolution is."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Map patches (patches, 3 * t * p * p) to (patches, D)."""
        weight = self.proj.weight.flatten(1)  # (D, 3 * t * p * p)
        return nn.functional.linear(hidden_states.to(weight.dtype), weight)


def patches_by_matmul(visual: nn.Module) -> None:
    """Swap every PatchEmbed below `visual` for the matrix product, sharing its weight."""
    if not in_use("patch_matmul"):
        return
    for module in visual.modules():
        embed: Any = getattr(module, "patch_embed", None)
        if type(embed) is PatchEmbed:
            sizes = (embed.patch_size, embed.temporal_patch_size, embed.in_channels)
            with torch.device("meta"):
                product = MatmulPatchEmbed(*sizes, embed.embed_dim)
            product.proj = embed.proj
            module.patch_embed = product
