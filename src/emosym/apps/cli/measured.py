"""What `emosym evaluate` measures, a trained model or a zero-shot one, under progress bars."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emosym.errors import UsageError
from emosym.service.wanted import Wanted, checksum_of

if TYPE_CHECKING:
    from emosym.apps.cli.suite_options import Options
    from emosym.data.dataset import Dataset
    from emosym.evaluation.measure import Painted, ReadSplit
    from emosym.pipelines.protocol import EmotionPipeline
    from emosym.pipelines.trained import EmoSymPipeline

READ_AT_ONCE = 64  # of a trained model
IN_DOMAIN = 500  # pictures of each kind


@dataclass(frozen=True, slots=True)
class Measured:
    """What is measured: a trained model with its `checksum`, or a zero-shot one without."""

    pipeline: EmotionPipeline
    checksum: str | None

    def trained(self) -> EmoSymPipeline:
        """Return a trained model, for suites that look into its parts.

        Raises:
            UsageError: for another kind of model.
        """
        from emosym.pipelines.trained import EmoSymPipeline

        if not isinstance(self.pipeline, EmoSymPipeline):
            raise UsageError("This suite measures a trained model: give a checkpoint.")
        return self.pipeline

    def computed_on(self) -> dict[str, str]:
        """Return the device, the number type and, on a CPU, the threads of its computations."""
        import torch

        found = {"device": self.pipeline.device, "dtype": self.pipeline.base.dtype}
        if found["device"] == "cpu":
            found["threads"] = str(torch.get_num_threads())
        return found


def open_measured(
    model: str | None, preset: str | None, device: str, max_pixels: int | None, dataset: Dataset
) -> Measured:
    """Open a model, or where there is none a zero-shot preset that chooses from the data's labels.

    Raises:
        UsageError: when it is not there, or the preset has no reader.
    """
    from emosym.apps.cli.terminal import open_shown
    from emosym.pipelines.trained import EmoSymPipeline

    if model is not None:
        wanted, checksum = Wanted(model=model, device=device), checksum_of(model)
    else:
        wanted, checksum = (
            Wanted(
                zero_shot=True,
                preset=preset,
                labels=dataset.space,
                max_pixels=max_pixels,
                device=device,
            ),
            None,
        )
    pipeline = open_shown(wanted, read=True).pipeline
    if isinstance(pipeline, EmoSymPipeline):
        pipeline = pipeline.answering(dataset.space)
    return Measured(pipeline, checksum)


def measure_reading(
    measured: Measured,
    dataset: Dataset,
    seed: int,
    batch_size: int | None,
    workers: int,
    mode: str = "corrected",
) -> ReadSplit | dict[str, Any]:
    """Read with a progress bar; only the result of `evaluate_ratings` where there are no labels."""
    from emosym.apps.cli.terminal import progress_bar
    from emosym.evaluation.measure import evaluate_reading
    from emosym.evaluation.ratings import evaluate_ratings, rated_only

    pipeline, about = measured.pipeline, measured.pipeline.about()
    usual = READ_AT_ONCE if about.trained else pipeline.usual().read_at_once
    measure: Callable[..., ReadSplit | dict[str, Any]] = functools.partial(
        evaluate_reading, mode=mode
    )
    if rated_only(dataset):
        measure = evaluate_ratings
    with progress_bar() as bar:
        task = bar.add_task("reading", total=len(dataset))
        return measure(
            pipeline,
            dataset,
            seed=seed,
            batch_size=batch_size or usual,
            workers=workers,
            progress=lambda n: bar.advance(task, n),
            model_sha256=measured.checksum or pipeline.base.reader_fingerprint(),
            zero_shot=about.reads_by,
        )


def measure_in_domain(measured: Measured, dataset: Dataset, seed: int) -> dict[str, Any]:
    """Run the in_domain evaluation with a progress bar; errors as in `evaluate_in_domain`."""
    from emosym.apps.cli.terminal import progress_bar
    from emosym.evaluation.storybook.in_domain import KINDS, evaluate_in_domain

    shown = min(len(dataset), IN_DOMAIN)
    with progress_bar() as bar:
        task = bar.add_task("in_domain", total=shown * (1 + len(KINDS)))
        return evaluate_in_domain(
            measured.pipeline,
            dataset,
            limit=shown,
            seed=seed,
            progress=lambda n: bar.advance(task, n),
            model_sha256=measured.checksum,
        )


def measure_painting(measured: Measured, dataset: Dataset, options: Options) -> Painted:
    """Paint and judge with a progress bar; errors as in `evaluate_painting`."""
    from emosym.apps.cli.suite_options import open_networks
    from emosym.apps.cli.terminal import progress_bar
    from emosym.evaluation.measure import evaluate_painting

    pipeline = measured.pipeline
    usual, count = pipeline.usual(), options.per_emotion
    guidance, steps = options.guidance_scale, options.steps
    with progress_bar() as bar:
        task = bar.add_task("painting", total=count * len(pipeline.space))
        return evaluate_painting(
            pipeline,
            dataset,
            count,
            seed=options.seed,
            guidance_scale=usual.guidance_scale if guidance is None else guidance,
            num_inference_steps=usual.num_inference_steps if steps is None else steps,
            batch_size=usual.paint_at_once,
            workers=options.workers,
            progress=lambda n: bar.advance(task, n),
            model_sha256=measured.checksum or pipeline.base.painter_fingerprint(),
            zero_shot=pipeline.about().paints_by,
            folder=options.beside("paintings", ""),
            networks=open_networks(options.networks, pipeline.device),
            mode=options.mode,
        )


def measure_by(
    evaluate: Callable[..., dict[str, Any]],
    measured: Measured,
    dataset: Dataset,
    limit: int,
    seed: int,
    **options: Any,
) -> dict[str, Any]:
    """Run an evaluation of at most `limit` pictures with a progress bar that counts its work."""
    from emosym.apps.cli.terminal import progress_bar
    from emosym.evaluation.measure import choose
    from emosym.evaluation.results.result import subject_of
    from emosym.evaluation.results.samples import pictures_sha256

    chosen = choose(dataset, min(limit, len(dataset)), seed)
    subject = subject_of(
        measured.checksum, chosen.split, chosen.ids(), pictures=pictures_sha256(chosen)
    )
    with progress_bar() as bar:
        task = bar.add_task(evaluate.__name__.partition("_")[2], total=None)
        return evaluate(
            measured.trained(),
            chosen,
            seed=seed,
            progress=lambda n: bar.advance(task, n),
            subject=subject,
            **options,
        )


def measure_probes(measured: Measured, dataset: Dataset, limit: int, seed: int) -> dict[str, Any]:
    """Run the paired probes on at most `limit` samples; errors as in `evaluate_probes`."""
    from emosym.apps.cli.terminal import progress_bar
    from emosym.evaluation.measure import choose
    from emosym.evaluation.probes import evaluate_probes
    from emosym.evaluation.results.result import subject_of

    chosen = choose(dataset, min(limit, len(dataset)), seed)
    subject = subject_of(measured.checksum, chosen.split, chosen.ids())
    with progress_bar() as bar:
        task = bar.add_task("probes", total=None)
        return evaluate_probes(
            measured.pipeline,
            chosen,
            seed=seed,
            progress=lambda n: bar.advance(task, n),
            subject=subject,
        )


def measure_control(
    measured: Measured,
    dataset: Dataset,
    seed: int,
    steps: int | None,
    guidance_scale: float | None,
) -> dict[str, Any]:
    """Run the control measures with a progress bar; errors as in `evaluate_control`."""
    from emosym.apps.cli.terminal import progress_bar
    from emosym.evaluation.results.result import subject_of
    from emosym.evaluation.storybook.control import ControlSettings, evaluate_control

    pipeline = measured.trained()
    usual = pipeline.usual()
    settings = ControlSettings(
        seed=seed,
        num_inference_steps=usual.num_inference_steps if steps is None else steps,
        guidance_scale=usual.guidance_scale if guidance_scale is None else guidance_scale,
    )
    with progress_bar() as bar:
        task = bar.add_task("control", total=settings.paintings(len(pipeline.space)))
        found = evaluate_control(
            pipeline, dataset, settings, progress=lambda n: bar.advance(task, n)
        )
    subject = subject_of(measured.checksum, dataset.split, dataset.ids())
    return {**found, "subject": subject}


def require_judged_paintings(pipeline: EmotionPipeline) -> None:
    """Fail before the long reading, not after it; errors as in `evaluate_painting`."""
    from emosym.evaluation.measure import load_judges

    pipeline.require("painter")
    load_judges(pipeline)
