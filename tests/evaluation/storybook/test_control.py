"""Control: every measure runs on the real parts."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from emosym.data.sources.open import open_dataset
from emosym.data.storybook import LIGHTS, SCENES, write_storybook
from emosym.evaluation.storybook import control
from emosym.evaluation.storybook.control import (
    ControlSettings,
    draw_settings,
    evaluate_control,
)
from emosym.pipelines.trained import EmoSymPipeline


class Fixed:
    """Judges for a base that has none: bright pictures are awe, dark ones fear, all a sea beach."""

    name, checksum = "fixed", "0" * 64
    names: ClassVar = {"scene": SCENES, "light": LIGHTS}

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        light = images.reshape(len(images), -1).mean(axis=1) / 255
        found = np.full((len(images), 8), 0.01)
        found[:, 1], found[:, 6] = light, 1 - light
        return found / found.sum(axis=1, keepdims=True)

    def attributes(self, images: np.ndarray) -> dict[str, np.ndarray]:
        beach = np.eye(len(SCENES))[[SCENES.index("sea beach")] * len(images)]
        return {"scene": beach, "light": np.eye(len(LIGHTS))[[0] * len(images)]}


def test_every_control_measure_is_computed(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_storybook(tmp_path, {"train": 2, "val": 2, "test": 6}, size=64, seed=5, workers=1)
    monkeypatch.setattr(control, "load_judges", lambda pipeline: (Fixed(), Fixed(), Fixed()))
    settings = ControlSettings(
        per_cell=1, per_mix=1, per_prompted=2, like=3, explained=4, num_inference_steps=1
    )
    made: list[int] = []
    prompts: list[str] = []
    pipeline = EmoSymPipeline.from_pretrained(tiny_checkpoint)
    paint = EmoSymPipeline.paint
    monkeypatch.setattr(
        EmoSymPipeline, "paint", lambda self, r: prompts.append(r.prompt) or paint(self, r)
    )
    dataset = open_dataset("storybook", tmp_path, "test")
    result = evaluate_control(pipeline, dataset, settings, made.append)
    assert result["n"] == 8 * 5 + 28 + 16 + 3 == settings.paintings(8) == sum(made)
    values = result["values"]
    for letter in "ab":
        assert -1 <= values[f"intensity_spearman_judge_{letter}"] <= 1
        assert 0 <= values[f"mix_both_on_top_judge_{letter}"] <= 1
        assert 0 <= values[f"like_keeps_emotion_judge_{letter}"] <= 1
        # the judge says awe or fear of everything, so at most two emotions in eight are kept
        assert 0 <= values[f"prompt_keeps_emotion_judge_{letter}"] <= 0.25
    drawn = draw_settings(16, 0)
    told = [p for p in prompts if p != "{}"]
    assert len(told) == 16
    assert all(w[0] in p and w[1] in p for w, p in zip(drawn, told, strict=True))
    assert values["prompt_scene"] == np.mean([scene == "sea beach" for scene, _ in drawn])
    assert values["prompt_light"] == np.mean([light == LIGHTS[0] for _, light in drawn])
    assert {
        f"{k}_{f}"
        for k in ("explained", "blank")
        for f in ("scene", "objects", "object_recall", "object_precision", "face")
    } <= set(values)
