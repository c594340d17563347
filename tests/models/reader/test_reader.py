"""From pictures to the backbone's inputs: prompt, padding, features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from emosym.models.checkpoint import load_checkpoint
from emosym.models.reader.prefix import prefill, vision_features
from emosym.models.reader.reader import (
    OF_PICTURES,
    TEMPLATES,
    TURNS,
    Reader,
    domain_features,
    encode_pictures,
    feature_inputs,
    prefill_features,
    prepare_inputs,
    prompt_tokens,
)


@pytest.fixture(scope="module")
def reader(tiny_checkpoint: Path) -> Reader:
    return load_checkpoint(tiny_checkpoint).reader


def pictures(tiny_pictures, count: int) -> list[Image.Image]:
    return [Image.fromarray(p) for p in tiny_pictures.pictures[:count]]


def test_the_prompt_is_the_chat_with_its_question_up_to_the_answer(reader: Reader) -> None:
    # `turns` asks about conversations; pictures are asked about as ever
    asked_of_pictures = TEMPLATES | {TURNS: TEMPLATES[OF_PICTURES]}
    for template, question in asked_of_pictures.items():
        ids = prompt_tokens(replace(reader, template=template), 5)
        assert reader.tokenizer.decode(ids) == (
            f"<|im_start|>user\n<|vision_start|>{'<|image_pad|>' * 5}<|vision_end|>"
            f"{question}<|im_end|>\n<|im_start|>assistant\n"
        )
        assert ids.count(reader.reasoner.backbone.config.image_token_id) == 5


def test_start_and_end_of_speech(reader: Reader) -> None:
    assert reader.tokenizer.decode([reader.start_token]) == "\n"
    assert reader.tokenizer.decode([reader.end_token]) == "<|im_end|>"


def test_inputs_of_a_square_preset(reader: Reader, tiny_pictures) -> None:
    wide = Image.new("RGB", (200, 100), "red")
    inputs = prepare_inputs(reader, [*pictures(tiny_pictures, 1), wide])
    assert inputs["image_grid_thw"].tolist() == [[1, 8, 8], [1, 8, 8]]
    assert inputs["pixel_values"].shape == (128, 3 * 2 * 8 * 8)
    assert inputs["mm_token_type_ids"].sum(1).tolist() == [16, 16]
    assert bool(inputs["attention_mask"].all())


def test_mixed_sizes_are_padded_on_the_left(reader: Reader) -> None:
    free = replace(reader, image_size=None)
    free.image_processor.size = {"shortest_edge": 32 * 32, "longest_edge": 64 * 64}
    sizes = [Image.new("RGB", (64, 32)), Image.new("RGB", (64, 64))]
    inputs = prepare_inputs(free, sizes)
    free.image_processor.size = {"shortest_edge": 64 * 64, "longest_edge": 64 * 64}
    mask = inputs["attention_mask"]
    assert mask[0].tolist() == [0] * 8 + [1] * (mask.shape[1] - 8)
    assert bool(mask[1].all())
    assert torch.equal(inputs["input_ids"][0, -8:], inputs["input_ids"][1, -8:])
    assert inputs["mm_token_type_ids"].sum(1).tolist() == [8, 16]


@torch.no_grad()
def test_features_kept_equal_features_now(reader: Reader, tiny_pictures) -> None:
    kept = encode_pictures(reader, tiny_pictures.pictures[:5], batch_size=2)
    assert kept.shape == (5, 16, 96) and kept.dtype == torch.float32
    inputs = prepare_inputs(reader, pictures(tiny_pictures, 5))
    now = vision_features(reader.reasoner.backbone, inputs)
    torch.testing.assert_close(kept, now, atol=1e-5, rtol=1e-4)
    text = feature_inputs(reader, kept)
    for name, value in text.items():
        assert torch.equal(value, inputs[name]), name
    one, other = prefill_features(reader, kept), prefill(reader.reasoner.backbone, inputs)
    for a, b in zip(one.keys + one.values, other.keys + other.values, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_domain_features_are_means_and_deviations() -> None:
    features = torch.tensor([[[1.0, 0.0], [3.0, 0.0]]])
    assert domain_features(features).tolist() == [[2.0, 0.0, pytest.approx(2**0.5), 0.0]]


def test_a_picture_reads_alike_from_array_and_from_file(reader: Reader, tmp_path: Path) -> None:
    from emosym.data.images import load_image

    array = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "a.png")
    one = prepare_inputs(reader, [Image.fromarray(array)])["pixel_values"]
    assert torch.equal(
        one, prepare_inputs(reader, [load_image(tmp_path / "a.png")])["pixel_values"]
    )
