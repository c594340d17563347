"""The suites of `emosym evaluate`: name -> function, each with its results and their files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emosym.apps.cli.suite_options import Options
from emosym.errors import unknown_name

if TYPE_CHECKING:
    from emosym.apps.cli.measured import Measured
    from emosym.data.dataset import Dataset

PROTOCOL = 1000  # paintings of each emotion: the field's protocol
PROBED = 500  # samples that are read up to eight times each
EXPLAINED = 200  # pictures that are explained, covered, swapped: each is read many times


Results = Iterator[tuple[Path, dict[str, Any]]]
Suite = Callable[["Measured", "Dataset", "Dataset", Options], Results]


def understanding(measured: Measured, chosen: Dataset, whole: Dataset, options: Options) -> Results:
    """Read the chosen pictures, and write their predictions where they are asked for."""
    from emosym.apps.cli.measured import measure_reading

    read = measure_reading(
        measured,
        chosen,
        options.seed,
        options.batch_size,
        options.workers,
        options.mode,
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


def probes(measured: Measured, chosen: Dataset, whole: Dataset, options: Options) -> Results:
    """Change one thing about each sample, and see what the reading follows."""
    from emosym.apps.cli.measured import measure_probes

    yield options.beside("probes"), measure_probes(measured, chosen, PROBED, options.seed)


SUITES: dict[str, Suite] = {
    "understanding": understanding,
    "painting": painting,
    "control": control,
    "explanations": explanations,
    "causal": causal,
    "in_domain": in_domain,
    "probes": probes,
}


def asked_suites(text: str, paint: int, control: bool) -> tuple[str, ...]:
    """Return the suites named in `text`, in the order they run; without any, understanding.

    Raises:
        UsageError: for an unknown suite; names the nearest.
    """
    named = [name.strip() for name in text.split(",") if name.strip()] or ["understanding"]
    for name in named:
        if name not in SUITES:
            from emosym.tasks.names import TASKS

            raise unknown_name("suite or task", name, (*SUITES, *TASKS))
    wanted = {*named, *(["painting"] if paint else []), *(["control"] if control else [])}
    return tuple(name for name in SUITES if name in wanted)
