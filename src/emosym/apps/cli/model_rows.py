"""What `emosym models` tells of each model: its parts, their sizes and licences, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emosym.errors import EmoSymError, UsageError
from emosym.models.photo.names import PHOTO
from emosym.models.presets import PHOTO_WHEEL, WEIGHTS, WEIGHTS_OF, Preset, resolve_base
from emosym.models.snapshots import LITE

if TYPE_CHECKING:
    from emosym.models.presets import Base

OF_PHOTO = "reads valence and arousal of photographs"


@dataclass(frozen=True, slots=True)
class Part:
    """A preset's reader or painter: what is fetched, and where it is (None where it is not)."""

    part: str
    hub_id: str
    gigabytes: float | None
    licence: str
    folder: Path | None


def parts_of(preset: Preset) -> list[Part]:
    """Return the parts of a preset, each with its folder where it is on this machine.

    Raises:
        EmoSymError: when a base that comes with this package is incomplete or was changed.
    """
    base = resolve_base(preset.name)
    found: list[Part] = []
    for part, hub_id in named_parts(preset):
        if preset.shipped is not None:
            folder = base.reader_folder() if part == "reader" else base.painter_folder()
            found.append(Part(part, "", folder_size(folder), "Apache-2.0", folder))
            continue
        weights = WEIGHTS_OF[hub_id]
        found.append(
            Part(part, hub_id, weights.gigabytes, weights.licence, whole_folder(base, part))
        )
    return found


def named_parts(preset: Preset) -> list[tuple[str, str]]:
    """Return the parts that a preset has, each with where it comes from."""
    both = (("reader", preset.reader), ("painter", preset.painter))
    return [(part, source) for part, source in both if source]


def whole_folder(base: Base, part: str) -> Path | None:
    """Return where a base's part is, or None where it is not here, or not whole."""
    from emosym.models.snapshots import found_variant, weight_files

    try:
        folder = base.reader_folder() if part == "reader" else base.painter_folder()
        below = ("",) if part == "reader" else ("unet", "vae", "text_encoder")
        for name in below:
            weight_files(folder / name, found_variant(folder / name))
    except EmoSymError:
        return None
    return folder


def does(preset: Preset) -> str:
    """Say what a preset can do."""
    reads = "reads pictures, text" if preset.sees else "reads text"
    return f"{reads}; paints" if preset.painter else reads


def size_of(gigabytes: float | None) -> str:
    """Return '4.4 GB' or '16 MB'."""
    if gigabytes is None:
        return ""
    return f"{gigabytes:.1f} GB" if gigabytes >= 0.1 else f"{gigabytes * 1000:.0f} MB"


def row_of(preset: Preset) -> dict[str, Any]:
    """Return a preset as a row for JSON; `damaged` says why a shipped one cannot be opened."""
    damaged = None
    try:
        parts = parts_of(preset)
    except EmoSymError as error:
        own = named_parts(preset)
        parts, damaged = [Part(part, "", None, "Apache-2.0", None) for part, _ in own], str(error)
    return told(preset.name, "--preset", does(preset), preset.memory_gb, damaged, parts)


def told(
    name: str,
    option: str,
    does: str,
    memory_gb: float | None,
    damaged: str | None,
    parts: Sequence[Part],
) -> dict[str, Any]:
    """Return a row for JSON; `option` is what names the model in the other verbs."""
    return {
        "preset": name,
        "option": option,
        "does": does,
        "memory_gb": memory_gb,
        "damaged": damaged,
        "parts": [
            {
                "part": part.part,
                "hub_id": part.hub_id or None,
                "gigabytes": part.gigabytes,
                "licence": part.licence,
                "folder": None if part.folder is None else str(part.folder),
            }
            for part in parts
        ],
    }


def trained_rows() -> list[dict[str, Any]]:
    """Return the trained models of this package as rows; `photo` with the encoder it needs."""
    from emosym.files import read_json
    from emosym.models.checkpoint import DESCRIPTION
    from emosym.pipelines.trained import shipped_models

    rows = []
    for name in shipped_models():
        folder = WEIGHTS / name
        about = read_json(folder / DESCRIPTION, "description of a model")
        reads = f"reads {', '.join(str(space['name']) for space in about['spaces'])}"
        words = f"{reads}; paints" if about["mappers"] else reads
        part = Part("checkpoint", "", folder_size(folder), "Apache-2.0", folder)
        rows.append(told(name, "--model", words, None, None, [part]))
    return [*rows, told(PHOTO, "--model", OF_PHOTO, None, None, photo_parts())]


def photo_parts() -> list[Part]:
    """Return what the reader of photographs is made of."""
    head, size = WEIGHTS / PHOTO, PHOTO_WHEEL.size / 1e9
    return [
        Part("reader", "", folder_size(head), "Apache-2.0", head),
        Part("encoder", "", size, "Apache-2.0", encoder_here()),
    ]


def folder_size(folder: Path) -> float:
    """Return the GB of a folder's files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9


def encoder_here() -> Path | None:
    """Return where the encoder of photographs is, None where it is not on this machine."""
    from emosym.models.photo.encoder import encoder_folder

    try:
        return encoder_folder(LITE)
    except UsageError:
        return None
