"""`emosym evaluate`: measure a model on a labelled split, and its paintings with judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emosym.apps.cli.data_options import Config, Download, ImageColumn, LabelColumn, SourceName
from emosym.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from emosym.data.emoset import Dataset
    from emosym.evaluation.control import ControlSettings
    from emosym.evaluation.runner import ReadSplit
    from emosym.pipelines.emosym_pipeline import EmoSymPipeline

SHOWN: dict[str, tuple[str, ...]] = {
    "understanding": (
        "accuracy",
        "best_accuracy",
        "of_best",
        "macro_f1",
        "polarity_accuracy",
        "ece",
        "brier_multiclass",
        "best_brier_multiclass",
        "nll",
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
    model: Annotated[
        str, typer.Option("--model", "-m", help="A shipped model or a checkpoint folder.")
    ],
    data: Annotated[Path, typer.Option("--data", help="Folder of the data set, or an id.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Result file (JSON).")],
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
    steps: Annotated[int, typer.Option(min=1, help="Steps of the sampler.")] = 10,
    guidance_scale: Annotated[float, typer.Option(min=1, help="How strictly.")] = 3.0,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures read at once.")] = 64,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    config: Config = None,
    download: Download = False,
) -> None:
    """Measure readings; --paint and --control write NAME-paintings.json and NAME-control.json.

    Each result is written as soon as it is there.
    """
    from rich.console import Console

    from emosym.apps.cli.outputs import check_outputs, make_parent
    from emosym.apps.cli.terminal import open_pipeline
    from emosym.data.hub import HubOptions
    from emosym.data.sources import open_dataset

    check_outputs({"json": out} | ({"parquet": predictions} if predictions else {}))
    dataset = open_dataset(
        source, data, split, hub=HubOptions(image_column, label_column, config, download)
    )
    pipeline = open_pipeline(model, device)

    from emosym.evaluation.ratings import rated_only
    from emosym.evaluation.results import subject_of
    from emosym.evaluation.runner import choose

    if rated_only(dataset) and (paint or control or predictions):
        raise UsageError(f"{data} has no emotions: no --paint, --control or --predictions for it.")
    if paint or control:
        require_judged_paintings(pipeline)
    make_parent(out)
    console = Console(highlight=False)
    chosen, checksum = choose(dataset, limit, seed), checksum_of(model)
    read = measure_reading(pipeline, chosen, seed, batch_size, workers, checksum)
    keep(console, out, read if isinstance(read, dict) else read.result)
    if predictions is not None and not isinstance(read, dict):
        from emosym.evaluation.predictions import write_predictions

        write_predictions(predictions, read, pipeline.space.labels)
        console.print(f"Wrote {predictions}.", soft_wrap=True, markup=False)
    if paint:
        made = measure_painting(
            pipeline, chosen, paint, seed, steps, guidance_scale, workers, checksum
        )
        keep(console, out.with_name(f"{out.stem}-paintings{out.suffix}"), made)
    if control:
        from emosym.evaluation.control import ControlSettings

        settings = ControlSettings(
            seed=seed, num_inference_steps=steps, guidance_scale=guidance_scale
        )
        subject = subject_of(checksum, dataset.split, dataset.ids())
        found = {**measure_control(pipeline, dataset, settings), "subject": subject}
        keep(console, out.with_name(f"{out.stem}-control{out.suffix}"), found)


def measure_reading(
    pipeline: EmoSymPipeline,
    dataset: Dataset,
    seed: int,
    batch_size: int,
    workers: int,
    checksum: str,
) -> ReadSplit | dict[str, Any]:
    """Read with a progress bar; only the result of `evaluate_ratings` where there are no labels."""
    from emosym.apps.cli.terminal import progress_bar
    from emosym.evaluation.ratings import evaluate_ratings, rated_only
    from emosym.evaluation.runner import evaluate_reading

    measure: Callable[..., ReadSplit | dict[str, Any]] = (
        evaluate_ratings if rated_only(dataset) else evaluate_reading
    )
    with progress_bar() as bar:
        task = bar.add_task("reading", total=len(dataset))
        return measure(
            pipeline,
            dataset,
            seed=seed,
            batch_size=batch_size,
            workers=workers,
            progress=lambda n: bar.advance(task, n),
            model_sha256=checksum,
        )


def checksum_of(model: str) -> str:
    """Return the SHA-256 of a model's emosym.json; errors as in `find_checkpoint`."""
    from emosym.files import sha256_of
    from emosym.models.checkpoint import DESCRIPTION
    from emosym.pipelines.emosym_pipeline import find_checkpoint

    return sha256_of(find_checkpoint(model) / DESCRIPTION)


def measure_painting(
    pipeline: EmoSymPipeline,
    dataset: Dataset,
    per_emotion: int,
    seed: int,
    steps: int,
    guidance_scale: float,
    workers: int,
    checksum: str,
) -> dict[str, Any]:
    """Paint and judge with a progress bar; errors as in `evaluate_painting`."""
    from emosym.apps.cli.terminal import progress_bar
    from emosym.evaluation.runner import evaluate_painting

    with progress_bar() as bar:
        task = bar.add_task("painting", total=per_emotion * len(pipeline.space))
        painted = evaluate_painting(
            pipeline,
            dataset,
            per_emotion,
            seed=seed,
            guidance_scale=guidance_scale,
            num_inference_steps=steps,
            workers=workers,
            progress=lambda n: bar.advance(task, n),
            model_sha256=checksum,
        )
    return painted.result


def measure_control(
    pipeline: EmoSymPipeline, dataset: Dataset, settings: ControlSettings
) -> dict[str, Any]:
    """Run the control measures with a progress bar; errors as in `evaluate_control`."""
    from emosym.apps.cli.terminal import progress_bar
    from emosym.evaluation.control import evaluate_control

    with progress_bar() as bar:
        task = bar.add_task("control", total=settings.paintings(len(pipeline.space)))
        return evaluate_control(
            pipeline, dataset, settings, progress=lambda n: bar.advance(task, n)
        )


def keep(console: Console, path: Path, result: Mapping[str, Any]) -> None:
    """Write a result and show its main values."""
    from emosym.evaluation.results import write_result

    write_result(path, result)
    console.print(result_table(result))
    console.print(f"Wrote {path}.", soft_wrap=True, markup=False)


def require_judged_paintings(pipeline: EmoSymPipeline) -> None:
    """Fail before the long reading, not after it; errors as in `evaluate_painting`."""
    from emosym.evaluation.runner import load_judges
    from emosym.pipelines.painting import require_space

    require_space(pipeline.model)
    load_judges(pipeline)


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
