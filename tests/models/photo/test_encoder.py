"""Encoders of photographs: EfficientNet-Lite1 as published, and any vision model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.models.photo.makers import published_weights
from torch.nn import functional
from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

from emosym.errors import EmoSymError, UsageError
from emosym.models.photo.convert import convert_lite
from emosym.models.photo.efficientnet_lite import STAGES, EfficientNetLite1, SameConv
from emosym.models.photo.encoder import encoder_folder, open_encoder, squashed
from emosym.models.snapshots import fingerprint

SIDES = (120, 60, 30, 15, 15, 8, 8)  # of what the stages make of 240 pixels


def picture(seed: int, size: tuple[int, int] = (90, 60)) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


@torch.no_grad()
def test_padding_is_that_of_tensorflow() -> None:
    conv = SameConv(1, 1, 3, 2, bias=False)
    conv.weight.fill_(1.0)
    x = torch.arange(16.0).view(1, 1, 4, 4)
    # even sides, stride 2: nothing is added left and above, one row and column right and below
    wanted = functional.conv2d(functional.pad(x, (0, 1, 0, 1)), conv.weight, stride=2)
    assert torch.equal(conv(x), wanted) and conv(x).shape == (1, 1, 2, 2)
    assert conv(torch.ones(1, 1, 5, 5)).shape == (1, 1, 3, 3)


@torch.no_grad()
def test_its_shapes_are_the_published_ones() -> None:
    net = EfficientNetLite1().eval()
    assert sum(p.numel() for p in net.parameters()) == 5_416_680
    maps = net.stages(torch.zeros(1, 3, 240, 240))
    assert [tuple(m.shape[1:]) for m in maps] == [
        *((s.outside, n, n) for s, n in zip(STAGES, SIDES, strict=True)),
        (1280, 8, 8),
    ]
    assert net(torch.zeros(2, 3, 64, 64)).shape == (2, 1000)


def test_published_weights_are_converted_and_read(tmp_path: Path) -> None:
    source = published_weights(tmp_path / "published.pth")
    convert_lite(source, tmp_path / "encoder")
    encoder = open_encoder(tmp_path / "encoder")
    both = [picture(1), picture(2, (31, 80))]
    found = encoder.read(both)
    assert {name: block.shape for name, block in found.items()} == {
        "stage 5": (2, 112),
        "stage 6": (2, 192),
        "classes": (2, 1000),
    }
    for name, block in encoder.read(both[1:]).items():  # a batch changes nothing
        np.testing.assert_allclose(block[0], found[name][1], rtol=1e-3, atol=1e-4)
    mirrored = encoder.read([both[0].transpose(Image.Transpose.FLIP_LEFT_RIGHT)])
    for name, block in mirrored.items():  # both views are read
        np.testing.assert_allclose(block[0], found[name][0], rtol=1e-3, atol=1e-4)
    described = json.loads((tmp_path / "encoder" / "config.json").read_text())
    assert described == {"model_type": "efficientnet-lite1"}
    again = tmp_path / "again"
    convert_lite(source, again)
    assert fingerprint(again) == fingerprint(tmp_path / "encoder")


def test_weights_of_another_network_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    torch.save({"_conv_stem.weight": torch.zeros(2)}, tmp_path / "odd.pth")
    with pytest.raises(EmoSymError, match="does not fit EfficientNet-Lite1"):
        convert_lite(tmp_path / "odd.pth", tmp_path / "encoder")
    (tmp_path / "torn.pth").write_bytes(b"PK\x03\x04torn")
    with pytest.raises(EmoSymError, match="damaged"):
        convert_lite(tmp_path / "torn.pth", tmp_path / "encoder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["odd.pth", "torn.pth"]


def test_any_vision_model_of_transformers_is_an_encoder(tmp_path: Path) -> None:
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
    )
    ViTModel(config).save_pretrained(tmp_path)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    found = open_encoder(tmp_path).read([picture(1), picture(2)])
    assert {name: block.shape for name, block in found.items()} == {
        "middle": (2, 16),
        "last": (2, 16),
    }
    assert not np.allclose(found["last"][0], found["last"][1])


def test_what_is_not_here_is_said_with_the_command(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("EMOSYM_CACHE", str(tmp_path))
    with pytest.raises(UsageError, match="emosym models get photo"):
        encoder_folder("efficientnet-lite1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no vision encoder"):
        open_encoder(tmp_path / "empty")


def test_all_of_a_picture_is_seen_whatever_its_shape() -> None:
    wide = Image.new("RGB", (100, 20), "black")
    wide.paste("white", (0, 0, 50, 20))
    assert squashed(wide, 10)[:, :4].mean() > 250 and squashed(wide, 10)[:, 6:].mean() < 5
