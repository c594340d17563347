"""The safety checker: on where its weights are, black where it flags."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from emosym.errors import EmoSymError
from emosym.models.painter.painter import load_painter
from emosym.models.painter.safety import withhold_unsafe


@pytest.fixture
def folder(tiny_models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_models / "stable-diffusion-v1-5", tmp_path / "sd"))


def change(folder: Path, **values: float) -> None:
    path = folder / "safety_checker" / "model.safetensors"
    tensors = load_file(path)
    for name, value in values.items():
        tensors[name] = torch.full_like(tensors[name], value)
    save_file(tensors, path, metadata={"format": "pt"})


def test_flagged_pictures_are_black_and_said_to_be(folder: Path) -> None:
    pictures = np.random.default_rng(0).integers(1, 256, (2, 32, 32, 3), dtype=np.uint8)
    kept, flags = withhold_unsafe(load_painter(folder).safety, pictures)
    assert np.array_equal(kept, pictures) and flags == (False, False)
    change(folder, concept_embeds_weights=-2.0)  # cosines above -2: every concept is there
    black, flags = withhold_unsafe(load_painter(folder).safety, pictures)
    assert flags == (True, True) and black.max() == 0 and black.dtype == np.uint8
    assert pictures.min() == 1  # what was given is as it was


def test_without_its_folder_there_is_none_and_half_of_it_is_refused(folder: Path) -> None:
    path = folder / "safety_checker" / "model.safetensors"
    tensors = load_file(path)
    del tensors["visual_projection.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(
        EmoSymError, match=r"do not fit their configuration: .'visual_projection.weight'"
    ):
        load_painter(folder)
    path.unlink()
    with pytest.raises(EmoSymError, match="safety_checker has no weights"):
        load_painter(folder)
    shutil.rmtree(folder / "safety_checker")
    assert load_painter(folder).safety is None
    pictures = np.ones((1, 8, 8, 3), np.uint8)
    assert withhold_unsafe(None, pictures) == (pictures, (False,))
