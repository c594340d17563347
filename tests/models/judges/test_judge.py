from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from emosym.errors import EmoSymError, UsageError
from emosym.models.judges.judge import (
    JUDGE_NAMES,
    LoadedJudge,
    judge_config,
    judge_pixels,
    load_judge,
    save_judge,
)
from emosym.models.judges.nets import JudgeConfig, JudgeNet

EMOTIONS = ("calm", "wild", "dull")
NAMES = {"scene": ("sea", "town"), "object": ("kite", "bat", "cake"), "face": ("up", "down")}


def small(family: str = "residual") -> JudgeConfig:
    heads = {"emotion": EMOTIONS, **NAMES}
    return JudgeConfig("tiny", family, heads, size=32, widths=(4, 8, 8), depth=1)


def pictures(count: int, size: int = 32) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, size, size, 3)).astype(np.uint8)


@pytest.mark.parametrize("family", ["residual", "transformer"])
def test_save_and_load_give_the_same_answers(family: str, tmp_path: Path) -> None:
    config = small(family)
    torch.manual_seed(0)
    net = JudgeNet(config)
    for parameter in net.parameters():  # as stored: bfloat16
        parameter.data = parameter.data.bfloat16().float()
    save_judge(net, config, tmp_path, {"steps": 3})
    judge = load_judge(tmp_path, "tiny")
    images = pictures(5)
    before = LoadedJudge(config, net, "").every_head(images)
    after = judge.every_head(images)
    assert set(after) == {"emotion", *NAMES}
    for name, value in after.items():
        assert np.array_equal(value, before[name])
    assert judge.config == config
    assert judge.checksum == json.loads((tmp_path / "tiny.json").read_text())["sha256"]


@pytest.mark.parametrize("family", ["residual", "transformer"])
def test_answers_are_probabilities_whatever_the_batch(family: str) -> None:
    config = small(family)
    net = JudgeNet(config)
    images = pictures(7)
    whole = LoadedJudge(config, net, "x")
    parts = LoadedJudge(config, net, "x", batch_size=3)
    assert whole.labels == EMOTIONS
    assert np.allclose(whole.probabilities(images), parts.probabilities(images), atol=1e-6)
    assert np.allclose(whole.probabilities(images).sum(1), 1.0, atol=1e-5)
    found = whole.attributes(images)
    assert set(found) == set(NAMES)
    assert np.allclose(found["face"].sum(1), 1.0, atol=1e-5)
    assert not np.allclose(found["object"].sum(1), 1.0, atol=1e-3)  # independent sigmoids
    assert whole.features(images).shape == (7, 16)
    assert whole.features(images[:0]).shape == (0, 16)
    assert whole.probabilities(images[:0]).shape == (0, 3)


def test_every_parameter_gets_a_gradient() -> None:
    for family in ("residual", "transformer"):
        net = JudgeNet(small(family))
        for name, parameter in net.named_parameters():
            if name.endswith("gain"):  # at its start of 0 the branch behind it gets none
                parameter.data.fill_(0.5)
        _, logits = net(judge_pixels(pictures(4), 32))
        torch.stack([value.square().sum() for value in logits.values()]).sum().backward()
        without = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
        # A key's bias moves all scores of a query alike, which softmax does not see.
        assert [name for name in without if "qkv.bias" not in name] == []


def test_the_judges_are_of_the_announced_kinds_and_sizes() -> None:
    nets = {name: JudgeNet(judge_config(name, EMOTIONS, NAMES)) for name in JUDGE_NAMES}
    for net in nets.values():
        assert 0.3e6 < sum(p.numel() for p in net.parameters()) < 0.6e6
    assert type(nets["judge-a"].trunk) is not type(nets["judge-b"].trunk)
    assert "emotion" not in nets["judge-attributes"].heads
    with pytest.raises(UsageError, match="judge-a"):
        judge_config("judge_a", EMOTIONS, NAMES)


def test_pixels_are_scaled_and_resized() -> None:
    images = np.zeros((1, 64, 64, 3), np.uint8)
    images[:, :, 32:] = 255
    pixels = judge_pixels(images, 32)
    assert pixels.shape == (1, 3, 32, 32)
    assert pixels[0, 0, 0, 0].item() == pytest.approx(-1.0)
    assert pixels[0, 0, 0, 31].item() == pytest.approx(1.0)
    with pytest.raises(UsageError, match="uint8"):
        judge_pixels(images.astype(np.float32), 32)


def test_the_attribute_judge_tells_no_emotions() -> None:
    config = JudgeConfig("tiny", "residual", NAMES, size=32, widths=(4, 8, 8))
    with pytest.raises(UsageError, match="not emotions"):
        LoadedJudge(config, JudgeNet(config), "").probabilities(pictures(1))


def test_damaged_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    config = small()
    save_judge(JudgeNet(config), config, tmp_path)
    weights = tmp_path / "tiny.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(EmoSymError, match="damaged"):
        load_judge(tmp_path, "tiny")
    weights.unlink()
    with pytest.raises(UsageError, match="Missing weights"):
        load_judge(tmp_path, "tiny")
    with pytest.raises(UsageError, match="does not exist"):
        load_judge(tmp_path, "other")
    description = tmp_path / "tiny.json"
    found = json.loads(description.read_text())
    weights.write_bytes(good)
    description.write_text(
        json.dumps({**found, "config": {**found["config"], "widths": [4, 4, 8]}})
    )
    with pytest.raises(EmoSymError, match="does not fit"):
        load_judge(tmp_path, "tiny")
    description.write_text(json.dumps({**found, "format": "emosym.judge/9"}))
    with pytest.raises(UsageError, match=r"emosym\.judge/1"):
        load_judge(tmp_path, "tiny")
    description.write_text(json.dumps({"format": "emosym.judge/1"}))
    with pytest.raises(UsageError, match="not a judge description"):
        load_judge(tmp_path, "tiny")
