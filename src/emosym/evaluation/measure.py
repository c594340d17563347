"""Measure a model: read a labelled split, paint every emotion, and let the judges look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emosym.data.collate import images_array
from emosym.data.dataset import NO_LABEL, Dataset, voted_on, weights_of
from emosym.errors import EmoSymError, UsageError
from emosym.evaluation.generated import Networks, evaluate_generated
from emosym.evaluation.paintings import evaluate_paintings
from emosym.evaluation.reading_intervals import reading_intervals
from emosym.evaluation.results.kept_paintings import claim, paint_and_keep
from emosym.evaluation.results.result import make_result, subject_of
from emosym.evaluation.results.samples import pictures_sha256
from emosym.evaluation.storybook.oracle import best_achievable, oracle_of
from emosym.evaluation.understanding import (
    abstention_values,
    evaluate_understanding,
    raw_values,
)
from emosym.models.judges.judge import JUDGE_NAMES, LoadedJudge, load_judge
from emosym.pipelines.requests import PaintRequest, paint_request
from emosym.seeds import numpy_rng, stream_seed
from emosym.types import BadInput, GenerationOutput, StoredImage, UnderstandingOutput

if TYPE_CHECKING:
    from emosym.pipelines.protocol import EmotionPipeline

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ReadSplit:
    """What a model read in a labelled split: `result` follows `evaluation.results`.

    `readings` belong to `names`; `labels` are class indices (N,), `probabilities` (N, C), `raw`
    (N, C) the same before temperature scaling, `votes` (N, C) the annotators', None without any.
    """

    result: dict[str, Any]
    names: tuple[str, ...]
    paths: tuple[Path | StoredImage, ...]
    readings: tuple[UnderstandingOutput, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    raw: np.ndarray
    votes: np.ndarray | None


@dataclass(frozen=True, slots=True)
class Painted:
    """Paintings per emotion, what each judge saw in them, and the `result`.

    `shares` are an emotion judge's probabilities (P, C) per emotion, in the order of `outputs`.
    """

    result: dict[str, Any]
    outputs: Mapping[str, Sequence[GenerationOutput]]
    judged: Mapping[str, Mapping[str, Sequence[str]]]
    shares: Mapping[str, Mapping[str, np.ndarray]]


def evaluate_reading(
    pipeline: EmotionPipeline,
    dataset: Dataset,
    *,
    name: str = "understanding",
    limit: int | None = None,
    seed: int = 0,
    batch_size: int = 64,
    workers: int = 2,
    progress: Advance | None = None,
    model_sha256: str | None = None,
    zero_shot: Mapping[str, Any] | None = None,
    mode: str = "corrected",
) -> ReadSplit:
    """Read a split (or `limit` of its pictures, drawn by `seed`) and measure the readings.

    `model_sha256` is of the checkpoint's emosym.json; the result's `subject` names it, and how a
    `zero_shot` model was asked.

    Raises:
        UsageError: when the model's labels are not the data's, a sample has no label, or its
            picture cannot be read: a number over less than the split would not be comparable. Only
            rows whose votes sum to 0 are left out, and counted in `without_votes`.
    """
    if pipeline.space.labels != dataset.space.labels:
        raise UsageError(
            f"The model chooses from {', '.join(pipeline.space.labels)}; the data has "
            f"{', '.join(dataset.space.labels)}."
        )
    voted = voted_on(dataset)
    chosen = choose(voted, limit, seed)
    labels = chosen.labels()
    bare = np.flatnonzero(labels == NO_LABEL)
    if len(bare):
        raise UsageError(f"Sample {chosen.ids()[bare[0]]!r} of {chosen.split!r} has no label.")
    paths = tuple(chosen.picture(index) for index in range(len(chosen)))
    readings: list[UnderstandingOutput] = []
    for _, found in pipeline.understand_many(paths, batch_size, workers):
        if isinstance(found, BadInput):
            raise UsageError(f"The split {chosen.split!r} of {chosen.root}: {found.error}")
        readings.append(found)
        if progress is not None:
            progress(1)
    shares = np.array([list(reading.probabilities.values()) for reading in readings])  # (N, C)
    raw = np.array([list(reading.raw_probabilities.values()) for reading in readings])  # (N, C)
    votes = votes_of(chosen)
    values = evaluate_understanding(shares, labels, votes, pipeline.space, mode)
    oracle = oracle_of(chosen)
    if oracle is not None:
        values |= best_achievable(oracle.posterior, labels)
        best = values["best_accuracy"]
        values["of_best"] = values["accuracy"] / best if best > 0 else None
    values |= raw_values(raw, labels) if raw.size else {}
    values |= abstention_values(shares, labels, pipeline.abstain_below)
    values["outside_share"] = outside_share(readings)
    if len(voted) < len(dataset):
        values["without_votes"] = len(dataset) - len(voted)
    values.update(reading_intervals(shares, labels, pipeline.space, seed))
    subject = subject_of(
        model_sha256, chosen.split, chosen.ids(), zero_shot, pictures_sha256(chosen)
    )
    labelled = pipeline.space.labels
    result = make_result(name, values, len(readings), seed, mode, subject=subject, labels=labelled)
    return ReadSplit(result, chosen.ids(), paths, tuple(readings), labels, shares, raw, votes)


def outside_share(readings: Sequence[UnderstandingOutput]) -> float | None:
    """Return the share of readings marked `outside`; None where that is unknown."""
    known = [reading.outside for reading in readings if reading.outside is not None]
    return float(np.mean(known)) if known else None


def choose(dataset: Dataset, limit: int | None, seed: int) -> Dataset:
    """Return the data set, or `limit` of its samples in their order, drawn from (seed, stream)."""
    if limit is None or limit >= len(dataset):
        return dataset
    if limit < 1:
        raise UsageError(f"The limit must be 1 or more, got {limit}.")
    rows = numpy_rng(seed, "evaluate-limit").permutation(len(dataset))[:limit]
    return dataset.subset(np.sort(rows))


def votes_of(dataset: Dataset) -> np.ndarray | None:
    """Return the annotators' distributions (N, C), or None where no sample has votes."""
    samples = list(dataset)
    if all(sample.votes_of(dataset.task) is None for sample in samples):
        return None
    return np.array([weights_of(sample, dataset.space, dataset.task) for sample in samples])


def load_judges(
    pipeline: EmotionPipeline,
) -> tuple[LoadedJudge, LoadedJudge, LoadedJudge]:
    """Return the two emotion judges and the attribute judge of a model's base.

    Raises:
        EmoSymError: when the base has no judges.
    """
    base = pipeline.base
    if base.judges is None:
        raise EmoSymError(
            f"The base {base.name} has no judges, so its paintings cannot be scored; evaluate "
            "without painting."
        )
    device = pipeline.device
    first, second, third = (load_judge(base.judges, name, device) for name in JUDGE_NAMES)
    return first, second, third


def evaluate_painting(
    pipeline: EmotionPipeline,
    dataset: Dataset,
    per_emotion: int,
    *,
    name: str = "paintings",
    seed: int = 0,
    guidance_scale: float = 3.0,
    num_inference_steps: int = 10,
    batch_size: int = 16,
    workers: int = 2,
    progress: Advance | None = None,
    model_sha256: str | None = None,
    zero_shot: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    networks: Networks | None = None,
    mode: str = "corrected",
) -> Painted:
    """Paint every emotion and measure the paintings beside the real pictures of `dataset`.

    `dataset` should be a split that neither the painter nor the judges were trained on. The
    result's `subject` names these pictures, and the model as in `evaluate_reading`. In `folder`
    paintings are kept as they are made, and those of a stopped evaluation are found again. With
    two pictures of each emotion on both sides the measures of `evaluate_generated` are there too.

    Raises:
        UsageError: when `folder` holds paintings of another model or other settings.
        EmoSymError: when the model cannot paint or its base has no judges.
    """
    pipeline.require("painter")
    judges = load_judges(pipeline)
    if folder is not None:
        asked = {"model": model_sha256, "seed": seed, "guidance_scale": guidance_scale}
        claim(folder, {**asked, "num_inference_steps": num_inference_steps})
    outputs: dict[str, list[GenerationOutput]] = {}
    for label in pipeline.space.labels:
        request = paint_request(
            pipeline.space,
            label,
            num_images=per_emotion,
            guidance_scale=guidance_scale,
            num_inference_steps=num_inference_steps,
            seed=stream_seed(seed, f"evaluate-{label}"),
        )
        place = None if folder is None else folder / label
        outputs[label] = paint_label(pipeline, request, place, batch_size, progress)
    painted = {k: np.stack([np.asarray(o.image) for o in v]) for k, v in outputs.items()}
    size = next(iter(painted.values())).shape[1]
    real, oracle = images_array(dataset, size, workers), oracle_of(dataset)  # (R, S, S, 3)
    labels = dataset.labels()
    values = evaluate_paintings(
        painted,
        real,
        labels,
        *judges,
        belongs=None if oracle is None else oracle.belongs(judges[2].names) or None,
        seed=seed,
        space=pipeline.space,
    )
    values["self_agreement"] = self_agreement(outputs)
    extractors = {judge.name: judge.checksum for judge in judges}
    counts = np.bincount(labels, minlength=len(pipeline.space))
    if per_emotion > 1 and counts.min() > 1:
        more, used = evaluate_generated(
            painted, real, labels, judges[1], networks, seed=seed, mode=mode, space=pipeline.space
        )
        values.update(more)
        known = set(extractors.values())  # a judge is there already, by its own name
        extractors |= {name: sha for name, sha in used.items() if sha not in known}
    shares = {
        judge.name: {label: judge.probabilities(many) for label, many in painted.items()}
        for judge in judges[:2]
    }
    subject = subject_of(
        model_sha256, dataset.split, dataset.ids(), zero_shot, pictures_sha256(dataset)
    )
    count = per_emotion * len(pipeline.space)
    result = make_result(name, values, count, seed, mode, extractors, subject)
    return Painted(result, outputs, labels_of(shares, judges[0].labels), shares)


def self_agreement(outputs: Mapping[str, Sequence[GenerationOutput]]) -> float | None:
    """Return the share of paintings that the model reads as asked; None where it reads none."""
    agreed = [o.reading.emotion == asked for asked, v in outputs.items() for o in v if o.reading]
    return float(np.mean(agreed)) if agreed else None


def paint_label(
    pipeline: EmotionPipeline,
    request: PaintRequest,
    folder: Path | None,
    batch_size: int,
    progress: Advance | None,
) -> list[GenerationOutput]:
    """Paint a request, keeping the paintings in `folder` if there is one."""
    advance = progress or (lambda count: None)
    if folder is not None:
        return paint_and_keep(pipeline, request, folder, batch_size, advance)
    made = []
    for output in pipeline.paint(request, batch_size):
        made.append(output)
        advance(1)
    return made


def labels_of(
    shares: Mapping[str, Mapping[str, np.ndarray]], labels: Sequence[str]
) -> dict[str, dict[str, list[str]]]:
    """Return each judge's likeliest label for probabilities (P, C) by judge and emotion."""
    return {
        judge: {asked: [labels[int(i)] for i in p.argmax(axis=1)] for asked, p in found.items()}
        for judge, found in shares.items()
    }
