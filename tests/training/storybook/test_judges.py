from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from emosym.data import storybook
from emosym.errors import UsageError
from emosym.models.judges.judge import load_judge
from emosym.training.storybook.judges import (
    JudgeData,
    JudgeSettings,
    augment,
    draw_judge_data,
    judge_data,
    judge_loss,
    measure_judge,
    train_judges,
)


def coloured(count: int, seed: int) -> JudgeData:
    """Plain pictures whose colour is the scene and the emotion."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    images = np.full((count, 32, 32, 3), 40, np.uint8)
    images[labels == 1, :, :, 0] = 220
    return JudgeData(
        images=images,
        labels=labels,
        targets=np.eye(2, dtype=np.float32)[labels],
        attributes={"scene": labels, "object": np.eye(2, dtype=np.float32)[labels]},
        names={"scene": ("grey", "red"), "object": ("none", "paint")},
        posterior=np.eye(2)[labels],
        emotions=("calm", "wild"),
    )


def test_a_judge_learns_a_colour_and_is_kept(tmp_path: Path) -> None:
    data = coloured(64, 0)
    settings = JudgeSettings(
        steps=16, batch_size=16, lr=1e-2, muon_lr=1e-2, bf16=False, ema_decay=0.5
    )
    fresh = coloured(32, 1)
    first = train_judges(
        tmp_path, 0, data, settings, names=["judge-a"], measure=fresh, progress=False
    )
    assert first["judge-a"]["accuracy"] == first["judge-a"]["of_best"] == 1.0
    assert first["judge-a"]["scene"] == first["judge-a"]["object_exact"] == 1.0
    stamp = (tmp_path / "judge-a.safetensors").stat().st_mtime_ns
    again = train_judges(
        tmp_path, 0, data, settings, names=["judge-a"], measure=fresh, progress=False
    )
    assert again == first
    assert (tmp_path / "judge-a.safetensors").stat().st_mtime_ns == stamp


def test_measures_by_hand(tmp_path: Path) -> None:
    data = coloured(8, 0)
    settings = JudgeSettings(steps=0, bf16=False)
    train_judges(tmp_path, 0, data, settings, names=["judge-attributes"], progress=False)
    judge = load_judge(tmp_path, "judge-attributes")
    found = judge.attributes(data.images)
    # Truth made from the judge's own answers, then one scene and one object turned round.
    scene = found["scene"].argmax(1)
    marks = (found["object"] > 0.5).astype(np.float32)
    scene[0] = 1 - scene[0]
    marks[3, 0] = 1 - marks[3, 0]
    told = dataclasses.replace(data, attributes={"scene": scene, "object": marks})
    scores = measure_judge(judge, told)
    assert scores["scene"] == pytest.approx(7 / 8)
    assert scores["object_exact"] == pytest.approx(7 / 8)
    assert "accuracy" not in scores


def test_loss_by_hand() -> None:
    data = coloured(2, 0)
    logits = {
        "emotion": torch.zeros(2, 2),
        "scene": torch.zeros(2, 2),
        "object": torch.zeros(2, 2),
    }
    parts = judge_loss(logits, data, np.arange(2), attribute_weight=0.5)
    log2 = float(np.log(2))
    assert float(parts["emotion"]) == pytest.approx(log2)
    assert float(parts["object"]) == pytest.approx(2 * log2)  # summed over two kinds
    assert float(parts["loss"]) == pytest.approx(log2 + 0.5 * (log2 + 2 * log2) / 2)


def test_augmentation_is_small_seeded_and_in_range() -> None:
    pixels = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.manual_seed(1)
    first = augment(pixels)
    torch.manual_seed(1)
    assert torch.equal(first, augment(pixels))
    assert first.shape == pixels.shape
    assert first.min() >= -1.0 and first.max() <= 1.0
    assert not torch.equal(first, pixels)
    means = (first.mean((1, 2, 3)) - pixels.mean((1, 2, 3))).abs()
    assert means.max() < 0.15


def test_storybook_pictures_become_judge_data() -> None:
    data = draw_judge_data(0, 6, 32, 1)
    assert data.images.shape == (6, 32, 32, 3)
    assert data.attributes["object"].sum(1).min() >= 1
    assert np.allclose(data.targets.sum(1), 1.0, atol=1e-5)
    other = draw_judge_data(0, 6, 32, 1, purpose="measure")
    assert not np.array_equal(data.images, other.images)
    story = storybook.draw_story(3, 0)
    one = judge_data([story], np.zeros((1, 32, 32, 3), np.uint8), "votes")
    assert one.names["scene"][one.attributes["scene"][0]] == story.scene
    assert np.allclose(one.targets[0], story.votes)
    with pytest.raises(UsageError, match="posterior"):
        judge_data([story], one.images, "label")
    with pytest.raises(UsageError, match="2 stories"):
        judge_data([story, story], one.images)
