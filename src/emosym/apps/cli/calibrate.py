"""`emosym calibrate`: fit a trained model's confidence to labelled data of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emosym.apps.cli.data_options import (
    Config,
    Download,
    ImageColumn,
    LabelColumn,
    SourceName,
    SpaceName,
)

if TYPE_CHECKING:
    from emosym.models.calibration import Calibration


def calibrate(
    model: Annotated[str, typer.Argument(help="A shipped model or a checkpoint folder.")],
    data: Annotated[Path, typer.Option("--data", help="Folder of the labelled data, or an id.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the new checkpoint.")],
    split: Annotated[str, typer.Option(help="Which split: none that was trained on.")] = "val",
    source: SourceName = "emoset",
    space: SpaceName = None,
    target: Annotated[
        float, typer.Option(help="Share of answers that must be right; below it: abstain.")
    ] = 0.95,
    keep_probabilities: Annotated[
        bool, typer.Option("--keep-probabilities", help="Fit only when to abstain.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Read at once.")] = 64,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    config: Config = None,
    download: Download = False,
) -> None:
    """Write a checkpoint with the same weights and a new calibration.

    Temperature, vector scaling and the confidence below which it abstains are fitted to the
    model's readings of these pictures, texts or turns of dialogues; a training stage does the same
    on its validation split. Of labels that do not exclude each other, each gets a scale, a shift
    and the probability from which on it is said.
    With --keep-probabilities only the confidence below which it abstains is new.
    """
    from rich.console import Console

    from emosym.apps.cli.terminal import open_pipeline, progress_bar
    from emosym.data.sources.hub import HubOptions
    from emosym.data.sources.open import open_dataset
    from emosym.evaluation.recalibrate import recalibrated
    from emosym.pipelines.trained import checkpoint_place, space_named

    options = HubOptions(image_column, label_column, config, download)
    answers = space_named(model, source, data, space)
    dataset = open_dataset(source, data, split, answers, hub=options)
    checkpoint_place(out)
    pipeline = open_pipeline(model, device)
    with progress_bar() as bar:
        task = bar.add_task("reading", total=len(dataset))
        found = recalibrated(
            pipeline,
            dataset,
            target,
            keep_probabilities=keep_probabilities,
            batch_size=batch_size,
            workers=workers,
            progress=lambda n: bar.advance(task, n),
        )
    found.save_pretrained(out)
    console = Console(highlight=False)
    for line in told(found.answering(dataset.space).model.calibration, keep_probabilities):
        console.print(line, soft_wrap=True)
    console.print(f"Wrote {out}.", soft_wrap=True, markup=False)


def told(calibration: Calibration, kept: bool = False) -> list[str]:
    """Return what was fitted, in sentences; `kept` where the probabilities are those of before."""
    from emosym.models.calibration import PLATT

    method = "vector scaling" if calibration.method == "vector" else "temperature"
    if kept:
        lines = [f"{calibration.n} readings; the probabilities are as they were."]
    elif calibration.method == PLATT:
        limits = calibration.thresholds or ()
        lines = [
            f"{calibration.n} readings; each of the {len(limits)} labels has a scale and a shift "
            f"of its own, and is said from {min(limits):.3f} to {max(limits):.3f} on."
        ]
    else:
        lines = [
            f"{calibration.n} readings; temperature {calibration.temperature:.3f}. Cross-validated "
            f"negative log likelihood {calibration.temperature_nll:.4f} with it, "
            f"{calibration.vector_nll:.4f} with vector scaling: {method} is used."
        ]
    if calibration.abstain_below is None:
        lines.append(
            f"No confidence had {calibration.target:.1%} of 20 or more readings right: this model "
            "will not say when to abstain."
        )
    else:
        lines.append(
            f"Below a confidence of {calibration.abstain_below:.3f} it abstains. It answers "
            f"{calibration.coverage:.1%} of these; {calibration.accuracy:.1%} of those "
            "answers are right."
        )
    return lines
