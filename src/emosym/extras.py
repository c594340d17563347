"""Optional imports: the one place that knows which extra brings which library."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from emosym.errors import EmoSymError, unknown_name

EXTRAS: dict[str, tuple[str, ...]] = {
    "rl": ("trl",),
    "hub": ("datasets",),
    "heic": ("pillow_heif",),
    "4bit": ("bitsandbytes",),
    "gguf": ("gguf",),
    "annotate": ("openai",),
    "ui": ("gradio",),
    "serve": ("fastapi", "prometheus_client", "python_multipart", "uvicorn"),
    "client": ("httpx",),
    "ray": ("fsspec", "ray"),
    "metrics": ("torchmetrics",),
    "video": ("av",),
    "wheel": ("openpyxl",),
}


def install_command(extra: str) -> str:
    """Return the shell command that installs an extra."""
    return f"pip install 'emosym[{extra}]'"


def is_available(module: str) -> bool:
    """Tell whether a top-level module is installed, without importing it."""
    return importlib.util.find_spec(module) is not None


def require(module: str, extra: str) -> ModuleType:
    """Import an optional module.

    Args:
        module: dotted module name, such as "trl" or "trl.trainer".
        extra: the extra of pyproject.toml that brings it.

    Raises:
        EmoSymError: when it, or something it needs, is not installed; names the command.
    """
    if extra not in EXTRAS:
        raise unknown_name("extra", extra, EXTRAS)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise EmoSymError(
            f"This needs {module}, which cannot be imported ({error}). "
            f"Install it with: {install_command(extra)}"
        ) from error
