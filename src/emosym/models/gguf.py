"""GGUF files of language models: converted once to what transformers reads in a second.

transformers opens a GGUF by undoing its quantisation, which takes half a minute for 135 million
parameters, every time. The result is kept in the user's cache: safetensors, configuration and
tokenizer.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

from emosym.errors import EmoSymError, UsageError
from emosym.extras import require
from emosym.files import disk_errors, sha256_of, user_cache, write_json
from emosym.models.snapshots import CONVERTED

log = logging.getLogger(__name__)
SUFFIX = ".gguf"
SAMPLE_BYTES = 1 << 20
# What the readers of GGUF raise on damaged files.
READ_ERRORS = (AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)


def gguf_of(source: Path) -> Path | None:
    """Return the GGUF file that a path names, by itself or as all that a folder holds, or None.

    Raises:
        UsageError: when a folder without a configuration holds several.
    """
    if source.suffix == SUFFIX and source.is_file():
        return source
    if not source.is_dir() or (source / "config.json").is_file():
        return None
    found = sorted(source.glob(f"*{SUFFIX}"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UsageError(f"{source} holds several GGUF files ({names}): name one of them.")
    return found[0] if found else None


def converted(gguf: Path) -> Path:
    """Return the folder of a GGUF's model in transformers' layout, made at the first call.

    Raises:
        EmoSymError: when the gguf library is missing, or the file cannot be read by it.
    """
    folder = user_cache() / "gguf" / f"{gguf.stem}-{_sample(gguf)}"
    if not (folder / CONVERTED).is_file():
        log.info("Converting %s once, to %s.", gguf.name, folder)
        convert(gguf, folder)
    return folder


def convert(gguf: Path, folder: Path) -> None:
    """Write a GGUF's model to `folder`, whole or not at all: weights in fp16, whatever it held.

    Errors as in `converted`.
    """
    require("gguf", "gguf")
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=folder.parent))
        try:
            _write(gguf, temporary)
            made_of = {"file": gguf.name, "bytes": gguf.stat().st_size, "sha256": sha256_of(gguf)}
            write_json(temporary / CONVERTED, made_of)
            temporary.chmod(0o755)
            if not (folder / CONVERTED).is_file():  # another process may have been first
                shutil.rmtree(folder, ignore_errors=True)
                temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _write(gguf: Path, folder: Path) -> None:
    """Write model.safetensors, config.json and the tokenizer's files."""
    import torch
    import transformers
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from emosym.models.quiet import quiet_loading

    where: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
    options: dict[str, Any] = {"dtype": torch.float16}
    if hasattr(transformers, "GgufConfig"):  # else weights may stay in the file's blocks
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    try:
        with quiet_loading():
            model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, **options, **where)
            tokenizer: Any = AutoTokenizer.from_pretrained(gguf.parent, **where)
    except (
        AttributeError,
        IndexError,
        KeyError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as e:
        reason = str(e).strip().split("\n", 1)[0]
        raise EmoSymError(
            f"{gguf} cannot be read as a GGUF model: {reason or type(e).__name__}."
        ) from e
    # save_pretrained refuses a model that came from GGUF. Parameters that share memory, as tied
    # embeddings do, are listed once: transformers ties them again by the configuration.
    shared = dict(model.named_parameters())
    buffers = {name for name, _ in model.named_buffers()} & set(model.state_dict())
    tensors = shared | {name: model.get_buffer(name) for name in buffers}
    plain = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    save_file(plain, folder / "model.safetensors", metadata={"format": "pt"})
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _sample(path: Path) -> str:
    """Return 16 hex digits of a file's name, size, first and last MiB."""
    size = path.stat().st_size
    digest = hashlib.sha256(f"{path.name}:{size}:".encode(errors="surrogateescape"))
    with path.open("rb") as stream:
        digest.update(stream.read(SAMPLE_BYTES))
        stream.seek(max(0, size - SAMPLE_BYTES))
        digest.update(stream.read(SAMPLE_BYTES))
    return digest.hexdigest()[:16]
