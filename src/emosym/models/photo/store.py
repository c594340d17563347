"""A reader of photographs on disk: what it is in photo.json, its numbers in photo.safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from emosym.errors import EmoSymError, UsageError
from emosym.files import read_json, sha256_of, write_atomic, write_json
from emosym.models.photo.head import AffectHead, Kernel, Scaling
from emosym.models.photo.names import DESCRIPTION

NUMBERS = "photo.safetensors"
FORMAT = "emosym.photo/1"
MOST_PICTURES, MOST_BLOCKS = 100_000, 16
SHA = r"^[0-9a-f]{64}$"


class StoredKernel(BaseModel):
    """A kernel of one rating, and how many deviations its intervals have."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    gamma: float = Field(gt=0)
    noise: float = Field(gt=0)
    width: float = Field(ge=0)


class Stored(BaseModel):
    """photo.json: `encoder` names what features come from, `encoder_fingerprint` its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    format: Literal["emosym.photo/1"]
    encoder: str = Field(max_length=4096)
    encoder_fingerprint: str = Field(pattern=SHA)
    spreads: dict[str, float] = Field(min_length=1, max_length=MOST_BLOCKS)
    names: list[str] = Field(min_length=2, max_length=MOST_PICTURES)
    valence: StoredKernel
    arousal: StoredKernel
    data: str = Field(max_length=1000)
    values: dict[str, float]
    sha256: str = Field(pattern=SHA)


def save_head(
    folder: Path,
    head: AffectHead,
    encoder: str,
    encoder_fingerprint: str,
    data: str,
    values: Mapping[str, float],
) -> None:
    """Write a head: `data` says whose ratings it was made of, `values` how well it did."""
    arrays = {"ratings": head.ratings, "far": head.far}
    for name, scaling in head.scalings.items():
        arrays[f"mean.{name}"] = scaling.mean.astype(np.float32)
        arrays[f"deviation.{name}"] = scaling.deviation.astype(np.float32)
        arrays[f"support.{name}"] = head.support[name].astype(np.float16)
    path = folder / NUMBERS
    write_atomic(path, lambda temporary: save_file(arrays, temporary))
    kernels = [
        {"gamma": kernel.gamma, "noise": kernel.noise, "width": width}
        for kernel, width in zip(head.kernels, head.widths, strict=True)
    ]
    described = {
        "format": FORMAT,
        "encoder": encoder,
        "encoder_fingerprint": encoder_fingerprint,
        "spreads": {name: scaling.spread for name, scaling in head.scalings.items()},
        "names": list(head.names),
        "valence": kernels[0],
        "arousal": kernels[1],
        "data": data,
        "values": dict(values),
        "sha256": sha256_of(path),
    }
    write_json(folder / DESCRIPTION, described)


def read_stored(folder: Path) -> Stored:
    """Return photo.json of a folder, checked.

    Raises:
        UsageError: in one sentence, when it is missing or is not what this version wrote.
    """
    raw = read_json(folder / DESCRIPTION, "description of a reader of photographs")
    try:
        return Stored.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise UsageError(
            f"{folder / DESCRIPTION} does not describe a reader of photographs: {where:.80}: "
            f"{first['msg']}."
        ) from error


def load_head(folder: Path) -> tuple[Stored, AffectHead]:
    """Return what `save_head` wrote.

    Raises:
        UsageError: as `read_stored`.
        EmoSymError: when the numbers are missing, damaged, or of another description.
    """
    stored, path = read_stored(folder), folder / NUMBERS
    if not path.is_file() or sha256_of(path) != stored.sha256:
        raise EmoSymError(
            f"{path} is missing or is not the file that {DESCRIPTION} was written with."
        )
    try:
        arrays = load_file(path)
        count = len(stored.names)
        scalings = {
            name: Scaling(
                arrays[f"mean.{name}"].astype(np.float64),
                arrays[f"deviation.{name}"].astype(np.float64),
                spread,
            )
            for name, spread in stored.spreads.items()
        }
        support = {name: arrays[f"support.{name}"].astype(np.float64) for name in scalings}
        ratings, far = arrays["ratings"], arrays["far"]
    except (SafetensorError, KeyError) as error:
        raise EmoSymError(f"{path} is damaged or lacks a block: {error}.") from error
    fits = ratings.shape == (count, 2) and far.shape == (count,)
    for name, block in support.items():
        wanted = (count, len(scalings[name].mean))
        fits = fits and block.shape == wanted and scalings[name].deviation.shape == wanted[1:]
    if not fits or not all(np.isfinite(array).all() for array in arrays.values()):
        raise EmoSymError(f"{path} does not fit its description: a block has another size, or NaN.")
    both = (stored.valence, stored.arousal)
    kernels = [Kernel(one.gamma, one.noise) for one in both]
    return stored, AffectHead(
        scalings,
        support,
        ratings,
        tuple(stored.names),
        (kernels[0], kernels[1]),
        (both[0].width, both[1].width),
        far,
    )
