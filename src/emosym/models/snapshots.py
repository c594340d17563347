"""Weights of others on this machine: where they are, whether they are whole, how much they need.

Nothing is fetched. A source is a local folder, a GGUF file or a hub id (`owner/name`); hub ids are
looked up in the folder that EMOSYM_MODELS names, by their last part, in what `emosym models get`
converted, and in the hub's own cache.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from emosym.errors import EmoSymError, UsageError
from emosym.files import read_json, user_cache

MODELS = "EMOSYM_MODELS"
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
OWN_FOLDERS = ("runs", "data", "models", "recipes", "checkpoints")
WEIGHTS = "*.safetensors"
INDEX = "*.safetensors.index.json"
SAMPLE_BYTES = 1 << 20
LITE = "efficientnet-lite1"  # the encoder of photographs, and its folder among what was fetched
CONVERTED = "converted.json"  # in a folder that was made of a GGUF: of which
FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}
POSITIONS = "position_ids"  # a buffer that old checkpoints saved
GB = 1e9


def locate(source: str, what: str, how: str | None = None) -> Path:
    """Return the local folder of a source; `what` names it in errors ("reader of emosym-2b").

    A GGUF file, or a folder that holds one and no configuration, is converted at the first time
    (`gguf.converted`). `how` is the command that fetches the source, unset `hf download`.

    Raises:
        UsageError: when it is not on this machine; names the command that fetches it.
    """
    from emosym.models.gguf import converted, gguf_of

    if source and (gguf := gguf_of(Path(source))) is not None:
        return converted(gguf)
    if source and Path(source).is_dir():
        return Path(source)
    if not is_hub_id(source):
        raise UsageError(
            f"The {what}, {source!r}, is neither a folder here nor a hub id (owner/name)."
        )
    name = source.split("/")[1]
    roots = [os.environ.get(MODELS), str(fetched_models())]
    for root in roots:
        if root and (Path(root) / name).is_dir():
            return Path(root) / name
    cached = cached_snapshot(source)
    if cached is not None:
        return cached
    raise UsageError(
        f"The {what}, {source}, is not on this machine, and nothing is fetched unasked. Run "
        f"{how or f'`hf download {source}`'}, or name a folder that holds {name}/ in {MODELS}."
    )


def is_hub_id(source: str) -> bool:
    """Return whether a name is a hub id (`owner/name`) and not a path of this machine.

    Where its first part is a folder here, or one of our own names for folders, a path is meant:
    what is missing is a folder, and no command would fetch it.
    """
    if not HUB_ID.fullmatch(source):
        return False
    first = source.split("/")[0]
    return first not in OWN_FOLDERS and not Path(first).exists()


def fetched_models() -> Path:
    """Return where `emosym models get` keeps what it converted, in the user's cache."""
    return user_cache() / "models"


def cached_snapshot(hub_id: str) -> Path | None:
    """Return the folder of a hub id in the hub's cache, or None."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def weight_files(folder: Path, variant: str | None = None) -> list[Path]:
    """Return the safetensors files of one model's folder, every shard of its index present.

    Raises:
        EmoSymError: when there are none, or a shard is missing.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}: a part of this model is missing.")
    files: set[Path] = set()
    for index in sorted(folder.glob(INDEX)):
        shards = read_json(index, "weight index").get("weight_map", {})
        files |= {folder / Path(str(name)).name for name in shards.values()}
    gone = sorted(file.name for file in files if not file.is_file())
    if gone:
        raise EmoSymError(
            f"{folder} is incomplete: {gone[0]} is missing"
            + (f" and {len(gone) - 1} more" if len(gone) > 1 else "")
            + ". Fetch it again."
        )
    if not files:
        ending = f".{variant}.safetensors" if variant else ".safetensors"
        dots = ending.count(".")  # without a variant: not other variants' files
        found = folder.glob(WEIGHTS)
        files = {f for f in found if f.name.endswith(ending) and f.name.count(".") == dots}
    if not files:
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        why = "holds pickled weights only, which are never opened" if pickled else "has no weights"
        raise EmoSymError(f"{folder} {why}: safetensors are needed. Fetch those.")
    return sorted(files)


def found_variant(folder: Path) -> str | None:
    """Return "fp16" where a folder has only the weights of that name, else None."""
    names = [path.name for path in folder.glob("*.safetensors*")]
    return "fp16" if names and all(".fp16" in name for name in names) else None


def bytes_needed(files: Iterable[Path], dtype: str) -> int:
    """Return the bytes that the tensors of weight files take in memory, floats in `dtype`.

    Only headers are read.

    Raises:
        EmoSymError: when a file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    total = 0
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118 - not a mapping
                    piece = opened.get_slice(name)
                    count = 1
                    for side in piece.get_shape():
                        count *= side
                    wide = WIDTHS[dtype] if piece.get_dtype() in FLOATS else 8
                    total += count * wide
        except (SafetensorError, OSError) as error:
            raise EmoSymError(f"{file} is damaged: {error}. Fetch it again.") from error
    return total


def require_memory(needed: int, device: str, what: str) -> None:
    """Refuse to load `needed` bytes where they do not fit, before any is read.

    Raises:
        EmoSymError: with both numbers.
    """
    free = free_memory(device)
    if needed > free:
        raise EmoSymError(
            f"Too little memory for the {what}: its weights take {needed / GB:.1f} GB and "
            f"{free / GB:.1f} GB are free on {device}. Close other programs, or take a smaller "
            "preset or device with more."
        )


def free_memory(device: str) -> int:
    """Return the bytes that are free on a device."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    import psutil

    return int(psutil.virtual_memory().available)


def require_fit(folder: Path, report: Mapping[str, Any]) -> None:
    """Refuse a model whose library reports weights as missing or left over: never half-trained.

    Raises:
        EmoSymError: with the first of their names.
    """
    odd = [*sorted(report["missing_keys"]), *sorted(report["unexpected_keys"])]
    odd = [key for key in odd if not key.endswith(POSITIONS)]
    if odd:
        raise EmoSymError(f"The weights in {folder} do not fit their configuration: {odd[:3]}.")


def fingerprint(folder: Path) -> str:
    """Return a SHA-256 over a model folder's configuration and samples of its weights.

    Of every weight file its name, size, first and last MiB are taken: gigabytes are not read, and
    other weights of the same shapes still have another fingerprint. What was converted has that of
    the file it was made of, whichever versions of the libraries made it.
    """
    digest = hashlib.sha256()
    source = folder / CONVERTED
    made_of = read_json(source, "note on a conversion").get("sha256") if source.is_file() else None
    if made_of is not None:
        digest.update(f"converted:{made_of}".encode())
        return digest.hexdigest()
    configs = [folder / "config.json", folder / "model_index.json"]
    files = sorted([*folder.glob(WEIGHTS), *folder.glob(f"*/{WEIGHTS}")])
    for path in [*(c for c in configs if c.is_file()), *files]:
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()}:{size}:".encode())
        with path.open("rb") as stream:
            digest.update(stream.read(SAMPLE_BYTES))
            if size > SAMPLE_BYTES:
                stream.seek(max(SAMPLE_BYTES, size - SAMPLE_BYTES))
                digest.update(stream.read(SAMPLE_BYTES))
    return digest.hexdigest()
