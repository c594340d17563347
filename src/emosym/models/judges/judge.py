"""Judges: small networks that score readings and paintings and never train what they judge.

Two emotion judges of different families (a residual convolution net, and a transformer over a
convolutional stem) and an attribute judge. A judge is one safetensors file beside one JSON file
that holds its configuration and the checksum of the weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from emosym.errors import EmoSymError, UsageError, unknown_name
from emosym.files import read_json, sha256_of, write_atomic, write_json
from emosym.models.judges.nets import EMOTION_HEAD, JudgeConfig, JudgeNet

JUDGE_FORMAT = "emosym.judge/1"
MULTI_LABEL_HEADS = ("object",)
JUDGE_NAMES = ("judge-a", "judge-b", "judge-attributes")


class Judge(Protocol):
    """Anything that gives emotion probabilities and features of pictures."""

    name: str
    checksum: str
    labels: tuple[str, ...]

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return (N, D) float32 features of uint8 (N, H, W, 3) pictures."""
        ...

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return (N, C) float32 probabilities, rows summing to 1."""
        ...


class AttributeJudge(Protocol):
    """Anything that finds what a picture shows."""

    name: str
    checksum: str
    names: Mapping[str, tuple[str, ...]]

    def attributes(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return per attribute (N, K) probabilities: a softmax, or sigmoids for `object`."""
        ...


def judge_config(
    name: str, emotions: tuple[str, ...], attributes: Mapping[str, tuple[str, ...]], size: int = 64
) -> JudgeConfig:
    """Return the configuration of one of JUDGE_NAMES.

    The emotion judges carry attribute heads too: they are trained on what is in the picture as
    well as on what it evokes, and only their emotion head is ever asked.

    Raises:
        UsageError: for an unknown judge name.
    """
    heads = {EMOTION_HEAD: tuple(emotions), **{k: tuple(v) for k, v in attributes.items()}}
    if name == "judge-a":
        return JudgeConfig(name, "residual", heads, size, (32, 64, 96))
    if name == "judge-b":
        return JudgeConfig(name, "transformer", heads, size, (32, 64, 104), 3)
    if name == "judge-attributes":
        del heads[EMOTION_HEAD]
        return JudgeConfig(name, "residual", heads, size, (32, 64, 112))
    raise unknown_name("judge", name, JUDGE_NAMES)


def judge_pixels(images: np.ndarray, size: int) -> Tensor:
    """Turn uint8 (N, H, W, 3) pictures into float (N, 3, size, size) in [-1, 1].

    Raises:
        UsageError: for another shape or type.
    """
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise UsageError(
            f"Pictures must be uint8 of shape (N, H, W, 3), got {images.dtype} {images.shape}."
        )
    return pixels_of(torch.from_numpy(np.ascontiguousarray(images)), size)


def pixels_of(pictures: Tensor, size: int) -> Tensor:
    """Turn uint8 (N, H, W, 3) into float (N, 3, size, size) in [-1, 1], on the same device."""
    pixels = pictures.permute(0, 3, 1, 2).float()
    if pixels.shape[-2:] != (size, size):
        pixels = F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
    return pixels / 127.5 - 1.0  # (N, 3, size, size)


class LoadedJudge:
    """A judge ready to be asked; serves as `Judge` and, with attribute heads, `AttributeJudge`."""

    def __init__(
        self,
        config: JudgeConfig,
        net: JudgeNet,
        checksum: str,
        device: str | torch.device = "cpu",
        batch_size: int = 250,
    ) -> None:
        """Hold `net` in evaluation mode on `device`; `checksum` identifies its weights."""
        self.name = config.name
        self.checksum = checksum
        self.config = config
        self.labels = tuple(config.heads.get(EMOTION_HEAD, ()))
        self.names: Mapping[str, tuple[str, ...]] = {
            k: v for k, v in config.heads.items() if k != EMOTION_HEAD
        }
        self.device = torch.device(device)
        self.batch_size = batch_size
        self._net = net.to(self.device).eval()

    def _run(self, images: np.ndarray) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        for start in range(0, len(images), self.batch_size):
            pixels = judge_pixels(images[start : start + self.batch_size], self.config.size)
            with torch.inference_mode():
                yield self._net(pixels.to(self.device))

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return (N, D) float32 pooled features of uint8 (N, H, W, 3) pictures."""
        parts = [features.float().cpu().numpy() for features, _ in self._run(images)]
        return np.concatenate(parts) if parts else np.zeros((0, self._net.trunk.width), np.float32)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return (N, C) emotion probabilities of uint8 (N, H, W, 3) pictures.

        Raises:
            UsageError: for the attribute judge, which has no emotion head.
        """
        if not self.labels:
            raise UsageError(f"{self.name} tells attributes, not emotions.")
        return self.every_head(images)[EMOTION_HEAD]

    def attributes(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return per attribute (N, K) probabilities: a softmax, or sigmoids for `object`."""
        found = self.every_head(images)
        return {name: found[name] for name in self.names}

    def every_head(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return (N, K) probabilities of every head, emotions included."""
        parts: dict[str, list[np.ndarray]] = {name: [] for name in self.config.heads}
        for _, logits in self._run(images):
            for name, value in logits.items():
                p = value.sigmoid() if name in MULTI_LABEL_HEADS else value.softmax(-1)
                parts[name].append(p.float().cpu().numpy())
        return {
            name: np.concatenate(rows)
            if rows
            else np.zeros((0, len(self.config.heads[name])), np.float32)
            for name, rows in parts.items()
        }


def save_judge(
    net: JudgeNet, config: JudgeConfig, folder: Path, about: Mapping[str, Any] | None = None
) -> Path:
    """Write folder/<name>.safetensors (bfloat16) and folder/<name>.json; return the JSON's path.

    `about` is kept as it is: how the judge was trained and what it measured.
    """
    from safetensors.torch import save_file

    weights = folder / f"{config.name}.safetensors"
    tensors = {k: v.detach().cpu().to(torch.bfloat16) for k, v in net.state_dict().items()}
    tensors = {key: value.contiguous() for key, value in tensors.items()}
    write_atomic(weights, lambda path: save_file(tensors, path))
    description = folder / f"{config.name}.json"
    write_json(
        description,
        {
            "format": JUDGE_FORMAT,
            "config": asdict(config),
            "sha256": sha256_of(weights),
            "about": dict(about or {}),
        },
    )
    return description


def _read_config(path: Path) -> tuple[JudgeConfig, str]:
    found = read_json(path, "judge description")
    try:
        if found["format"] != JUDGE_FORMAT:
            raise UsageError(
                f"{path} has format {found['format']!r}; this version reads {JUDGE_FORMAT!r}."
            )
        raw = dict(found["config"])
        raw["heads"] = {name: tuple(labels) for name, labels in raw["heads"].items()}
        raw["widths"] = tuple(raw["widths"])
        return JudgeConfig(**raw), str(found["sha256"])
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is not a judge description: {error!r}.") from error


def load_judge(folder: Path, name: str, device: str | torch.device = "cpu") -> LoadedJudge:
    """Load the judge `name` from `folder`, checking the weights against the stored checksum.

    Raises:
        UsageError: when a file is missing or is no judge description.
        EmoSymError: when the weights are damaged or do not fit the description.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config, expected = _read_config(folder / f"{name}.json")
    weights = folder / f"{name}.safetensors"
    if not weights.is_file():
        raise UsageError(f"Missing weights of {name}: {weights} does not exist.")
    checksum = sha256_of(weights)
    if checksum != expected:
        raise EmoSymError(
            f"{weights} is damaged: its SHA-256 is {checksum[:12]}..., {name}.json says "
            f"{expected[:12]}...; fetch or train it again."
        )
    net = JudgeNet(config)
    try:
        net.load_state_dict({k: v.float() for k, v in load_file(weights).items()}, strict=True)
    except (SafetensorError, RuntimeError) as error:
        raise EmoSymError(f"{weights} does not fit {name}.json: {error}") from error
    return LoadedJudge(config, net, checksum, device)
