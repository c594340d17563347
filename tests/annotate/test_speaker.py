"""The local annotator speaks through any family of image-text-to-text models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emosym.apps.cli import annotate_plans


@pytest.mark.parametrize("preset", ["emosym-2b", "qwen2.5-vl-3b", "qwen3-vl-2b", "internvl3-1b"])
def test_every_family_answers_once_per_picture(
    preset: str, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights are random, so what is said is noise: but one text for each picture's shape."""
    monkeypatch.setenv("EMOSYM_MODELS", str(tiny_models))
    monkeypatch.setattr(annotate_plans, "MAX_NEW_TOKENS", 8)
    speak, name, question, _ = annotate_plans.open_speaker(preset, "cpu")
    assert name == preset and question is None
    rng = np.random.default_rng(0)
    shapes = ((60, 90, 3), (120, 64, 3), (64, 64, 3))
    images = [Image.fromarray(rng.integers(0, 256, shape, np.uint8)) for shape in shapes]
    said = speak(images, "What can be seen?")
    assert len(said) == 3 and all(isinstance(text, str) for text in said)
    assert "What can be seen?" not in " ".join(said)  # the answer alone, not the question
