"""What the suites of `emosym evaluate` share, and the networks that are brought along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emosym.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from emosym.evaluation.generated import Networks

NETWORKS = ("inception", "lpips", "clip", "places", "imagenet")


@dataclass(frozen=True, slots=True)
class Options:
    """What the suites share. `per_emotion` counts paintings; None is the model's own default.

    `examples` says how many alike dialogues stand before a task's question.
    """

    out: Path
    per_emotion: int
    predictions: Path | None
    mode: str
    networks: dict[str, str]
    seed: int
    steps: int | None
    guidance_scale: float | None
    batch_size: int | None
    workers: int
    examples: int = 0

    def beside(self, name: str, suffix: str | None = None) -> Path:
        """Return the path NAME-`name` beside the result file NAME."""
        suffix = self.out.suffix if suffix is None else suffix
        return self.out.with_name(f"{self.out.stem}-{name}{suffix}")


def asked_networks(texts: Sequence[str]) -> dict[str, str]:
    """Return {name: path or hub id} of NAME=PATH texts.

    Raises:
        UsageError: for an unknown name or a text of another form.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, sign, path = text.partition("=")
        if not sign or not path:
            raise UsageError(f"--network {text!r} must look like NAME=PATH.")
        if name not in NETWORKS:
            raise unknown_name("network", name, NETWORKS)
        found[name] = path
    return found


def open_networks(named: dict[str, str], device: str) -> Networks:
    """Open the networks of `asked_networks`; errors as of `emosym.models.judges.extractors`."""
    from emosym.evaluation.generated import Networks
    from emosym.models.judges import extractors

    def classifier(name: str, kind: tuple[str, int]) -> Any:
        return extractors.load_classifier(named[name], kind, device) if name in named else None

    return Networks(
        extractors.load_inception(Path(named["inception"]), device)
        if "inception" in named
        else None,
        extractors.load_lpips(Path(named["lpips"]), device=device) if "lpips" in named else None,
        extractors.load_clip(named["clip"], device) if "clip" in named else None,
        classifier("places", extractors.PLACES),
        classifier("imagenet", extractors.IMAGENET),
    )
