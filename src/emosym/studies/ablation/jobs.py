"""One job of a study: run its recipe, read the test pictures, keep logits and numbers."""

from __future__ import annotations

import functools
import os
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from emosym.config.recipes import M2seRecipe
from emosym.data.sources.open import open_dataset
from emosym.data.storybook.appraisal.tales import LONGEST
from emosym.emotions import LabelSpace
from emosym.errors import Diverged
from emosym.evaluation.answer_tasks import answer_tasks
from emosym.evaluation.task_answers import plain_values
from emosym.evaluation.understanding import negative_log_likelihood
from emosym.files import read_json, write_atomic, write_json
from emosym.metrics.calibration import brier_multiclass, expected_calibration_error
from emosym.metrics.classification import macro_f1
from emosym.metrics.label_sets import named_set_f1
from emosym.models.adapters import merged_adapter
from emosym.models.checkpoint import load_checkpoint
from emosym.models.emosym_model import EmoSymModel, of_pictures
from emosym.models.reader.reader import ADAPTER
from emosym.pipelines.task_reading import READ
from emosym.provenance import git_hash, package_versions
from emosym.studies.ablation.grid import (
    DIALOGUES,
    TALES,
    Job,
    dialogues_beside,
    recipe_of,
    tales_beside,
)
from emosym.studies.emoverse import CONTRADICTIONS, REASONS, drawn_values
from emosym.tasks.names import ECPE_PREDICTED
from emosym.training.run import run_recipe
from emosym.training.stages.feed import Feed, open_feed
from emosym.training.stages.prefix_store import shared_prefixes
from emosym.training.stages.read_all import read_all
from emosym.training.stages.sets import picture_talks
from emosym.training.stages.talk_values import held_out
from emosym.types import ECPE, ERI, FER, IMAGE_EMOTION, MER, MSA, Sample

MEASURED = "measured.json"
LOGITS = "logits.safetensors"
# What is kept of the values of each task, and of what only a drawn world can tell.
OF_TASKS: dict[str, tuple[str, ...]] = {
    MER: ("accuracy", "weighted_f1"),
    MSA: ("acc7",),
    FER: ("micro_f1",),
    ECPE: ("pair_f1", "self_and_previous_pair_f1"),
    ECPE_PREDICTED: ("pair_f1",),
    ERI: (),
    CONTRADICTIONS: ("contradiction_accuracy",),
    REASONS: ("names_cause", "other_names_cause"),
}
LEFT_BEHIND = ("state", "prefixes", "bank", "round-*/state", "round-*/prefixes")
PAINTED = (
    "emo_a_judge_a",
    "emo_a_judge_b",
    "coverage",
    "coverage_of_real",
    "distance_relative",
    "fidelity_relative",
    "edge_energy_ratio",
)


def prepare_worker(threads: int) -> None:
    """Set up a worker process: its threads, and libraries that keep quiet."""
    from transformers.utils import logging

    from emosym.models.speed import keep_freed_memory

    threading.Thread(target=end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    keep_freed_memory()
    logging.disable_progress_bar()


def end_with_parent() -> None:
    """End this process when the one that started it has gone, killed or not."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def is_done(job: Job, out: Path) -> bool:
    """Return whether a job was run and measured before."""
    return (out / job.name / MEASURED).is_file()


def run_job(
    job: Job, out: Path, data: Path, ood: Path, paintings: int, reasons: int = 60
) -> dict[str, Any]:
    """Run a job, or return what it measured before: values, seconds of training and measuring.

    The checkpoint stays, for jobs that start from it; what only a resumed run needs goes. A reading
    that diverged counts as one that knows nothing (the same probability for every label), and says
    so: a row, not a hole.
    """
    folder = out / job.name
    if is_done(job, out):
        found: dict[str, Any] = read_json(folder / MEASURED, "measured job")
        return found
    began = time.monotonic()
    try:
        checkpoint, _ = run_recipe(recipe_of(job), progress=False)
    except Diverged as error:
        if job.measure != "reading":
            raise
        kept = {
            "values": knows_nothing(roots_of(job, data, ood)),
            "train_seconds": round(time.monotonic() - began, 1),
            "measure_seconds": 0.0,
            "diverged": str(error),
            "made_with": made_with(),
        }
        write_json(folder / MEASURED, kept)
        return kept
    trained, values = time.monotonic(), dict[str, float]()
    if job.measure == "tasks":
        values = measure_tasks(checkpoint, job, data, reasons)
    elif job.measure != "nothing":
        roots = roots_of(job, data, ood)
        values = measure_reading(load_checkpoint(checkpoint), roots, folder / LOGITS)
    if job.measure == "painting":
        values |= measure_painting(checkpoint, data, paintings, job.seed)
    kept = {
        "values": values,
        "train_seconds": round(trained - began, 1),
        "measure_seconds": round(time.monotonic() - trained, 1),
        "made_with": made_with(),
    }
    for pattern in LEFT_BEHIND:
        for path in folder.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)
    write_json(folder / MEASURED, kept)
    return kept


def made_with() -> str:
    """Return the version and commit of this package: seeds of one arm should share them."""
    return f"{package_versions()['emosym']} {git_hash() or 'unknown commit'}"


def roots_of(job: Job, data: Path, ood: Path) -> dict[str, Path]:
    """Return the storybooks whose test splits a job is read on, by name."""
    if job.raw is not None and job.raw["data"].get("level") == TALES:
        return {"test": tales_beside(data)}
    return {"test": data} | ({"ood": ood} if ood.is_dir() else {})


def knows_nothing(roots: dict[str, Path]) -> dict[str, float]:
    """Return the values of a reading that gives every label the same probability."""
    values = {"diverged": 1.0}
    for kind, root in roots.items():
        test = open_dataset("storybook", root, "test")
        truth, classes = test.labels(), len(test.space)
        found = reading_values(np.zeros((len(test), classes)), 1.0, truth, test.space)
        found["accuracy"] = 1.0 / classes  # ties are broken evenly
        told = dict.fromkeys(by_length(np.zeros(len(test), bool), test), 1.0 / classes)
        prefix = "" if kind == "test" else f"{kind}_"
        values |= {f"{prefix}{name}": value for name, value in (found | told).items()}
    return values


def by_length(right: np.ndarray, samples: Sequence[Sample]) -> dict[str, float]:
    """Return the accuracy at each number of sentences, of tales; `right` (N,) is bool.

    `accuracy_2` is at two, `accuracy_short` at those that were trained on, `accuracy_long` at more.
    """
    told = [sample.attributes.get("tale") for sample in samples]
    lengths = np.array([len(tale) if isinstance(tale, list) else -1 for tale in told])
    rows = {str(n): lengths == n for n in sorted(set(lengths.tolist())) if n >= 0}
    if rows:
        limit = LONGEST["train"]
        rows |= {"short": (lengths >= 0) & (lengths <= limit), "long": lengths > limit}
    return {f"accuracy_{n}": float(right[found].mean()) for n, found in rows.items() if found.any()}


def measure_reading(model: EmoSymModel, roots: dict[str, Path], keep: Path) -> dict[str, float]:
    """Read the test split of each storybook; returns the values, those of `ood` by that prefix.

    Logits (N, C) and temperature are kept in `keep`, so that every number can be computed anew.
    """
    stored: dict[str, torch.Tensor] = {"temperature": torch.tensor(model.temperature)}
    values: dict[str, float] = {}
    for kind, root in roots.items():
        feed = replace(feed_of(model.base.name, root, model.reader.space), reader=model.reader)
        with merged_adapter(model.reader.reasoner.backbone, ADAPTER):
            logits = read_all(feed, store=shared_prefixes(feed, root / ".cache")).logits
        stored[kind], stored[f"{kind}_truth"] = logits, torch.from_numpy(feed.truth).to(torch.uint8)
        prefix = "" if kind == "test" else f"{kind}_"
        found = reading_values(logits.numpy(), model.temperature, feed.truth, model.reader.space)
        found |= by_length(logits.numpy().argmax(axis=1) == feed.truth, feed.samples)
        values |= {f"{prefix}{name}": value for name, value in found.items()}
    write_atomic(keep, lambda temporary: save_file(stored, temporary))
    return values


def measure_tasks(checkpoint: Path, job: Job, data: Path, reasons: int) -> dict[str, float]:
    """Answer the tasks that a job was taught about the test splits; values are "TASK_VALUE".

    Spoken reasons are asked for about the first `reasons` turns that have one.
    """
    recipe = recipe_of(job)
    assert isinstance(recipe, M2seRecipe)  # the only stage that has these tasks
    model, values = load_checkpoint(checkpoint), dict[str, float]()
    names = [task for task in recipe.tasks if task in READ]
    if {ECPE, MER} <= set(names):
        names.append(ECPE_PREDICTED)
    if names or ERI in recipe.spoken:
        test = open_dataset(DIALOGUES, dialogues_beside(data), "test", model.space)
        told = answer_tasks(model, names, test) if names else []
        if ERI in recipe.spoken:
            moved = [place for place, sample in enumerate(test) if ERI in sample.targets]
            told += answer_tasks(model, [ERI], test.subset(moved[:reasons]))
        # intervals come of the seeds: none is drawn here for a single run
        results = {one.name: plain_values(one) for one in told}
        results |= {name: found for name, (found, _) in drawn_values(told, test).items()}
        for task, found in results.items():
            kept = {key: found.get(key) for key in OF_TASKS[task]}
            values |= {f"{task}_{k}": float(v) for k, v in kept.items() if v is not None}
    if IMAGE_EMOTION in recipe.tasks:
        reader = of_pictures(model).reader
        pictures = open_dataset("storybook", data, "test", reader.space)
        feed = open_feed(reader, pictures, data / ".cache", 1)
        values["image_accuracy"] = held_out(reader, picture_talks(feed)).values["accuracy"]
    return values


@functools.lru_cache(maxsize=4)
def feed_of(base: str, root: Path, space: str) -> Feed:
    """Return the test split of a storybook with its vision features, which no stage changes."""
    from emosym.models.emosym_model import new_model

    reader = new_model(base, 1, False, "emosym", 0, space).reader
    return open_feed(reader, open_dataset("storybook", root, "test"), root / ".cache", 1)


def reading_values(
    logits: np.ndarray, temperature: float, truth: np.ndarray, space: LabelSpace
) -> dict[str, float]:
    """Return accuracy, macro-F1, Brier, NLL and ECE of logits (N, C), calibrated and `_raw`."""
    values: dict[str, float] = {}
    for suffix, scale in (("", temperature), ("_raw", 1.0)):
        wide = torch.from_numpy(logits).double() / scale
        shares = wide.softmax(-1).numpy()  # (N, C)
        values[f"brier{suffix}"] = brier_multiclass(shares, truth)
        values[f"nll{suffix}"] = negative_log_likelihood(shares, truth)
        right = shares.argmax(axis=1) == truth
        values[f"ece{suffix}"] = expected_calibration_error(shares.max(axis=1), right)
    values["accuracy"] = float(right.mean())
    values["set_f1"] = named_set_f1(shares, truth)
    values["macro_f1"] = macro_f1(shares.argmax(axis=1), truth, len(space))
    return values


def measure_painting(checkpoint: Path, data: Path, paintings: int, seed: int) -> dict[str, float]:
    """Paint every emotion and let the judges look; real pictures are the test split."""
    from emosym.evaluation.measure import evaluate_painting
    from emosym.pipelines.trained import EmoSymPipeline

    pipeline = EmoSymPipeline.from_pretrained(str(checkpoint))
    real = open_dataset("storybook", data, "test")
    real = real.subset(np.arange(min(len(real), 1000)))
    found = evaluate_painting(pipeline, real, paintings, seed=seed, workers=1).result["values"]
    return {name: float(found[name]) for name in PAINTED if found.get(name) is not None}


def load_logits(folder: Path) -> dict[str, torch.Tensor]:
    """Return what `measure_reading` kept: logits and truth of `test` and `ood`, `temperature`."""
    return load_file(folder / LOGITS)
