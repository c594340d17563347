"""Pictures into Qwen2-VL's vision tower: patches, and what makes the tower cheaper."""

from __future__ import annotations

import torch
from torch import nn

from emosym.models.tested import is_tested

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def patchify(
    pictures: torch.Tensor, patch_size: int, temporal_patch_size: int, merge_size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn uint8 pictures (N, H, W, 3) into what Qwen2-VL's image processor returns.

    H and W must be multiples of patch_size * merge_size: no resizing happens here. Returns
    pixel_values (N * patches, 3 * temporal_patch_size * patch_size**2), and image_grid_thw (N, 3).
    """
    count, height, width, _ = pictures.shape
    rows, columns = height // patch_size, width // patch_size
    mean = torch.tensor(CLIP_MEAN, device=pictures.device) * 255
    std = torch.tensor(CLIP_STD, device=pictures.device) * 255
    values = (pictures.float() - mean) / std  # (N, H, W, 3)
    m, p = merge_size, patch_size
    values = values.view(count, rows // m, m, p, columns // m, m, p, 3)
    values = values.permute(0, 1, 4, 2, 5, 7, 3, 6)  # (N, R, C, m, m, 3, p, p)
    values = values.reshape(count * rows * columns, 3, 1, p, p)
    values = values.expand(-1, -1, temporal_patch_size, -1, -1).flatten(1)
    grid = torch.tensor([[1, rows, columns]], device=pictures.device).expand(count, 3)
    return values, grid


def prepare_vision(visual: nn.Module) -> None:
    """Give a vision tower its fast paths, in place; weights and state keys stay the same.

    Only under a version of transformers they were tested with.
    """
    if is_tested():
        from emosym.models.reader.vision_shortcuts import batch_vision_attention, patches_by_matmul

        batch_vision_attention(visual)
        patches_by_matmul(visual)
