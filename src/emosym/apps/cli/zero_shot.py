"""What `--zero-shot` adds to a verb: its options, checked together, and the stock models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from emosym.errors import UsageError

if TYPE_CHECKING:
    from emosym.emotions import LabelSpace
    from emosym.pipelines.zero_shot import ZeroShotPipeline

SHIPPED_MODEL = "storybook"

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


def check_zero_shot(zero_shot: bool, model: str | None, **only: object) -> None:
    """Refuse options that do not go together; `only` are those that need --zero-shot, by name.

    Raises:
        UsageError: for --zero-shot with --model, or an option of zero-shot without it.
    """
    if zero_shot and model is not None:
        raise UsageError(
            f"--model {model} is a trained model and --zero-shot asks one that is not: "
            "give one of them; a stock model is named by --preset."
        )
    for name, value in only.items():
        if value is not None and not zero_shot:
            raise UsageError(f"--{name.replace('_', '-')} goes with --zero-shot.")


def parse_labels(text: str) -> list[str]:
    """Turn 'joy, calm' into its words; `own_labels` checks them."""
    return [word.strip() for word in text.split(",")]


def open_zero_shot(
    preset: str | None,
    device: str,
    labels: str | LabelSpace | None = None,
    max_pixels: int | None = None,
    painter: str | None = None,
) -> ZeroShotPipeline:
    """Find the stock models; errors as in `ZeroShotPipeline.from_pretrained`."""
    from transformers.utils import logging

    from emosym.pipelines.zero_shot import PRESET, ZeroShotPipeline

    logging.disable_progress_bar()
    words = parse_labels(labels) if isinstance(labels, str) else labels
    return ZeroShotPipeline.from_pretrained(
        preset or PRESET, words, device, painter=painter, max_pixels=max_pixels
    )
