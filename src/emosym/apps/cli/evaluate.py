"""`emosym evaluate`: measure a model on a labelled split, and its paintings with judges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emosym.apps.cli.data_options import (
    Config,
    Download,
    ImageColumn,
    LabelColumn,
    SourceName,
    SpaceName,
)
from emosym.apps.cli.evaluate_tasks import asked_tasks, evaluate_tasks
from emosym.apps.cli.suite_options import NETWORKS, Options, asked_networks
from emosym.apps.cli.suites import PROTOCOL, SUITES, asked_suites
from emosym.apps.cli.zero_shot import MaxPixels, Preset, ZeroShot, wanted_model
from emosym.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from emosym.data.dataset import Dataset
    from emosym.data.sources.hub import HubOptions

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
        "fd_judge_b",
    ),
    "explanations": (
        "explained_scene",
        "explained_face",
        "explained_action",
        "explained_objects",
        "blank_scene",
        "blank_face",
        "blank_action",
        "blank_objects",
        "faithful_object_removed_delta",
        "faithful_object_random_delta",
        "faithful_face_covered_delta",
        "faithful_face_random_delta",
    ),
    "causal": (
        "own_accuracy",
        "self_swap_change",
        "block_flip",
        "cut_flip",
        "swap_same_flip",
        "swap_other_flip",
        "swap_other_to_donor",
        "words_swap_other_face_host",
        "words_swap_other_face_donor",
        "painted_swap_other_face_host",
        "painted_swap_other_face_donor",
        "painted_swap_other_scene_host",
        "painted_swap_other_scene_donor",
        "painted_swap_other_emotion_host_judge_a",
        "painted_swap_other_emotion_donor_judge_a",
    ),
}

Suites = Annotated[
    str,
    typer.Option(
        "--suites",
        "--tasks",
        "-t",
        help=f"Of {', '.join(SUITES)}; or a task: mer, msa, fer, text, open, statement...",
    ),
]
Spoken = Annotated[
    bool, typer.Option("--spoken", help="Ask tasks in words, also those that latents answer.")
]
Wheels = Annotated[
    Path | None, typer.Option(help="Task open: the folder with the tables of emotion wheels.")
]
Examples = Annotated[
    int,
    typer.Option(min=0, help="Ask tasks after so many alike dialogues of train."),
]
Networks = Annotated[
    list[str] | None,
    typer.Option(help=f"NAME=PATH of {', '.join(NETWORKS)}, for FID, LPIPS...; repeatable."),
]


def evaluate(
    model: Annotated[
        str | None, typer.Argument(help="A shipped model or a checkpoint folder.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of the data set, or an id.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Result file (JSON).")] = None,
    named: Annotated[
        str | None, typer.Option("--model", "-m", help="The same as the argument.")
    ] = None,
    suites: Suites = "",
    spoken: Spoken = False,
    examples: Examples = 0,
    split: Annotated[str, typer.Option(help="Which split.")] = "test",
    source: SourceName = "emoset",
    space: SpaceName = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many pictures, and paintings an emotion.")
    ] = None,
    paint: Annotated[
        int, typer.Option(min=0, help="Paintings of each emotion (and the suite painting): 1,000.")
    ] = 0,
    control: Annotated[bool, typer.Option("--control", help="The suite control.")] = False,
    predictions: Annotated[
        Path | None, typer.Option(help="Also every picture's probabilities (Parquet).")
    ] = None,
    same_as: Annotated[
        Path | None, typer.Option(help="A result or its predictions: refuse other samples.")
    ] = None,
    wheels: Wheels = None,
    mode: Annotated[str, typer.Option(help="corrected, or compat: as published.")] = "corrected",
    network: Networks = None,
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
    """Measure a model: --suites understanding (the default), painting and others.

    Readings go to --out, every other suite to NAME-SUITE.json beside it, as soon as it is there.
    Paintings are kept in NAME-paintings/ and found again. In brackets: zero-shot's defaults.
    """
    from emosym.data.sources.hub import HubOptions

    options = Options(
        out=required(out, "where the result goes", "--out"),
        per_emotion=paint or min(PROTOCOL, limit or PROTOCOL),
        predictions=predictions,
        mode=mode,
        networks=asked_networks(network or ()),
        seed=seed,
        steps=steps,
        guidance_scale=guidance_scale,
        batch_size=batch_size,
        workers=workers,
        examples=examples,
    )
    root = required(data, "what to read", "--data")
    model, where = one_model(model, named), (source, root, split, limit, space)
    wanted_model(model, device, zero_shot, preset, max_pixels=max_pixels)  # refuses what clashes
    if tasks := asked_tasks(suites, wheels, examples):
        return evaluate_tasks(model, tasks, where, options, spoken, device, wheels, preset)
    asked = asked_suites(suites, paint, control)
    check_measured(zero_shot, model, asked)
    check_options(options, asked)
    hub = HubOptions(image_column, label_column, config, download)
    dataset = _open_data(model, (source, root, split), space, hub)
    run_suites(asked, options, dataset, limit, same_as, (model, preset, device, max_pixels))


def _open_data(
    model: str | None, data: tuple[str, Path, str], space: str | None, hub: HubOptions
) -> Dataset:
    """Open data (source, root, split) in the label space that is named, or the model's own."""
    from emosym.data.sources.open import open_dataset
    from emosym.pipelines.trained import space_named

    source, root, split = data
    answers = (space or "mikels8") if model is None else space_named(model, source, root, space)
    return open_dataset(source, root, split, answers, hub=hub)


def run_suites(
    asked: tuple[str, ...],
    options: Options,
    dataset: Dataset,
    limit: int | None,
    same_as: Path | None,
    named: tuple[str | None, str | None, str, int | None],
) -> None:
    """Open the model `named` (model, preset, device, max_pixels) and run the suites asked for."""
    from rich.console import Console

    from emosym.apps.cli import measured as measures
    from emosym.evaluation.measure import choose
    from emosym.evaluation.ratings import rated_only
    from emosym.service.sinks import make_parent

    chosen = choose(dataset, limit, options.seed)
    if same_as is not None:
        check_samples(same_as, chosen)
    measured = measures.open_measured(*named, dataset)
    if rated_only(dataset) and (asked != ("understanding",) or options.predictions):
        raise UsageError(
            f"{dataset.root} has no emotions: for it there is the suite understanding only, and no "
            "--predictions."
        )
    if {"painting", "control"} & set(asked):
        measures.require_judged_paintings(measured.pipeline)
    make_parent(options.out)
    console = Console(highlight=False)
    for name in asked:
        for path, result in SUITES[name](measured, chosen, dataset, options):
            found = {**result.get("hardware", {}), **measured.computed_on()}
            keep(console, path, {**result, "hardware": found})
    if options.predictions is not None:
        console.print(f"Wrote {options.predictions}.", soft_wrap=True, markup=False)


def check_samples(same_as: Path, chosen: Dataset) -> None:
    """Refuse other samples than those of a result, or of a predictions file."""
    if same_as.suffix == ".parquet":
        from emosym.evaluation.results.changed_samples import require_unmoved
        from emosym.evaluation.results.predictions import read_predictions

        require_unmoved(read_predictions(same_as), str(same_as), chosen)
        return
    from emosym.evaluation.results.result import read_result
    from emosym.evaluation.results.samples import require_same_samples

    require_same_samples(read_result(same_as), str(same_as), chosen)


def required(path: Path | None, what: str, option: str) -> Path:
    """Return a path that has to be given."""
    if path is None:
        raise UsageError(f"Say {what}: {option}.")
    return path


def check_options(options: Options, asked: tuple[str, ...]) -> None:
    """Refuse an unknown mode, or outputs that cannot be written."""
    from emosym.metrics.checks import check_mode
    from emosym.service.sinks import check_outputs

    check_mode(options.mode)
    if options.predictions is not None and "understanding" not in asked:
        raise UsageError("--predictions are of the suite understanding: name it in --suites too.")
    more = {"parquet": options.predictions} if options.predictions else {}
    check_outputs({"json": options.out} | more)


def one_model(argument: str | None, option: str | None) -> str | None:
    """Return the model that was named, once."""
    if argument is not None and option is not None:
        raise UsageError("Name the model once: as the argument, or with --model.")
    return option if argument is None else argument


def check_measured(zero_shot: bool, model: str | None, asked: tuple[str, ...]) -> None:
    """Raise UsageError unless there is one model to measure, and it can be measured so."""
    if model is None and not zero_shot:
        raise UsageError("Say what to measure: a model, or --zero-shot with --preset.")
    trained = sorted(set(asked) - {"understanding", "painting", "probes"})
    if zero_shot and trained:
        option = " (--control)" if trained[0] == "control" else ""
        raise UsageError(f"The suite {trained[0]}{option} is of a trained model: drop it.")


def keep(console: Console, path: Path, result: Mapping[str, Any]) -> None:
    """Write a result and show its main values."""
    from emosym.evaluation.results.result import write_result

    write_result(path, result)
    console.print(result_table(result))
    console.print(f"Wrote {path}.", soft_wrap=True, markup=False)


def result_table(result: Mapping[str, Any]) -> Table:
    """Return a result's main values as a table."""
    from rich.table import Table

    values = result["values"]
    title = f"{result['name']} (n = {result['n']}, seed {result['seed']})"
    table = Table(title=title, box=None, min_width=len(title))
    table.add_column("value")
    table.add_column("", justify="right")
    for name in SHOWN.get(result["name"], tuple(values)):
        if name in values and not isinstance(values[name], list):
            number = values[name]
            table.add_row(name, "–" if number is None else f"{number:.3f}")
    return table
