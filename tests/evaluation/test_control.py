"""Control and explanations: what counts as named, and that every measure runs on the real parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emosym.data.sources import open_dataset
from emosym.data.storybook import write_storybook
from emosym.errors import UsageError
from emosym.evaluation import control
from emosym.evaluation.control import evaluate_control, named
from emosym.pipelines.emosym_pipeline import EmoSymPipeline
from emosym.types import Sample

SAMPLE = Sample(
    id="x",
    attributes={
        "scene": "sea beach",
        "object": ["ball", "star"],
        "facial_expression": "mouth wavy, brows slanted",
    },
)


def test_objects_are_whole_words_and_others_spoil_them() -> None:
    right = "A ball and a star on a sea beach; mouth wavy under slanted brows."
    assert named(right, SAMPLE) == {"scene": True, "objects": True, "face": True}
    more = right.replace("a star", "a star, a balloon")
    assert named(more, SAMPLE)["objects"] is False
    less = "A balloon, while stars stand in a deep blue sky; mouth wavy, brows raised."
    assert named(less, SAMPLE) == {"scene": False, "objects": False, "face": False}
    with pytest.raises(UsageError, match="no storybook attributes"):
        named("", Sample(id="y", attributes={"scene": "airfield"}))


class Fixed:
    """A judge for a base that has none: bright pictures are awe, dark ones fear."""

    name, checksum = "fixed", "0" * 64

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        light = images.reshape(len(images), -1).mean(axis=1) / 255
        found = np.full((len(images), 8), 0.01)
        found[:, 1], found[:, 6] = light, 1 - light
        return found / found.sum(axis=1, keepdims=True)


def test_every_control_measure_is_computed(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_storybook(tmp_path, {"train": 2, "val": 2, "test": 6}, size=64, seed=5, workers=1)
    monkeypatch.setattr(control, "load_judges", lambda pipeline: (Fixed(), Fixed(), None))
    result = evaluate_control(
        EmoSymPipeline.from_pretrained(tiny_checkpoint),
        open_dataset("storybook", tmp_path, "test"),
        like=3,
        explained=4,
        per_cell=1,
        per_mix=1,
    )
    assert result["n"] == 8 * 5 + 28 + 3
    values = result["values"]
    for letter in "ab":
        assert -1 <= values[f"intensity_spearman_judge_{letter}"] <= 1
        assert 0 <= values[f"mix_both_on_top_judge_{letter}"] <= 1
        assert 0 <= values[f"like_keeps_emotion_judge_{letter}"] <= 1
    assert {
        f"{k}_{f}" for k in ("explained", "blank") for f in ("scene", "objects", "face")
    } <= set(values)
