"""Presets: which base weights a name stands for, and where they are on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emosym.errors import EmoSymError, UsageError, unknown_name
from emosym.files import read_json, sha256_of, write_json

WEIGHTS = Path(__file__).parent.parent / "weights"
BASE_FILE = "base.json"
BASE_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Preset:
    """A named base: a folder of this package, or hub ids of its reader and painter."""

    name: str
    shipped: str | None
    reader: str
    painter: str
    image_size: int | None
    memory_gb: float


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("storybook-base", "storybook-base", "reader", "painter", 64, 1.0),
        Preset(
            "emosym-2b",
            None,
            "Qwen/Qwen2-VL-2B-Instruct",
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
            None,
            9.0,
        ),
        Preset(
            "emosym-7b",
            None,
            "Qwen/Qwen2-VL-7B-Instruct",
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
            None,
            22.0,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Base:
    """Where a base's parts are: local folders or hub ids."""

    name: str
    reader: str
    painter: str
    judges: Path | None
    image_size: int | None


def resolve_base(name: str) -> Base:
    """Return the base that a preset name or a local base folder stands for.

    A local base folder has `reader/` and `painter/`; its checksums (base.json) are verified.

    Raises:
        UsageError: for an unknown name or a folder that is not a base.
        EmoSymError: when a file of a base is missing or has another checksum.
    """
    preset = PRESETS.get(name)
    if preset is not None and preset.shipped is None:
        return Base(name, preset.reader, preset.painter, None, preset.image_size)
    folder = WEIGHTS / preset.shipped if preset and preset.shipped else Path(name)
    if not folder.is_dir():
        if preset is not None:
            raise EmoSymError(
                f"The weights of {name} are not in this installation ({folder.name} is missing). "
                "Train them with `emosym train storybook-base`, or install the package again."
            )
        raise unknown_name("preset", name, PRESETS, "Or give the folder of a base.")
    verify_base(folder)
    described = read_json(folder / BASE_FILE, "base description")
    judges = folder / "judges"
    return Base(
        name,
        str(folder / "reader"),
        str(folder / "painter"),
        judges if judges.is_dir() else None,
        described.get("image_size"),
    )


def write_base(folder: Path, image_size: int, provenance: dict[str, object]) -> None:
    """Write base.json: format, provenance, and the SHA-256 of every file of the base."""
    files = {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != BASE_FILE
    }
    write_json(
        folder / BASE_FILE,
        {"format": BASE_FORMAT, "image_size": image_size, **provenance, "files": files},
    )


def verify_base(folder: Path) -> None:
    """Check the checksums of a base folder; errors as in `resolve_base`."""
    if not (folder / BASE_FILE).is_file():
        raise UsageError(f"{folder} is not a base: it has no {BASE_FILE}.")
    described = read_json(folder / BASE_FILE, "base description")
    if described.get("format") != BASE_FORMAT:
        raise UsageError(
            f"{folder / BASE_FILE} has format {described.get('format')!r}; this version reads "
            f"{BASE_FORMAT}. Install the version of emosym that wrote it."
        )
    verify_files(folder, described["files"])


def verify_files(folder: Path, files: dict[str, str]) -> None:
    """Raise EmoSymError when a listed file is missing or its SHA-256 differs."""
    for name, wanted in files.items():
        path = folder / name
        if not path.is_file():
            raise EmoSymError(f"{folder} is incomplete: {name} is missing. Copy it again.")
        if sha256_of(path) != wanted:
            raise EmoSymError(
                f"{path} has the wrong checksum: it was changed or damaged. Copy it again."
            )
