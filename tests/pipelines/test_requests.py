"""Requests to paint: what is understood, and what is refused before any work."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from emosym.emotions import MIKELS8
from emosym.errors import UsageError
from emosym.pipelines.requests import paint_request


def test_an_emotion_a_mix_and_a_place_become_weights() -> None:
    assert paint_request(MIKELS8, "AWE").weights == (0, 1, 0, 0, 0, 0, 0, 0)
    mixed = paint_request(MIKELS8, {"awe": 7, "fear": 3})
    assert mixed.weights == pytest.approx((0, 0.7, 0, 0, 0, 0, 0.3, 0))
    assert mixed.asked == {
        "emotion": {"awe": 7, "fear": 3},
        "weights": {"awe": 0.7, "fear": 0.3},
    }
    # anger is rated (2.50, 5.93): a wish there leans on it and on its neighbours
    placed = paint_request(MIKELS8, valence=2.5, arousal=5.93)
    assert placed.weights is not None
    assert MIKELS8.labels[placed.weights.index(max(placed.weights))] == "anger"
    assert sum(placed.weights) == pytest.approx(1.0)


def test_a_picture_is_kept_and_its_path_told(tmp_path) -> None:
    Image.new("RGB", (5, 4), "red").save(tmp_path / "a.png")
    request = paint_request(MIKELS8, like=tmp_path / "a.png")
    assert request.weights is None
    assert request.like is not None and request.like.size == (5, 4)
    assert json.loads(json.dumps(request.described(3)))["like"] == str(tmp_path / "a.png")
    assert request.described(3)["index"] == 3


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({}, "exactly one of"),
        ({"emotion": "awe", "valence": 5, "arousal": 5}, "exactly one of"),
        ({"emotion": "awe", "like": b"x"}, "exactly one of"),
        ({"valence": 5}, "go together"),
        ({"valence": 0.5, "arousal": 5}, "valence must lie in 1..9"),
        ({"emotion": "aew"}, "Did you mean 'awe'"),
        ({"emotion": {"awe": -1}}, "must be 0 or more"),
        ({"emotion": {"awe": 0}}, "sum to 0"),
        ({"emotion": {}}, "sum to 0"),
        ({"like": b""}, "it is empty"),
        ({"emotion": "awe", "intensity": -1}, "intensity must be between 0 and 10"),
        ({"emotion": "awe", "intensity": float("nan")}, "intensity must be"),
        ({"emotion": "awe", "guidance_scale": 0.5}, "guidance_scale must be between 1 and 100"),
        ({"emotion": "awe", "num_inference_steps": 0}, "num_inference_steps must be"),
        ({"emotion": "awe", "num_images": 0}, "num_images must be 1 or more"),
        ({"emotion": "awe", "prompt": "{} and {}"}, "may hold one {}"),
    ],
)
def test_bad_requests_are_one_sentence(asked, sentence) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        paint_request(MIKELS8, asked.pop("emotion", None), **asked)
    assert "\n" not in str(caught.value)
