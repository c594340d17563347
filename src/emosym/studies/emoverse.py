"""EmoVerse's tasks on storybook conversations: data, two stages, every task, a report.

Everything lands in one run folder; what is already there is not made again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emosym.config.recipes import StageRecipe
from emosym.data.dataset import Dataset
from emosym.data.sources.open import open_dataset
from emosym.data.storybook.dialogues.writer import write_dialogues
from emosym.evaluation.answer_tasks import answer_tasks
from emosym.evaluation.report.comics import TurnReading, write_comics
from emosym.evaluation.results.result import make_result, subject_of, write_result
from emosym.evaluation.storybook.dialogues import contradiction_values, reason_values
from emosym.evaluation.task_answers import Answered, task_result
from emosym.locks import one_writer
from emosym.models.checkpoint import load_checkpoint
from emosym.models.emosym_model import EmoSymModel
from emosym.models.presets import resolve_base
from emosym.pipelines.dialogue_reasons import gives_reasons
from emosym.studies.stages import check_overrides, packaged_recipe
from emosym.tasks.names import ECPE_PREDICTED, ERI_GROUNDED
from emosym.tasks.said import said
from emosym.training.run import run_recipe
from emosym.types import ECPE, ERI, FER, MER, MSA, CausePair, Sample

RECIPES = {"stage1": "m2se-stage1", "stage2": "m2se-stage2"}
BASE = "storybook-dialogue-base"
READ = (MER, MSA, FER, ECPE, ECPE_PREDICTED)
CONTRADICTIONS, REASONS = "contradictions", "reasons"
# What the report shows: (result, value, in words, value of what is trivial, that in words); "" none
SHOWN = (
    (MER, "accuracy", "emotion: right", "majority_accuracy", "the most frequent one"),
    (MSA, "acc7", "sentiment of seven grades: right", "majority_acc7", "the most frequent one"),
    (MSA, "mae", "sentiment: mean error (down)", "median_mae", "the median"),
    (
        FER,
        "micro_f1",
        "action units of the face: F1",
        "constant_micro_f1",
        "the best constant answer",
    ),
    (
        ECPE,
        "pair_f1",
        "cause pairs, emotions given: F1",
        "self_and_previous_pair_f1",
        "this turn and the one before",
    ),
    (
        ECPE_PREDICTED,
        "pair_f1",
        "cause pairs, emotions found: F1",
        "self_and_previous_pair_f1",
        "this turn and the one before",
    ),
    (
        CONTRADICTIONS,
        "contradiction_accuracy",
        "words and face differ: right",
        "contradiction_fooled",
        "read as what is not true",
    ),
    (
        REASONS,
        "names_cause",
        "reasons that name the planted cause",
        "other_names_cause",
        "another turn's reason",
    ),
    (REASONS, "names_happening", "reasons that also say what happened to it", "", ""),
    (REASONS, "recall_emotion", "reasons that name the true emotion", "", ""),
)


@dataclass(frozen=True, slots=True)
class EmoVerseSettings:
    """What a run costs: conversations of each split, and how many reasons are asked for.

    `base` is where stage 1 starts. `overrides` are "stage1.key=value", of a stage in RECIPES, on
    top of its packaged recipe.
    """

    out: Path
    train: int = 2000
    val: int = 200
    test: int = 300
    reasons: int = 200
    seed: int = 0
    base: str = BASE
    workers: int = 2
    overrides: tuple[str, ...] = ()


def run_emoverse(settings: EmoVerseSettings, say: Callable[[str], None]) -> Path:
    """Draw, train base and stages, measure every task and write the report; return its path.

    Raises:
        UsageError: for an override of no stage, or an unknown base.
        EmoSymError: when another process runs there.
    """
    check_overrides(settings.overrides, RECIPES)
    resolve_base(settings.base)  # a wrong base is said now, not after the drawing
    recipes = {stage: stage_recipe(settings, stage) for stage in RECIPES}
    with one_writer(settings.out, "running the EmoVerse tasks"):
        return _run(settings, recipes, say)


def _run(
    settings: EmoVerseSettings, recipes: Mapping[str, StageRecipe], say: Callable[[str], None]
) -> Path:
    """Run everything in its folder, of which this is the only run."""
    out, data = settings.out, settings.out / "data"
    counts = {"train": settings.train, "val": settings.val, "test": settings.test}
    say(f"Drawing {sum(counts.values()):,} conversations")
    write_dialogues(data, counts, seed=settings.seed, workers=settings.workers)
    for stage, recipe in recipes.items():
        say(f"Training {stage}")
        checkpoint, _ = run_recipe(recipe)
    say("Answering every task about the test split")
    model = load_checkpoint(checkpoint)
    test = open_dataset("storybook-dialogues", data, "test", model.space)
    found = answer_all_tasks(model, test, settings.reasons)
    results = measured(found, test, str(checkpoint), settings.seed)
    for name, result in results.items():
        write_result(out / "results" / f"{name}.json", result)
    return write_comics(
        out / "report.html",
        list(test),
        turn_readings(found),
        title="EmoSym conversations",
        lead="Every emotion, what caused it and why, of conversations the model had not seen. "
        "Storybook is a controlled world: nothing here is a claim about people.",
        table=report_table(results),
        space=model.space,
    )


def stage_recipe(settings: EmoVerseSettings, stage: str) -> StageRecipe:
    """Return a stage's packaged recipe, in the run's folder."""
    before = settings.base if stage == "stage1" else str(settings.out / "stage1" / "checkpoint")
    keys: dict[str, Any] = {"out": str(settings.out / stage), "seed": settings.seed}
    keys |= {"data.root": str(settings.out / "data"), "init": before}
    return packaged_recipe(RECIPES[stage], keys, stage, settings.overrides)


def answer_all_tasks(model: EmoSymModel, test: Dataset, reasons: int) -> list[Answered]:
    """Answer what latents answer about all turns, and give reasons for the first that have one.

    Reasons are of the emotions and causes that were found, where the model was taught such ones.
    """
    moved = [place for place, sample in enumerate(test) if ERI in sample.targets][:reasons]
    asked = ERI_GROUNDED if gives_reasons(model) else ERI
    spoken = answer_tasks(model, [asked], test.subset(moved)) if moved else []
    return [*answer_tasks(model, READ, test), *(replace(one, name=ERI) for one in spoken)]


def measured(
    found: Sequence[Answered], test: Dataset, model: str, seed: int
) -> dict[str, dict[str, Any]]:
    """Return a result a task, and of what only a drawn world can tell."""
    results = {one.name: task_result(one, seed, "test", model) for one in found}
    for name, (values, asked) in drawn_values(found, test).items():
        subject = subject_of(model, "test", asked)
        results[name] = make_result(name, values, len(asked), seed, subject=subject)
    return results


def drawn_values(
    found: Sequence[Answered], test: Sequence[Sample]
) -> dict[str, tuple[dict[str, Any], list[str]]]:
    """Return what only a drawn world can tell of answers: values, and the ids that they are of."""
    samples = {sample.id: sample for sample in test}
    drawn = {MER: (CONTRADICTIONS, contradiction_values), ERI: (REASONS, reason_values)}
    values: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for one in found:
        if one.name not in drawn:
            continue
        name, values_of = drawn[one.name]
        told = one.answers or [said(prediction) for prediction in one.predictions]
        rows = [
            (answer, samples[place])
            for answer, place in zip(told, one.ids, strict=True)
            if name != CONTRADICTIONS or samples[place].attributes.get("contradiction")
        ]
        if rows:
            answers, asked = zip(*rows, strict=True)
            values[name] = values_of(answers, asked), [sample.id for sample in asked]
    return values


def turn_readings(found: Sequence[Answered]) -> dict[str, TurnReading]:
    """Return what was answered about each turn: emotion, causes (of found emotions), reason."""
    told = {one.name: dict(zip(one.ids, one.predictions, strict=True)) for one in found}
    reasons = {
        name: text
        for one in found
        if one.name == ERI
        for name, text in zip(one.ids, one.answers or (), strict=True)
    }
    causes = {
        name: tuple(pair.cause for pair in pairs if isinstance(pair, CausePair))
        for name, pairs in told.get(ECPE_PREDICTED, {}).items()
        if isinstance(pairs, tuple)
    }
    return {
        name: TurnReading(str(emotion), causes.get(name), reasons.get(name))
        for name, emotion in told.get(MER, {}).items()
    }


def report_table(results: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the head and rows of the report's table."""
    rows = []
    for name, key, words, trivial, against in SHOWN:
        values = results[name]["values"] if name in results else {}
        if values.get(key) is None:
            continue
        other = values.get(trivial)
        beside = "" if other is None else f"{other:.3f} ({against})"
        rows.append([words, f"{values[key]:.3f}", beside, f"{results[name]['n']:,}"])
    return {
        "head": ["Measure (up is better where nothing is said)", "Model", "Beside it", "Turns"],
        "rows": rows,
    }
