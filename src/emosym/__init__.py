"""EmoSym: one model that reads the emotion an image evokes, and paints images that evoke it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emosym.pipelines.trained import EmoSymPipeline
    from emosym.pipelines.zero_shot import ZeroShotPipeline

__version__ = "0.1.0"
__all__ = ["EmoSymPipeline", "ZeroShotPipeline", "__version__"]


def __getattr__(name: str) -> Any:
    """Load a pipeline on first use, so that `import emosym` stays light."""
    if name == "EmoSymPipeline":
        from emosym.pipelines.trained import EmoSymPipeline

        return EmoSymPipeline
    if name == "ZeroShotPipeline":
        from emosym.pipelines.zero_shot import ZeroShotPipeline

        return ZeroShotPipeline
    raise AttributeError(f"module 'emosym' has no attribute {name!r}")
