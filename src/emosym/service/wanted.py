"""What a session is to open; light to import, so that a verb refuses before it loads anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emosym.errors import UsageError

if TYPE_CHECKING:
    from emosym.emotions import LabelSpace


SHIPPED_MODEL = "storybook"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to open: a trained `model`, or with `zero_shot` stock models that are asked in words.

    `model` is a shipped name, a checkpoint folder or a hub id; unset, the shipped storybook. Of
    zero-shot: `preset` is a preset's name, a base's or model's folder or a hub id, `labels` 2 to 64
    words or a label space, `max_pixels` bounds what a picture is read at, `painter` takes the place
    of the preset's own.
    """

    model: str | None = None
    zero_shot: bool = False
    preset: str | None = None
    labels: Sequence[str] | LabelSpace | None = None
    max_pixels: int | None = None
    painter: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        """Refuse what does not go together.

        Raises:
            UsageError: for a trained model with zero_shot, or an option of zero-shot without it.
        """
        if self.zero_shot and self.model is not None:
            raise UsageError(
                f"--model {self.model} is a trained model and --zero-shot asks one that is not: "
                "give one of them; a stock model is named by --preset."
            )
        for name in ("preset", "painter", "labels", "max_pixels"):
            if getattr(self, name) is not None and not self.zero_shot:
                raise UsageError(f"--{name.replace('_', '-')} goes with --zero-shot.")

    def identity(self) -> str:
        """Return what tells this model's paintings from another's; errors as in `checksum_of`."""
        if self.zero_shot:
            return f"{self.preset} {self.painter} {self.labels}"
        return checksum_of(self.model or SHIPPED_MODEL)

    def arguments(self) -> list[str]:
        """Return the options that name this model again in the shell."""
        named = {"--model": self.model, "--preset": self.preset, "--painter": self.painter}
        if isinstance(self.labels, list):
            named["--labels"] = ",".join(self.labels)
        words = ["--zero-shot"] if self.zero_shot else []
        return words + [word for k, v in named.items() if v is not None for word in (k, str(v))]


def checksum_of(model: str) -> str:
    """Return the SHA-256 of a model's emosym.json; errors as in `find_checkpoint`."""
    from emosym.files import sha256_of
    from emosym.models.checkpoint import DESCRIPTION
    from emosym.pipelines.trained import find_checkpoint

    return sha256_of(find_checkpoint(model) / DESCRIPTION)
