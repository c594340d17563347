"""Stable Diffusion's safety checker, on wherever its weights are in the painter's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers import AutoImageProcessor

from emosym.files import read_json
from emosym.models.snapshots import require_fit, weight_files

FOLDER = "safety_checker"


@dataclass(frozen=True, slots=True)
class Safety:
    """The checker and what turns pictures into its input."""

    checker: nn.Module
    processor: Any


def load_safety(folder: Path, dtype: torch.dtype, device: str) -> Safety | None:
    """Open the safety checker of a painter's folder; None where the folder has none.

    Raises:
        EmoSymError: when its weights are there in part only.
    """
    index = read_json(folder / "model_index.json", "painter (model_index.json)")
    if not (index.get(FOLDER) or [None])[0] or not (folder / FOLDER).is_dir():
        return None
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

    weight_files(folder / FOLDER)
    checker, report = StableDiffusionSafetyChecker.from_pretrained(
        folder / FOLDER,
        dtype=dtype,
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
    )
    require_fit(folder / FOLDER, report)
    processor = AutoImageProcessor.from_pretrained(
        folder / "feature_extractor", local_files_only=True, backend="pil"
    )
    return Safety(checker.to(device).eval().requires_grad_(False), processor)


@torch.no_grad()
def withhold_unsafe(
    safety: Safety | None, pictures: np.ndarray
) -> tuple[np.ndarray, tuple[bool, ...]]:
    """Blacken pictures (N, H, W, 3) uint8 that the checker flags; returns them and the flags."""
    if safety is None:
        return pictures, (False,) * len(pictures)
    images = [Image.fromarray(picture) for picture in pictures]
    encoded = safety.processor(images, return_tensors="pt").pixel_values
    first = next(safety.checker.parameters())
    checked, flags = safety.checker(
        clip_input=encoded.to(first.device, first.dtype), images=list(pictures.copy())
    )
    return np.stack(checked).astype(np.uint8), tuple(bool(flag) for flag in flags)
