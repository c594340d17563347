"""What `--zero-shot` adds to a verb: its options, and what they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from emosym.service.wanted import Wanted

ZeroShot = Annotated[
    bool,
    typer.Option("--zero-shot", help="Ask a model that was never trained on emotions: --preset."),
]
Preset = Annotated[
    str | None,
    typer.Option(help="With --zero-shot: a preset, a model's or base's folder, or a hub id."),
]
Labels = Annotated[
    str | None,
    typer.Option(help="With --zero-shot: 2 to 64 words to choose from, such as joy,calm,dread."),
]
MaxPixels = Annotated[
    int | None, typer.Option(help="With --zero-shot: pictures are read at so many pixels at most.")
]
PainterName = Annotated[
    str | None, typer.Option(help="With --zero-shot: another text-to-image folder or hub id.")
]


def wanted_model(
    model: str | None,
    device: str,
    zero_shot: bool,
    preset: str | None = None,
    labels: str | None = None,
    max_pixels: int | None = None,
    painter: str | None = None,
) -> Wanted:
    """Return what the options of a verb name; errors as in `Wanted`."""
    from emosym.service.wanted import Wanted

    words = None if labels is None else parse_labels(labels)
    return Wanted(model, zero_shot, preset, words, max_pixels, painter, device)


def parse_labels(text: str) -> list[str]:
    """Turn 'joy, calm' into its words; `own_labels` checks them."""
    return [word.strip() for word in text.split(",")]
