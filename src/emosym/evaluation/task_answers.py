"""What a model answered in EmoVerse's tasks, measured: a result a task, and a row an answer.

A pipeline gives predictions or spoken answers of samples (`answered`); a file of another program's
answers gives them without samples (`Answered` itself). Both are measured alike.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from emosym.data.action_units import UNITS
from emosym.data.notes import Notes, complain
from emosym.data.wheel_tables import Wheels
from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.evaluation.results.predictions import KEY
from emosym.evaluation.results.result import make_result, subject_of, write_result
from emosym.evaluation.task_intervals import interval_values, usual_cues
from emosym.files import printable, write_atomic
from emosym.metrics.checks import same_length
from emosym.metrics.cues import Facts
from emosym.metrics.label_sets import indicators
from emosym.metrics.several import mean_average_precision
from emosym.tasks.cause_values import Targets, emotional_turns, measure_causes
from emosym.tasks.eri import cues_in, true_reason
from emosym.tasks.names import open_task
from emosym.tasks.said import said, score_of, spoken_values
from emosym.tasks.swift import read_answers
from emosym.tasks.task import Prediction, Task, Unparsed
from emosym.tasks.text_emotion import labels_of
from emosym.types import ECPE, ERI, FER, Sample, Target

ANSWERS_SCHEMA = "emosym.answers/1"


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered in one task, N of each.

    `name` is the task's in `tasks.names.TASKS`. `groups` names the conversation of each sample,
    which is resampled as a whole for intervals. `answers` are the texts as they were given, None
    where nothing was spoken; `asked` lists (turn, emotion) of each, for cause pairs; `cues` finds
    what a reason names, where the task's label space is not MELD's (`tasks.eri.cues_in`).
    `probabilities` (N, C) are of the task's labels, where several can be true and a model tells
    them: its values also say how well they rank. `wheels` are what the task compares words on;
    `more` are values that its predictions do not tell.
    """

    name: str
    task: Task
    ids: Sequence[str]
    groups: Sequence[str]
    predictions: Sequence[Prediction]
    truths: Sequence[Target]
    answers: Sequence[str] | None = None
    asked: Targets | None = None
    cues: Callable[[str], Facts] = usual_cues
    probabilities: np.ndarray | None = None
    wheels: Wheels | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


def answered(
    name: str,
    task: Task,
    samples: Sequence[Sample],
    predictions: Sequence[Prediction] | None = None,
    answers: Sequence[str] | None = None,
) -> Answered:
    """Return what was answered about samples whose truth is known: predictions, or spoken answers.

    Samples of one conversation, by their turns, are one group. Which turns cause pairs are asked
    of is told by the turns' emotions.

    Raises:
        UsageError: for neither or not as many of either, or a sample without a truth.
    """
    if answers is not None:
        predictions = [task.parse(answer) for answer in answers]
    if predictions is None:
        raise UsageError(f"The task {name!r} needs predictions or answers.")
    same_length(samples=samples, predictions=predictions)
    space = task.space
    asked = None
    if task.name == ECPE and space is not None:
        asked = [emotional_turns(sample, space) for sample in samples]
    return Answered(
        name,
        task,
        [sample.id for sample in samples],
        groups_of(samples),
        predictions,
        [truth_of(sample, task.name) for sample in samples],
        answers,
        asked,
    )


def read_answered(path: Path, name: str, space: LabelSpace, notes: Notes | None = None) -> Answered:
    """Return the answers of a file of ms-swift's, each against the true answer beside it.

    Every row is its own group: such a file does not tell conversations. Rows without an answer or
    a truth, or whose truth the task cannot read, are noted, or stop where nobody takes notes.

    Raises:
        UsageError: for an unknown task, a row that is none without notes, or a file without rows.
    """
    task = open_task(name, space)
    kept: list[tuple[str, str, Target]] = []
    for row_id, answer, true in read_answers(path, notes):
        truth = task.parse(true)
        if isinstance(truth, Unparsed):
            where = f"{path.name}, {row_id}"
            told = f"{where}: the true answer {true!r:.80} cannot be read: {truth.reason}."
            complain(notes, "unknown_label", where, UsageError(told), true)
        else:
            kept.append((row_id, answer, truth))
    if not kept:
        raise UsageError(f"{path} holds no true answer that the task {name!r} can read.")
    ids, answers, truths = zip(*kept, strict=True)
    predictions = [task.parse(answer) for answer in answers]
    cues = partial(cues_in, space=space)
    return Answered(name, task, ids, ids, predictions, truths, answers, None, cues)


def truth_of(sample: Sample, task: str) -> Target:
    """Return what is true of a sample for a task; a UsageError where nothing is."""
    if task == ERI:
        return true_reason(sample)
    truth = sample.targets.get(task)
    if truth is None:
        raise UsageError(f"Sample {sample.id!r} has no truth for {task}; measure those that have.")
    return truth


def groups_of(samples: Sequence[Sample]) -> list[str]:
    """Return a name for the conversation of each sample: the id of its first sample."""
    first: dict[Any, str] = {}
    found = []
    for sample in samples:
        words = tuple((turn.speaker, turn.text, turn.start) for turn in sample.turns)
        key = words if len(words) > 1 else sample.id
        found.append(first.setdefault(key, sample.id))
    return found


def plain_values(found: Answered) -> dict[str, Any]:
    """Return the task's values without intervals."""
    said = found.answers if found.task.name == ECPE and found.answers else found.predictions
    if found.task.name == ECPE and found.task.space is not None:
        return measure_causes(said, found.truths, found.task.space, found.task.parse, found.asked)
    values = found.task.measure(found.predictions, found.truths)
    if found.probabilities is not None and found.task.space is not None:
        values |= ranking_values(found.probabilities, found.truths, found.task.space)
    return values | dict(found.more)


def task_values(found: Answered, seed: int) -> dict[str, Any]:
    """Return the task's values, with intervals (`metrics.intervals`, over conversations)."""
    values = plain_values(found) | spoken_values(
        found.task, found.answers or (), found.predictions, found.truths
    )
    values["conversations"] = len(set(found.groups))
    more = interval_values(
        found.task,
        found.predictions,
        found.truths,
        found.groups,
        seed,
        found.asked,
        found.cues,
        found.wheels,
    )
    return values | more


def ranking_values(
    probabilities: np.ndarray, truths: Sequence[Target], space: LabelSpace
) -> dict[str, Any]:
    """Return `mean_average_precision`, and what any order of the samples has at hand by chance.

    `chance_average_precision` is the mean over the same labels of how often each is true.
    """
    marks = indicators([labels_of(truth) for truth in truths], space.labels)  # (N, C)
    often = marks.mean(axis=0)
    return {
        "mean_average_precision": mean_average_precision(probabilities, marks),
        "chance_average_precision": float(often[often > 0].mean()) if often.any() else None,
    }


def task_result(
    found: Answered,
    seed: int = 0,
    split: str = "test",
    model: str | None = None,
    zero_shot: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the result of one task, named after it; `labels` names the entries of its lists.

    Raises:
        UsageError: for no samples, or predictions and truths that do not fit the task.
    """
    labels = tuple(UNITS) if found.task.name == FER else ()
    if found.task.space is not None:
        labels = found.task.space.labels
    subject = subject_of(model, split, found.ids, zero_shot)
    values = task_values(found, seed)
    return make_result(found.name, values, len(found.ids), seed, subject=subject, labels=labels)


def write_task_results(
    out: Path,
    tasks: Sequence[Answered],
    seed: int = 0,
    split: str = "test",
    model: str | None = None,
    zero_shot: Mapping[str, Any] | None = None,
    computed_on: Mapping[str, Any] | None = None,
    answers: Path | None = None,
) -> list[tuple[Path, dict[str, Any]]]:
    """Write one result a task, NAME-TASK.json beside `out`, and the answers to a Parquet.

    A single task's result is `out` itself. `computed_on` joins the result's `hardware`. With
    `answers` every answer is a row there, see `write_answers`. Returns (path, result) of each.

    Raises:
        UsageError: as `task_result`; nothing is written then.
    """
    results = [task_result(found, seed, split, model, zero_shot) for found in tasks]
    if answers is not None:
        write_answers(answers, tasks, results)
    written = []
    for found, result in zip(tasks, results, strict=True):
        path = out if len(tasks) == 1 else out.with_name(f"{out.stem}-{found.name}.json")
        whole = {**result, "hardware": {**result["hardware"], **(computed_on or {})}}
        write_result(path, whole)
        written.append((path, whole))
    return written


def write_answers(
    path: Path, tasks: Sequence[Answered], results: Sequence[Mapping[str, Any]]
) -> None:
    """Write one row an answer as Parquet, atomically.

    Columns: `task`, `id`, `conversation`, `answer` (as it was given; null where nothing was
    spoken), `prediction` and `truth` as an answer would say them, `unread` (why an answer could not
    be read, else null), and `score` 0..1, the task's reward. The metadata holds under `emosym` the
    schema and each result's subject, seed and versions.
    """
    import pyarrow as pa
    from pyarrow import parquet

    rows: list[dict[str, Any]] = []
    for found in tasks:
        told: Sequence[str | None] = found.answers or [None] * len(found.ids)
        for i, name in enumerate(found.ids):
            prediction = found.predictions[i]
            read = not isinstance(prediction, Unparsed)
            rows.append(
                {
                    "task": found.name,
                    "id": printable(name),
                    "conversation": printable(found.groups[i]),
                    "answer": None if told[i] is None else printable(str(told[i])),
                    "prediction": printable(said(prediction)) if read else None,
                    "truth": printable(said(found.truths[i])),
                    "unread": None if read else prediction.reason,  # type: ignore[union-attr]
                    "score": score_of(found.task, prediction, found.truths[i]),
                }
            )
    kinds = {"score": pa.float64()}
    names = ("task", "id", "conversation", "answer", "prediction", "truth", "unread", "score")
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in names])
    kept = ("name", "subject", "seed", "versions", "git", "created")
    about = {
        "schema": ANSWERS_SCHEMA,
        "results": [{key: result.get(key) for key in kept} for result in results],
    }
    table = pa.Table.from_pylist(rows, schema.with_metadata({KEY: json.dumps(about).encode()}))
    write_atomic(path, lambda temporary: parquet.write_table(table, temporary))
