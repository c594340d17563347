"""Pictures into the vision tower: our patches and our attention equal the library's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Qwen2VLImageProcessorPil

from emosym.models.reader.toy import TOY_PATCH, build_toy_reader
from emosym.models.reader.vision import patchify, prepare_vision
from emosym.models.reader.vision_shortcuts import (
    BatchedVisionAttention,
    MatmulPatchEmbed,
    batch_vision_attention,
    patches_by_matmul,
)
from emosym.models.speed import LEAVE_OUT
from emosym.models.tokenizer import train_tokenizer


def processed(pictures: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    processor = Qwen2VLImageProcessorPil(
        patch_size=TOY_PATCH,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": 32 * 32, "longest_edge": 96 * 96},
    )
    encoded = processor(images=[Image.fromarray(p) for p in pictures], return_tensors="pt")
    return encoded["pixel_values"], encoded["image_grid_thw"]


@pytest.mark.parametrize("shape", [(64, 64), (32, 64)])
def test_patches_are_the_image_processors(shape: tuple[int, int]) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    values, grid = patchify(torch.from_numpy(pictures), TOY_PATCH, 2, 2)
    wanted_values, wanted_grid = processed(pictures)
    torch.testing.assert_close(values, wanted_values, atol=1e-5, rtol=1e-5)
    assert torch.equal(grid, wanted_grid)


@pytest.mark.parametrize("sizes", [[(64, 64)] * 3, [(64, 64), (32, 64)]], ids=["alike", "mixed"])
def test_batched_attention_is_the_librarys(sizes: list[tuple[int, int]]) -> None:
    tower = build_toy_reader(train_tokenizer(["a"] * 4, 290), 0, 96, 2).model.visual.eval()
    rng = np.random.default_rng(1)
    parts = [processed(rng.integers(0, 256, (1, *s, 3), dtype=np.uint8)) for s in sizes]
    values, grid = (torch.cat([p[i] for p in parts]) for i in (0, 1))
    with torch.no_grad():
        wanted = tower(values, grid_thw=grid).pooler_output
        batch_vision_attention(tower)
        assert all(type(block.attn) is BatchedVisionAttention for block in tower.blocks)
        found = tower(values, grid_thw=grid).pooler_output
    assert wanted.std() > 0.1
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["eager", "sdpa"])
@pytest.mark.parametrize("swap", [batch_vision_attention, patches_by_matmul, prepare_vision])
def test_a_prepared_tower_learns_as_the_librarys(swap, kind: str) -> None:
    tower = build_toy_reader(train_tokenizer(["a"] * 4, 290), 0, 96, 2).model.visual
    tower.set_attn_implementation(kind)
    keys = list(tower.state_dict())
    pictures = np.random.default_rng(2).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    values, grid = patchify(torch.from_numpy(pictures), TOY_PATCH, 2, 2)
    values.requires_grad_(True)

    def learn() -> dict[str, torch.Tensor]:
        features = tower(values, grid_thw=grid).pooler_output
        features.square().mean().backward()
        found = {name: p.grad for name, p in tower.named_parameters()}
        found |= {"features": features.detach(), "pixels": values.grad}
        tower.zero_grad(set_to_none=True)
        values.grad = None
        return found

    plain = learn()
    swap(tower)
    assert list(tower.state_dict()) == keys
    ours = learn()
    assert len(plain) > 20 and all(float(g.abs().max()) > 0 for g in plain.values())
    for name, wanted in plain.items():
        scale = float(wanted.abs().max())
        torch.testing.assert_close(ours[name], wanted, atol=1e-5 * scale, rtol=1e-3, msg=name)


def test_what_is_left_out_is_the_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    for left_out in ("", "vision_batch", "patch_matmul", "vision_batch patch_matmul"):
        monkeypatch.setenv(LEAVE_OUT, left_out)
        tower = build_toy_reader(train_tokenizer(["a"] * 4, 290), 0, 96, 1).model.visual
        prepare_vision(tower)
        batched = [type(block.attn) is BatchedVisionAttention for block in tower.blocks]
        assert batched == ["vision_batch" not in left_out]
        assert (type(tower.patch_embed) is MatmulPatchEmbed) is ("patch_matmul" not in left_out)
