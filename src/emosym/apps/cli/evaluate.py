"""`emosym evaluate`: measure a model on a labelled split, and its paintings with judges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emosym.apps.cli.data_options import Config, Download, ImageColumn, LabelColumn, SourceName
from emosym.apps.cli.zero_shot import MaxPixels, Preset, ZeroShot, check_zero_shot
from emosym.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SHOWN: dict[str, tuple[str, ...]] = {
    "understanding": (
        "accuracy",
        "best_accuracy",
        "of_best",
        "macro_f1",
        "polarity_accuracy",
        "ece",
        "ece_raw",
        "brier_multiclass",
        "brier_multiclass_raw",
        "best_brier_multiclass",
        "nll",
        "nll_raw",
        "abstain_coverage",
        "abstain_accuracy",
        "votes_kl",
        "outside_share",
    ),
    "paintings": (
        "emo_a_judge_a",
        "emo_a_judge_a_of_real",
        "emo_a_judge_b",
        "emo_a_judge_b_of_real",
        "self_agreement",
        "coverage",
        "coverage_of_real",
        "fidelity_relative",
        "distance_relative",
        "edge_energy_ratio",
    ),
}


def evaluate(
    data: Annotated[Path, typer.Option("--data", help="Folder of the data set, or an id.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Result file (JSON).")],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="A shipped model or a checkpoint folder."),
    ] = None,
    split: Annotated[str, typer.Option(help="Which split.")] = "test",
    source: SourceName = "emoset",
    limit: Annotated[int | None, typer.Option(min=1, help="Read only so many pictures.")] = None,
    paint: Annotated[
        int, typer.Option(min=0, help="Also paint so many per emotion and judge them.")
    ] = 0,
    control: Annotated[
        bool,
        typer.Option("--control", help="Also intensity, mixes, likenesses and explanations."),
    ] = False,
    predictions: Annotated[
        Path | None, typer.Option(help="Also every picture's probabilities (Parquet).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides the limit's draw and the paintings.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Sampler steps: 10 (30).")] = None,
    guidance_scale: Annotated[
        float | None, typer.Option(min=1, help="How strictly: 3 (7.5).")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Read at once: 64 (8).")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    config: Config = None,
    download: Download = False,
    zero_shot: ZeroShot = False,
    preset: Preset = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Measure readings; --paint and --control write NAME-paintings.json and NAME-control.json.

    Each result is written as soon as it is there. In brackets: zero-shot's defaults.
    """
    from rich.console import Console

    from emosym.apps.cli.outputs import check_outputs, make_parent
    from emosym.data.hub import HubOptions
    from emosym.data.sources import open_dataset

    check_zero_shot(zero_shot, model, preset=preset, max_pixels=max_pixels)
    check_measured(zero_shot, model, control)
    check_outputs({"json": out} | ({"parquet": predictions} if predictions else {}))
    dataset = open_dataset(
        source, data, split, hub=HubOptions(image_column, label_column, config, download)
    )

    from emosym.apps.cli import measured as measures
    from emosym.evaluation.ratings import rated_only
    from emosym.evaluation.runner import choose

    measured = measures.open_measured(model, preset, device, max_pixels, dataset)
    if rated_only(dataset) and (paint or control or predictions):
        raise UsageError(f"{data} has no emotions: no --paint, --control or --predictions for it.")
    if paint or control:
        measures.require_judged_paintings(measured.pipeline)
    make_parent(out)
    console = Console(highlight=False)
    chosen = choose(dataset, limit, seed)
    read = measures.measure_reading(measured, chosen, seed, batch_size, workers)
    keep(console, out, read if isinstance(read, dict) else read.result)
    if predictions is not None and not isinstance(read, dict):
        from emosym.evaluation.predictions import write_predictions

        write_predictions(predictions, read, measured.pipeline.space.labels)
        console.print(f"Wrote {predictions}.", soft_wrap=True, markup=False)
    if paint:
        made = measures.measure_painting(
            measured, chosen, paint, seed, steps, guidance_scale, workers
        )
        keep(console, out.with_name(f"{out.stem}-paintings{out.suffix}"), made)
    if control:
        made = measures.measure_control(measured, dataset, seed, steps, guidance_scale)
        keep(console, out.with_name(f"{out.stem}-control{out.suffix}"), made)


def check_measured(zero_shot: bool, model: str | None, control: bool) -> None:
    """Raise UsageError unless there is one model to measure, and it can be measured so."""
    if model is None and not zero_shot:
        raise UsageError("Say what to measure: --model, or --zero-shot with --preset.")
    if zero_shot and control:
        raise UsageError("--control measures a trained model's emotion space: drop it.")


def keep(console: Console, path: Path, result: Mapping[str, Any]) -> None:
    """Write a result and show its main values."""
    from emosym.evaluation.results import write_result

    write_result(path, result)
    console.print(result_table(result))
    console.print(f"Wrote {path}.", soft_wrap=True, markup=False)


def result_table(result: Mapping[str, Any]) -> Table:
    """Return a result's main values as a table."""
    from rich.table import Table

    values = result["values"]
    table = Table(title=f"{result['name']} (n = {result['n']}, seed {result['seed']})", box=None)
    table.add_column("value")
    table.add_column("", justify="right")
    for name in SHOWN.get(result["name"], tuple(values)):
        if name in values and not isinstance(values[name], list):
            number = values[name]
            table.add_row(name, "–" if number is None else f"{number:.3f}")
    return table
