"""The whole loop once, at laptop size: data, four stages, readings, paintings, bank, report.

Everything lands in one run folder, and every part is skipped when it is already there: a stopped
demo goes on where it was.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emosym.config.recipes import StageRecipe
from emosym.data.images import load_image
from emosym.data.sources.open import open_dataset
from emosym.data.storybook import write_storybook
from emosym.data.walk import find_images
from emosym.errors import unknown_name
from emosym.evaluation.measure import ReadSplit, evaluate_painting, evaluate_reading
from emosym.evaluation.report.build import build_report
from emosym.evaluation.report.emotion_map import write_space
from emosym.evaluation.results.result import write_result
from emosym.evaluation.results.run_folder import (
    save_thumbnail,
    worth_showing,
    write_paintings,
    write_readings,
)
from emosym.files import read_json, write_json
from emosym.locks import one_writer
from emosym.memory.bank import Bank
from emosym.models.presets import resolve_base
from emosym.pipelines.trained import EmoSymPipeline
from emosym.pipelines.trained_painting import reading_of
from emosym.studies.stages import check_overrides, packaged_recipe
from emosym.training.run import run_recipe
from emosym.types import BadInput, UnderstandingOutput

log = logging.getLogger(__name__)
STAGES = ("align", "rl", "joint", "feedback")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Budget:
    """How much a run may cost: pictures of each split, and paintings of each emotion.

    The recipes are the packaged ones named "{budget}-{stage}".
    """

    train: int
    val: int
    test: int
    paintings: int


BUDGETS = {
    "demo": Budget(train=12000, val=1000, test=4000, paintings=20),
    "shipped": Budget(train=24000, val=2000, test=4000, paintings=50),
}


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """What the demo runs with. `images` are extra pictures to read, files or folders.

    `overrides` are "stage.key=value" on top of the budget's recipes.
    """

    out: Path
    budget: str = "demo"
    seed: int = 0
    base: str = "storybook-base"
    workers: int = 2
    images: tuple[Path, ...] = ()
    overrides: tuple[str, ...] = ()


def run_demo(settings: DemoSettings, say: Say) -> Path:
    """Run the demo and return the path of its report; `say` gets one line per part.

    Raises:
        UsageError: for an unknown budget, or an override of no stage.
        EmoSymError: when another process runs there.
    """
    began = time.monotonic()
    if settings.budget not in BUDGETS:
        raise unknown_name("budget", settings.budget, BUDGETS)
    check_overrides(settings.overrides, STAGES)
    resolve_base(settings.base)  # a wrong base or key is said now, not after what comes before it
    for stage in STAGES:
        stage_recipe(settings, stage, settings.base)
    with one_writer(settings.out, "running the demo"):
        return _run(settings, say, began)


def _run(settings: DemoSettings, say: Say, began: float) -> Path:
    """Run the demo in its folder, of which this is the only run."""
    budget, out = BUDGETS[settings.budget], settings.out
    data = out / "data"
    counts = {"train": budget.train, "val": budget.val, "test": budget.test}
    say(f"Drawing {sum(counts.values()):,} storybook pictures")
    write_storybook(data, counts, size=64, seed=settings.seed, workers=settings.workers)
    rows = [_table_row("data", time.monotonic() - began, {"pictures": sum(counts.values())})]
    init = settings.base
    for stage in STAGES:
        recipe = stage_recipe(settings, stage, init)
        say(f"Training stage {stage}")
        start = time.monotonic()
        checkpoint, values = run_recipe(recipe)
        rows.append(_timed_row(out, stage, time.monotonic() - start, values))
        init = str(checkpoint)
    say("Reading the test split, and painting every emotion")
    start = time.monotonic()
    pipeline = EmoSymPipeline.from_pretrained(init)
    test = open_dataset("storybook", data, "test")
    read = evaluate_reading(pipeline, test, seed=settings.seed, workers=settings.workers)
    write_result(out / "results" / "understanding.json", read.result)
    write_test_readings(out, pipeline, read)
    painted = evaluate_painting(
        pipeline, test, budget.paintings, seed=settings.seed, workers=settings.workers
    )
    write_result(out / "results" / "paintings.json", painted.result)
    write_paintings(out, painted.outputs, painted.judged)
    write_points(out, pipeline, read, painted.outputs)
    if settings.images:
        say("Reading your pictures")
        write_user_readings(out, pipeline, settings.images)
    write_bank(out, real_counts(data))
    rows.append(_table_row("test", time.monotonic() - start, headline(read, painted.result)))
    write_json(out / "stages.json", rows)
    about = {
        "title": "EmoSym demo",
        "preset": settings.base,
        "command": f"emosym demo --budget {settings.budget}",
        "seed": settings.seed,
        "minutes": round(sum(row["minutes"] for row in rows), 2),
        "note": "Storybook is a controlled world: nothing here is a claim about photographs.",
    }
    write_json(out / "run.json", about)
    return build_report(out, out / "report.html")


def stage_recipe(settings: DemoSettings, stage: str, init: str) -> StageRecipe:
    """Return a stage's recipe of the budget, in the demo's folder."""
    keys = {
        "out": str(settings.out / stage),
        "init": init,
        "data.root": str(settings.out / "data"),
        "data.workers": settings.workers,
        "seed": settings.seed,
    }
    return packaged_recipe(f"{settings.budget}-{stage}", keys, stage, settings.overrides)


def write_test_readings(out: Path, pipeline: EmoSymPipeline, read: ReadSplit) -> None:
    """Write the test readings, with pictures and spoken rationales where they are worth showing."""
    shown = worth_showing(read.probabilities, read.labels)
    pictures = [load_image(read.paths[i]) for i in shown]
    explained = pipeline.understand(pictures, explain=True)
    readings: list[UnderstandingOutput | BadInput] = list(read.readings)
    for place, reading in zip(shown, explained, strict=True):
        readings[place] = reading
    labels = [pipeline.space.labels[i] for i in read.labels]
    rows = list(zip(read.names, readings, labels, strict=True))
    write_readings(out, "test", rows, dict(zip(shown, pictures, strict=True)))


def write_user_readings(out: Path, pipeline: EmoSymPipeline, images: Sequence[Path]) -> None:
    """Read the user's files and folders; a bad file is an error row."""
    rows: list[tuple[str, UnderstandingOutput | BadInput, str | None]] = []
    pictures: dict[int, Image.Image] = {}
    for source, reading in pipeline.understand_many(list(find_images(images))):
        if isinstance(reading, UnderstandingOutput):
            pictures[len(rows)] = load_image(Path(source))
        rows.append((Path(source).name, reading, None))
    write_readings(out, "user", rows, pictures)


def write_points(out: Path, pipeline: EmoSymPipeline, read: ReadSplit, painted: Any) -> None:
    """Write the emotion space's plane: real pictures by label, paintings by what was asked."""
    labels = pipeline.space.labels
    outputs = [(label, output) for label, many in painted.items() for output in many]
    write_space(
        out,
        np.stack([reading.emotion_latent for reading in read.readings]),
        [labels[i] for i in read.labels],
        np.stack([reading_of(output).emotion_latent for _, output in outputs]),
        [label for label, _ in outputs],
        pipeline.model.emotion_space,
    )


def real_counts(data: Path) -> dict[str, int]:
    """Return how many real training pictures each emotion has."""
    train = open_dataset("storybook", data, "train")
    found = np.bincount(train.labels(), minlength=len(train.space))
    return {label: int(n) for label, n in zip(train.space.labels, found, strict=True)}


def write_bank(out: Path, real: dict[str, int]) -> None:
    """Write the bank before and after feedback, with a few remembered paintings of each emotion."""
    bank = Bank.open(out / "feedback" / "bank")
    entries = bank.read()
    labels = bank.space.labels
    made = {label: sum(e.intent == label for e in entries) for label in labels}
    per_round = {
        str(number): {
            label: sum(e.intent == label and e.provenance.round == number for e in entries)
            for label in labels
        }
        for number in sorted({e.provenance.round for e in entries})
    }
    thumbnails: list[dict[str, Any]] = []
    for label in bank.space.labels:
        chosen = [e for e in entries if e.intent == label]
        for entry in sorted(chosen, key=lambda e: -e.agreement)[:2]:
            image = save_thumbnail(Image.fromarray(entry.pixels()), out / "bank", entry.id)
            thumbnails.append(
                {
                    "image": image.relative_to(out).as_posix(),
                    "emotion": label,
                    "score": round(float(entry.agreement), 3),
                    "origin": f"round {entry.provenance.round}",
                }
            )
    nothing = dict.fromkeys(bank.space.labels, 0)
    for name, generated, shown in (("before", nothing, []), ("after", made, thumbnails)):
        write_json(
            out / f"bank_{name}.json",
            {
                "entries": sum(real.values()) + sum(generated.values()),
                "real": sum(real.values()),
                "generated": sum(generated.values()),
                "per_emotion": {
                    label: {"real": real[label], "generated": generated[label]} for label in real
                },
                **({"per_round": per_round} if name == "after" else {}),
                "thumbnails": shown,
            },
        )


def headline(read: ReadSplit, paintings: dict[str, Any]) -> dict[str, float]:
    """Return the few numbers of the stage table's last row."""
    wanted = ("accuracy", "best_accuracy", "emo_a_judge_a", "emo_a_judge_b", "coverage")
    values = {**read.result["values"], **paintings["values"]}
    return {k: float(values[k]) for k in wanted if isinstance(values.get(k), (int, float))}


def _table_row(stage: str, seconds: float, metrics: dict[str, float]) -> dict[str, Any]:
    return {"stage": stage, "minutes": round(seconds / 60, 2), "metrics": metrics}


def _timed_row(out: Path, stage: str, seconds: float, values: dict[str, float]) -> dict[str, Any]:
    """Return a stage's row; its time is kept from the run that did the work."""
    path = out / stage / "minutes.json"
    if not path.is_file():
        write_json(path, {"minutes": round(seconds / 60, 2)})
    row = _table_row(stage, seconds, values)
    return {**row, **read_json(path, "stage time")}
