"""EfficientNet-Lite1: published weights, made once into what opens without running anything."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from safetensors.torch import save_file

from emosym.files import disk_errors, sha256_of, write_json
from emosym.models.photo.efficientnet_lite import EfficientNetLite1, renamed
from emosym.models.photo.encoder import CONFIG, WEIGHTS
from emosym.models.snapshots import CONVERTED, LITE
from emosym.models.tensors import fill, read_tensors


def convert_lite(weights: Path, folder: Path) -> None:
    """Write the encoder of a published weights file to `folder`, whole or not at all.

    Raises:
        EmoSymError: when the file is damaged, or of another network.
    """
    tensors = renamed(read_tensors(weights, "EfficientNet-Lite1"))
    fill(EfficientNetLite1(), tensors, weights, "EfficientNet-Lite1")
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=folder.parent))
        try:
            save_file(tensors, temporary / WEIGHTS, metadata={"format": "pt"})
            write_json(temporary / CONFIG, {"model_type": LITE})
            made_of = {"file": weights.name, "sha256": sha256_of(weights)}
            write_json(temporary / CONVERTED, made_of)
            temporary.chmod(0o755)
            shutil.rmtree(folder, ignore_errors=True)
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
