"""Frozen networks that painting metrics are measured with, opened from local files.

Each has a name, which is part of a metric's key, and a SHA-256, which goes into the result. Where
their weights are not at hand a judge's features stand in, under the judge's own name. Pictures are
uint8 (N, H, W, 3). Nothing is fetched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from emosym.errors import UsageError
from emosym.extras import require
from emosym.files import sha256_of
from emosym.models.judges.inception import Inception
from emosym.models.judges.lpips import CHANNELS, LEAST_SIDE, Lpips
from emosym.models.snapshots import found_variant, locate, require_fit, weight_files
from emosym.models.tensors import fill, read_tensors

if TYPE_CHECKING:
    from emosym.models.judges.judge import Judge

BATCH = 32
PLACES = ("places365", 365)
IMAGENET = ("imagenet", 1000)
_CONFIGS = ("config.json", "preprocessor_config.json")


@dataclass(frozen=True, slots=True)
class Extractor:
    """Pictures in, one row of numbers for each out: features, or probabilities that sum to 1."""

    name: str
    checksum: str
    run: Callable[[np.ndarray], np.ndarray]
    """uint8 (N, H, W, 3) -> float32 (N, D)."""


@dataclass(frozen=True, slots=True)
class PairNet:
    """Two lots of pictures in, one distance for each pair out."""

    name: str
    checksum: str
    run: Callable[[np.ndarray, np.ndarray, bool], np.ndarray]
    """Two uint8 (P, H, W, 3), compat -> float64 (P,)."""


def judge_extractor(judge: Judge) -> Extractor:
    """Return a judge's features as an extractor that bears the judge's name."""
    return Extractor(judge.name.replace("-", "_"), judge.checksum, judge.features)


def _ready(net: nn.Module, device: str) -> nn.Module:
    return net.to(device).eval().requires_grad_(False)


def _batches(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


def _check_pictures(pictures: np.ndarray) -> None:
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3:
        raise UsageError(
            f"Pictures must be uint8 of shape (N, H, W, 3), got {pictures.dtype} {pictures.shape}."
        )
    if len(pictures) == 0:
        raise UsageError("There are no pictures to look at.")


def _channels_first(pictures: np.ndarray, device: str) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures)).to(device).permute(0, 3, 1, 2)


def load_inception(weights: Path, device: str = "cpu", batch: int = BATCH) -> Extractor:
    """Open the Inception network of FID: (N, 2048) features at 299x299.

    `weights` is the published pt_inception-2015-12-05-6726825d.pth or a safetensors file of the
    same tensors. Other Inception weights (torchvision's have 1000 outputs) are refused.

    Raises:
        UsageError, EmoSymError: as `read_tensors`, and for weights that do not fit.
    """
    what = "the FID Inception network"
    net = Inception()
    fill(net, read_tensors(weights, what), weights, what)
    ready = _ready(net, device)

    def run(pictures: np.ndarray) -> np.ndarray:
        _check_pictures(pictures)
        with torch.inference_mode():
            parts = [
                ready(_channels_first(pictures[rows], device)).cpu().numpy()
                for rows in _batches(len(pictures), batch)
            ]
        return np.concatenate(parts)  # (N, 2048)

    return Extractor("inception", sha256_of(weights), run)


def _published_heads() -> Path:
    """Return the file of LPIPS channel weights that torchmetrics brings along."""
    package = require("torchmetrics", "metrics").__file__
    return Path(str(package)).parent / "functional" / "image" / "lpips_models" / "alex.pth"


def load_lpips(
    alexnet: Path, heads: Path | None = None, device: str = "cpu", batch: int = BATCH
) -> PairNet:
    """Open LPIPS (AlexNet): distances of pictures in [-1, 1], or [0, 1] in compat.

    `alexnet` is torchvision's alexnet-owt file (its classifier is passed over) or a safetensors
    file of the same tensors; `heads` the channel weights (lin0.model.1.weight ...), by default
    those that torchmetrics brings along.

    Raises:
        UsageError, EmoSymError: as `read_tensors`, and for weights that do not fit.
    """
    where = heads or _published_heads()
    net = Lpips()
    whole = read_tensors(alexnet, "AlexNet")
    found = {name: t for name, t in whole.items() if not name.startswith("classifier.")}
    for name, tensor in read_tensors(where, "the LPIPS heads").items():
        layer = name.removeprefix("lin").split(".")[0]
        if layer.isdigit() and int(layer) < len(CHANNELS):
            found[f"heads.{layer}"] = tensor.flatten()
    fill(net, found, alexnet, "LPIPS (AlexNet)")
    ready = _ready(net, device)

    def scaled(pictures: np.ndarray, compat: bool) -> Tensor:
        unit = _channels_first(pictures, device).float() / 255.0
        return unit if compat else unit * 2.0 - 1.0

    def run(first: np.ndarray, second: np.ndarray, compat: bool) -> np.ndarray:
        _check_pictures(first)
        _check_pictures(second)
        if first.shape != second.shape or min(first.shape[1:3]) < LEAST_SIDE:
            raise UsageError(
                f"LPIPS needs pairs of one size, at least {LEAST_SIDE} pixels a side, got "
                f"{first.shape} and {second.shape}."
            )
        with torch.inference_mode():
            parts = [
                ready(scaled(first[rows], compat), scaled(second[rows], compat)).cpu().numpy()
                for rows in _batches(len(first), batch)
            ]
        return np.concatenate(parts).astype(np.float64)  # (P,)

    both = f"{sha256_of(alexnet)}{sha256_of(where)}"
    return PairNet("alexnet", hashlib.sha256(both.encode()).hexdigest(), run)


def folder_checksum(folder: Path) -> str:
    """Return one SHA-256 of a model folder's configuration and whole weight files."""
    digest = hashlib.sha256()
    configs = [folder / name for name in _CONFIGS if (folder / name).is_file()]
    for path in [*configs, *weight_files(folder, found_variant(folder))]:
        digest.update(f"{path.name}:{sha256_of(path)}\n".encode())
    return digest.hexdigest()


def open_vision_model(
    source: str, what: str, kind: Any, device: str
) -> tuple[Path, nn.Module, Any]:
    """Return (folder, model, its image processor) of a folder or hub id; `kind` opens the model.

    Raises:
        UsageError: when it is not here, or lacks its preprocessor_config.json.
        EmoSymError: when its weights are missing or do not fit.
    """
    from transformers import AutoImageProcessor

    folder = locate(source, what)
    weight_files(folder, found_variant(folder))
    if not (folder / _CONFIGS[1]).is_file():
        raise UsageError(
            f"{folder} has no {_CONFIGS[1]}, which says how the {what} wants its pictures."
        )
    model, report = kind.from_pretrained(
        folder,
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=True,
        variant=found_variant(folder),
        output_loading_info=True,
    )
    require_fit(folder, report)
    processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
    return folder, _ready(model, device), processor


def _processed(pictures: np.ndarray, processor: Any, device: str, batch: int) -> Iterator[Tensor]:
    _check_pictures(pictures)
    for rows in _batches(len(pictures), batch):
        images = [Image.fromarray(picture) for picture in pictures[rows]]
        yield processor(images, return_tensors="pt").pixel_values.to(device)


def load_clip(source: str, device: str = "cpu", batch: int = BATCH) -> Extractor:
    """Open CLIP's vision side: (N, D) projected image embeddings, not normalised.

    `source` is a folder or hub id in the transformers layout, on this machine.

    Raises:
        UsageError: when it is not here, or lacks its preprocessor_config.json.
        EmoSymError: when its weights are missing or do not fit.
    """
    from transformers import CLIPVisionModelWithProjection

    folder, model, processor = open_vision_model(
        source, "CLIP image encoder", CLIPVisionModelWithProjection, device
    )

    def run(pictures: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            parts = [
                model(pixel_values=pixels).image_embeds.cpu().numpy()
                for pixels in _processed(pictures, processor, device, batch)
            ]
        return np.concatenate(parts)  # (N, D)

    return Extractor("clip", folder_checksum(folder), run)


def load_classifier(
    source: str, kind: tuple[str, int], device: str = "cpu", batch: int = BATCH
) -> Extractor:
    """Open a picture classifier, PLACES or IMAGENET: (N, classes) probabilities.

    `source` is a folder or hub id of a ResNet in the transformers layout, on this machine.

    Raises:
        UsageError: when it is not here, has another number of classes, or lacks its
            preprocessor_config.json.
        EmoSymError: when its weights are missing or do not fit.
    """
    from transformers import ResNetForImageClassification

    name, classes = kind
    folder, model, processor = open_vision_model(
        source, f"{name} classifier", ResNetForImageClassification, device
    )
    told = int(model.num_labels)  # type: ignore[arg-type]
    if told != classes:
        raise UsageError(f"{folder} tells {told} classes apart; {name} has {classes}.")

    def run(pictures: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            parts = [
                model(pixel_values=pixels).logits.softmax(-1).cpu().numpy()
                for pixels in _processed(pictures, processor, device, batch)
            ]
        return np.concatenate(parts)  # (N, classes)

    return Extractor(name, folder_checksum(folder), run)
