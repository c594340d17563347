"""Frozen vision encoders: from pictures to blocks of features, whatever the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from emosym.errors import UsageError
from emosym.files import read_json
from emosym.models.judges.extractors import open_vision_model
from emosym.models.photo.efficientnet_lite import EfficientNetLite1
from emosym.models.snapshots import LITE, fetched_models, locate
from emosym.models.tensors import fill, read_tensors

CONFIG, WEIGHTS = "config.json", "model.safetensors"
LITE_SIDE = 320  # pixels; more than it was trained at: what is small in a picture counts, too
STAGE_5, STAGE_6 = 4, 5  # of the stages, counted from 0: what lies between shapes and things
Read = Callable[[Sequence[Image.Image]], Mapping[str, np.ndarray]]


@dataclass(frozen=True, slots=True)
class Encoder:
    """A frozen network: `read` gives each picture's features, by block (N, d), float32."""

    kind: str
    folder: Path
    read: Read


def encoder_folder(source: str) -> Path:
    """Return where an encoder is: LITE, which `emosym models get photo` fetches, or as `locate`.

    Raises:
        UsageError: when it is not on this machine; names the command that fetches it.
    """
    if source != LITE:
        return locate(source, "vision encoder")
    folder = fetched_models() / LITE
    if not (folder / WEIGHTS).is_file():
        raise UsageError(
            "The vision encoder of photographs, EfficientNet-Lite1, is not on this machine, and "
            "nothing is fetched unasked. Run `emosym models get photo` (20 MB)."
        )
    return folder


def open_encoder(folder: Path, device: str = "cpu") -> Encoder:
    """Open an encoder's folder: EfficientNet-Lite1's, or any vision model of transformers.

    Raises:
        UsageError: when it is neither.
        EmoSymError: when its weights are missing or do not fit.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise UsageError(
            f"{folder} holds no vision encoder: it has no {CONFIG}. Fetch one by `emosym models "
            "get photo`, or give the folder of a vision model of transformers."
        )
    kind = read_json(path, "encoder's configuration").get("model_type")
    if kind == LITE:
        return Encoder(LITE, folder, _lite(folder, device))
    return Encoder(str(kind), folder, _of_transformers(folder, device))


@torch.no_grad()
def blocks_of_lite(net: EfficientNetLite1, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the features (B, d) of pictures (B, 3, H, W) of 0..255: two stages and the classes."""
    maps = net.stages(pictures)
    return {
        "stage 5": maps[STAGE_5].mean(dim=(2, 3)),
        "stage 6": maps[STAGE_6].mean(dim=(2, 3)),
        "classes": net.fc(maps[-1].mean(dim=(2, 3))),
    }


def _lite(folder: Path, device: str) -> Read:
    net, path = EfficientNetLite1(), folder / WEIGHTS
    fill(net, read_tensors(path, "the vision encoder"), path, "the vision encoder")
    net = net.eval().requires_grad_(False).to(device)

    def read(pictures: Sequence[Image.Image]) -> Mapping[str, np.ndarray]:
        stack = np.stack([squashed(picture, LITE_SIDE) for picture in pictures])
        tensor = torch.from_numpy(stack).permute(0, 3, 1, 2).to(device, torch.float32)
        both = (blocks_of_lite(net, tensor), blocks_of_lite(net, tensor.flip(3)))
        return {
            name: ((both[0][name] + both[1][name]) / 2).float().cpu().numpy() for name in both[0]
        }

    return read


def squashed(picture: Image.Image, side: int) -> np.ndarray:
    """Return a picture of any shape as uint8 (side, side, 3): all of it, its sides not kept."""
    return np.asarray(picture.convert("RGB").resize((side, side), Image.Resampling.BICUBIC))


def _of_transformers(folder: Path, device: str) -> Read:
    from transformers import AutoModel

    found, processor = open_vision_model(str(folder), "vision encoder", AutoModel, device)[1:]
    model: Any = getattr(found, "vision_model", found)

    @torch.no_grad()
    def read(pictures: Sequence[Image.Image]) -> Mapping[str, np.ndarray]:
        inputs = processor(images=list(pictures), return_tensors="pt").to(device)
        states = model(**inputs, output_hidden_states=True).hidden_states
        chosen = {"middle": states[len(states) * 2 // 3], "last": states[-1]}
        return {name: _pooled(state).float().cpu().numpy() for name, state in chosen.items()}

    return read


def _pooled(state: torch.Tensor) -> torch.Tensor:
    """Return the mean over places, of tokens (B, T, H) or maps (B, C, H, W)."""
    return state.mean(dim=1) if state.ndim == 3 else state.mean(dim=(2, 3))
