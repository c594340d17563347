from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.evaluation.paintings import (
    evaluate_captioned,
    evaluate_paintings,
)
from emosym.evaluation.results.result import make_result
from emosym.metrics.intervals import wilson

SPACE = LabelSpace("two", ("calm", "wild"))


class BrightnessJudge:
    """A judge by rule: red above 128 is wild; its features are the mean colour."""

    name = "brightness"
    checksum = "00"
    labels = SPACE.labels
    names: ClassVar = {"scene": ("grey", "red"), "object": ("dot", "line")}

    def features(self, images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1, 3).mean(1).astype(np.float32) + 1.0

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        wild = np.where(images[:, 0, 0, 0] > 128, 0.9, 0.1)
        return np.stack([1 - wild, wild], axis=1).astype(np.float32)

    def attributes(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "scene": self.probabilities(images),
            "object": np.stack([images[:, 1, 1, 1] / 255, images[:, 2, 2, 2] / 255], axis=1),
        }


def pictures(reds: list[int], seed: int = 0) -> np.ndarray:
    """One 8x8 picture per red value; green and blue vary, so that they differ."""
    rng = np.random.default_rng(seed)
    images = np.empty((len(reds), 8, 8, 3), np.uint8)
    images[:] = rng.integers(0, 255, (len(reds), 1, 1, 3))
    images[..., 0] = np.asarray(reds)[:, None, None]
    images[:, 4:, :, 1] = 255 - images[:, 4:, :, 1]  # an edge
    return images


def test_values_by_hand() -> None:
    judge = BrightnessJudge()
    real = pictures([20] * 12 + [200] * 12)
    labels = np.repeat([0, 1], 12)
    # One calm painting of four looks wild.
    painted = {"calm": pictures([20, 20, 20, 200], 1), "wild": pictures([200] * 4, 2)}
    belongs = {"scene": np.eye(2, dtype=bool)}
    values = evaluate_paintings(
        painted, real, labels, judge, judge, judge, belongs=belongs, seed=3, space=SPACE
    )
    assert values["painted_per_emotion"] == [4, 4]
    assert values["emo_a_judge_a"] == values["emo_a_judge_b"] == 7 / 8
    interval = wilson(7, 8)
    assert values["emo_a_judge_a_interval"] == [interval.low, interval.high]
    assert values["emo_a_judge_a_per_emotion"] == [0.75, 1.0]
    assert values["emo_a_judge_a_of_real"] == 1.0
    assert values["emo_a_judge_a_mean_probability"] == pytest.approx((7 * 0.9 + 0.1) / 8)
    assert values["fidelity_scene"] == 7 / 8
    assert values["fidelity_relative"] == pytest.approx(7 / 8)
    assert 0.0 < values["coverage"] <= 1.0
    make_result("paintings", values, 8, 3)


def test_a_painter_that_repeats_itself_is_found_out() -> None:
    judge = BrightnessJudge()
    real = pictures([20] * 40 + [200] * 40)
    labels = np.repeat([0, 1], 40)
    varied = {"calm": pictures([20] * 20, 1), "wild": pictures([200] * 20, 2)}
    same = {name: np.repeat(images[:1], 20, axis=0) for name, images in varied.items()}
    good = evaluate_paintings(varied, real, labels, judge, judge, space=SPACE)
    bad = evaluate_paintings(same, real, labels, judge, judge, space=SPACE)
    assert good["emo_a_judge_a"] == bad["emo_a_judge_a"] == 1.0
    assert bad["coverage"] < 0.5 < good["coverage"]
    assert bad["distance"] == pytest.approx(0.0, abs=1e-6)
    assert good["distance_relative"] > 0.5
    assert "fidelity_relative" not in good


def test_the_seed_chooses_the_real_pictures() -> None:
    judge = BrightnessJudge()
    real, labels = pictures([20] * 40 + [200] * 40), np.repeat([0, 1], 40)
    painted = {"calm": np.repeat(pictures([20], 1), 15, axis=0)}
    first, again, other = (
        evaluate_paintings(painted, real, labels, judge, judge, seed=seed, space=SPACE)
        for seed in (0, 0, 5)
    )
    assert first == again
    assert first["coverage"] != other["coverage"]
    assert first["coverage_per_emotion"][1] is None  # none painted, so nothing to cover


def test_captions_by_hand() -> None:
    judge = BrightnessJudge()
    images = pictures([20, 200, 200, 20])
    images[:, 1, 1, 1] = [255, 0, 255, 0]
    images[:, 2, 2, 2] = 0
    marks = np.asarray([[1, 0], [0, 0], [1, 0], [0, 0]])
    real_truth = {"scene": np.asarray([0, 1, 1, 0]), "object": marks}
    asked = np.asarray([[1, 0], [0, 0], [1, 1], [0, 0]])
    truth = {"scene": np.asarray([0, 1, 0, -1]), "object": asked}
    values = evaluate_captioned(images, truth, images, real_truth, judge)
    assert values["scene"] == pytest.approx(2 / 3)  # the unknown one is left out
    assert values["scene_of_real"] == 1.0
    assert values["object"] == pytest.approx(2 * 2 / (2 + 3))
    assert values["object_exact"] == 0.75
    assert values["everything"] == 0.75
    assert values["everything_relative"] == 0.75
    assert values["edge_energy_ratio"] == 1.0
    with pytest.raises(UsageError, match="mood"):
        evaluate_captioned(images, {"mood": truth["scene"]}, images, real_truth, judge)


def test_refusals() -> None:
    judge = BrightnessJudge()
    real, labels = pictures([20, 200] * 8), np.asarray([0, 1] * 8)
    with pytest.raises(UsageError, match="no paintings"):
        evaluate_paintings({"calm": real[:0]}, real, labels, judge, judge, space=SPACE)
    with pytest.raises(UsageError, match="one size"):
        sizes = {"calm": real, "wild": np.zeros((1, 4, 4, 3), np.uint8)}
        evaluate_paintings(sizes, real, labels, judge, judge, space=SPACE)
    with pytest.raises(UsageError, match="mikels8"):
        evaluate_paintings({"awe": real}, real, labels, judge, judge)
    with pytest.raises(UsageError, match="calmm"):
        evaluate_paintings({"calmm": real}, real, labels, judge, judge, space=SPACE)
