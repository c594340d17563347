"""Single weight files from elsewhere: read without running anything they say, fitted in full."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from emosym.errors import EmoSymError, UsageError

_TORCH_FILES = (".pth", ".pt", ".bin")


def read_tensors(path: Path, what: str) -> dict[str, Tensor]:
    """Return the tensors of one .safetensors or PyTorch weights file, floats as float32.

    A PyTorch file goes through PyTorch's weights-only reader, which builds tensors and runs nothing
    that the file says.

    Raises:
        UsageError: when there is no such file, or it is of another kind.
        EmoSymError: when it is damaged or holds anything but tensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise UsageError(f"The weights of {what} are missing: there is no file {path}.")
    found: Any
    try:
        if path.suffix == ".safetensors":
            found = load_file(path)
        elif path.suffix in _TORCH_FILES:
            found = torch.load(path, map_location="cpu", weights_only=True)
        else:
            raise UsageError(
                f"The weights of {what}, {path}, must end in .safetensors or "
                f"{', '.join(_TORCH_FILES)}."
            )
    except (SafetensorError, UnpicklingError, RuntimeError, OSError, EOFError) as error:
        told = str(error).split("\n", 1)[0]
        raise EmoSymError(f"{path} is damaged or holds more than tensors: {told}") from error
    if not isinstance(found, Mapping) or not all(isinstance(t, Tensor) for t in found.values()):
        raise EmoSymError(f"{path} does not map names to tensors, so it is no weights of {what}.")
    return {name: t.float() if t.is_floating_point() else t for name, t in found.items()}


def fill(net: nn.Module, tensors: Mapping[str, Tensor], path: Path, what: str) -> None:
    """Load `tensors` into `net`, every one of both; `what` and `path` stand for them in errors.

    Raises:
        EmoSymError: when one is missing, left over or of another shape.
    """
    try:
        net.load_state_dict(dict(tensors), strict=True)
    except RuntimeError as error:
        odd = [line.strip() for line in str(error).splitlines()[1:2]]
        told = " ".join(odd)[:200]
        raise EmoSymError(f"{path} does not fit {what}: {told}") from error
