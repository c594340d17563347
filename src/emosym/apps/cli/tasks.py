"""The tasks of `emosym evaluate`: name -> function, each with its results and their files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emosym.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from emosym.apps.cli.measured import Measured
    from emosym.data.dataset import Dataset
    from emosym.evaluation.generated import Networks

PROTOCOL = 1000  # paintings of each emotion: the field's protocol
EXPLAINED = 200  # pictures that are explained, covered, swapped: each is read many times
NETWORKS = ("inception", "lpips", "clip", "places", "imagenet")


@dataclass(frozen=True, slots=True)
class Options:
    """What the tasks share. `per_emotion` counts paintings; None is the model's own default."""

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

    def beside(self, name: str, suffix: str | None = None) -> Path:
        """Return the path NAME-`name` beside the result file NAME."""
        suffix = self.out.suffix if suffix is None else suffix
        return self.out.with_name(f"{self.out.stem}-{name}{suffix}")


Results = Iterator[tuple[Path, dict[str, Any]]]
Task = Callable[["Measured", "Dataset", "Dataset", Options], Results]


def understanding(measured: Measured, chosen: Dataset, whole: Dataset, options: Options) -> Results:
    """Read the chosen pictures, and write their predictions where they are asked for."""
    from emosym.apps.cli.measured import measure_reading

    read = measure_reading(
        *(measured, chosen, options.seed, options.batch_size, options.workers), options.mode
    )
    if isinstance(read, dict):
        yield options.out, read
        return
    if options.predictions is not None:
        from emosym.evaluation.results.predictions import write_predictions

        write_predictions(options.predictions, read, measured.pipeline.space.labels)
    yield options.out, read.result


def painting(measured: Measured, chosen: Dataset, whole: Dataset, options: Options) -> Results:
    """Paint every emotion, and let the judges look."""
    from emosym.apps.cli.measured import measure_painting
    from emosym.evaluation.results.painting_predictions import write_painting_predictions

    painted = measure_painting(measured, chosen, options)
    write_painting_predictions(options.beside("paintings", ".parquet"), painted)
    yield options.beside("paintings"), painted.result


def control(measured: Measured, chosen: Dataset, whole: Dataset, options: Options) -> Results:
    """Ask for intensities, mixes and likenesses, and see whether they come."""
    from emosym.apps.cli.measured import measure_control

    yield (
        options.beside("control"),
        measure_control(measured, whole, options.seed, options.steps, options.guidance_scale),
    )


def explanations(measured: Measured, chosen: Dataset, whole: Dataset, options: Options) -> Results:
    """See whether rationales name what is there, and readings rest on what they name."""
    from emosym.apps.cli.measured import measure_by
    from emosym.evaluation.storybook.explanations import evaluate_explanations

    yield (
        options.beside("explanations"),
        measure_by(evaluate_explanations, measured, chosen, EXPLAINED, options.seed),
    )


def causal(measured: Measured, chosen: Dataset, whole: Dataset, options: Options) -> Results:
    """Swap context latents between pictures, and see what changes."""
    from emosym.apps.cli.measured import measure_by
    from emosym.evaluation.storybook.causal import evaluate_causal

    yield (
        options.beside("causal"),
        measure_by(evaluate_causal, measured, chosen, EXPLAINED, options.seed),
    )


def in_domain(measured: Measured, chosen: Dataset, whole: Dataset, options: Options) -> Results:
    """Show pictures of other kinds, and see whether the model tells that it does not know them."""
    from emosym.apps.cli.measured import measure_in_domain

    yield options.beside("in-domain"), measure_in_domain(measured, chosen, options.seed)


TASKS: dict[str, Task] = {
    "understanding": understanding,
    "painting": painting,
    "control": control,
    "explanations": explanations,
    "causal": causal,
    "in_domain": in_domain,
}


def asked_tasks(text: str, paint: int, control: bool) -> tuple[str, ...]:
    """Return the tasks named in `text`, in the order they run; without any, understanding.

    Raises:
        UsageError: for an unknown task; names the nearest.
    """
    named = [name.strip() for name in text.split(",") if name.strip()] or ["understanding"]
    for name in named:
        if name not in TASKS:
            raise unknown_name("task", name, TASKS)
    wanted = {*named, *(["painting"] if paint else []), *(["control"] if control else [])}
    return tuple(name for name in TASKS if name in wanted)


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
