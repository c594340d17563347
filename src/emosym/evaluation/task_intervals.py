"""How far chance could move the values of a task: bootstrap over conversations.

Every value here follows from counts that add up over samples, so a resample is a sum of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from emosym.data.wheel_tables import Wheels
from emosym.emotions import LABEL_SPACES, LabelSpace
from emosym.errors import UsageError
from emosym.metrics.causes import split_pairs
from emosym.metrics.cues import Facts, count_cues
from emosym.metrics.intervals import bootstrap
from emosym.metrics.label_sets import indicators
from emosym.metrics.wheel import wheel_counts, wheel_scores
from emosym.tasks.cause_values import Targets, cause_records
from emosym.tasks.eri import cues_in
from emosym.tasks.fer import UNITS, unit_sets
from emosym.tasks.msa import scores_of
from emosym.tasks.open_words import word_counts, word_scores, words_of
from emosym.tasks.task import Prediction, Task, Unparsed, label_codes
from emosym.tasks.text_emotion import labels_of
from emosym.types import CHOICE, ECPE, ERI, EXPRESSION, FER, MSA, OPEN, STATEMENT, Target

# What a sum (K,) of counts says; None where it is undefined.
Statistic = Callable[[np.ndarray], "float | None"]
Counted = tuple[np.ndarray, dict[str, Statistic]]
DRAWS = 1000
usual_cues: Callable[[str], Facts] = partial(cues_in, space=LABEL_SPACES["meld7"])


def interval_values(
    task: Task,
    predictions: Sequence[Prediction],
    truths: Sequence[Target],
    groups: Sequence[str],
    seed: int,
    asked: Targets | None = None,
    cues: Callable[[str], Facts] = usual_cues,
    wheels: Wheels | None = None,
) -> dict[str, Any]:
    """Return `<value>_interval`, [low, high] at 95 %, of a task's main values.

    All samples of one group are drawn together (percentile bootstrap, 1,000 draws). None where
    there are fewer than two groups, or a value is undefined on a resample. Of cause pairs the
    difference to "self and previous" has one too, paired. `cues` finds what a reason names, as the
    task does, `wheels` are those that it compares words on.
    """
    if task.name == OPEN:
        counts, statistics = _words(predictions, truths, wheels)
    else:
        counts, statistics = _counted(task, predictions, truths, asked, cues)
    names = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    sums = np.zeros((len(names), counts.shape[1]))
    np.add.at(sums, [names[group] for group in groups], counts)  # (G, K)
    values: dict[str, Any] = {}
    for name, statistic in statistics.items():
        if name.endswith("_minus_self_and_previous"):
            values[name] = statistic(sums.sum(axis=0))
        values[f"{name}_interval"] = _interval(sums, statistic, seed)
    return values


def _interval(sums: np.ndarray, statistic: Statistic, seed: int) -> list[float] | None:
    if len(sums) < 2:
        return None
    try:
        found = bootstrap([sums], lambda rows: statistic(rows.sum(axis=0)), seed, DRAWS)
    except UsageError:  # undefined on a resample
        return None
    return [found.low, found.high]


def _counted(
    task: Task,
    predictions: Sequence[Prediction],
    truths: Sequence[Target],
    asked: Targets | None,
    cues: Callable[[str], Facts],
) -> Counted:
    """Return counts (N, K) of the samples, and what can be told from a sum of them."""
    if task.name == ECPE and task.space is not None:
        return _pairs(task, predictions, truths, asked)
    if task.name == MSA:
        return _sentiments(predictions, truths)
    if task.name == FER:
        wanted = [units or () for units in unit_sets(truths)]
        return _sets(unit_sets(predictions), wanted, tuple(UNITS))
    if task.name == ERI:
        return _cues(predictions, truths, cues)
    if task.name in (STATEMENT, CHOICE):
        return _rewarded(task, predictions, truths)
    # answers of a kind that is not known here: values without intervals
    if task.space is None or task.name == EXPRESSION:
        return np.zeros((len(truths), 1)), {}
    if task.space.several or any(isinstance(truth, tuple) for truth in truths):
        read = [None if isinstance(p, Unparsed) else labels_of(p) for p in predictions]
        return _sets(read, [labels_of(truth) for truth in truths], task.space.labels)
    return _labels(predictions, truths, task.space)


def _labels(
    predictions: Sequence[Prediction], truths: Sequence[Target], space: LabelSpace
) -> Counted:
    """Count hits, guesses and truths of each class."""
    guesses, answers = (np.asarray(side) for side in label_codes(predictions, truths, space))
    classes = np.arange(len(space))
    made, true = guesses[:, None] == classes, answers[:, None] == classes  # (N, C)
    counts = np.concatenate([made & true, made, true], axis=1).astype(float)

    def each(total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        hits, found, there = total.reshape(3, -1)
        whole = found + there
        f1 = np.divide(2 * hits, whole, out=np.full_like(hits, np.nan), where=whole > 0)
        return f1, there

    def accuracy(total: np.ndarray) -> float:
        return float(total[: len(space)].sum() / total[2 * len(space) :].sum())

    def weighted(total: np.ndarray) -> float:
        f1, there = each(total)
        return float(np.nansum(f1 * there) / there.sum())

    return counts, {
        "accuracy": accuracy,
        "weighted_f1": weighted,
        "macro_f1": lambda total: float(np.nanmean(each(total)[0])),
    }


def _sets(predicted: Sequence[Any], truth: Sequence[Any], labels: Sequence[str]) -> Counted:
    found, wanted = indicators(predicted, labels), indicators(truth, labels)
    counts = np.concatenate([found & wanted, found, wanted], axis=1).astype(float)

    def micro(total: np.ndarray) -> float | None:
        hits, made, there = total.reshape(3, -1).sum(axis=1)
        return float(2 * hits / (made + there)) if made + there else None

    def macro(total: np.ndarray) -> float | None:
        hits, made, there = total.reshape(3, -1)
        some = made + there > 0
        return float((2 * hits[some] / (made + there)[some]).mean()) if some.any() else None

    return counts, {"micro_f1": micro, "macro_f1": macro}


def _cues(
    predictions: Sequence[Prediction], truths: Sequence[Target], cues: Callable[[str], Facts]
) -> Counted:
    said = [cues(found if isinstance(found, str) else "") for found in predictions]
    there = [cues(str(truth)) for truth in truths]
    counted = count_cues(said, there, tuple(there[0]))
    counts = sum(counted.values(), np.zeros((3, len(truths)))).T
    return np.asarray(counts), {
        "cue_precision": lambda total: _ratio(total[0], total[1]),
        "cue_recall": lambda total: _ratio(total[0], total[2]),
        "cue_f1": lambda total: _ratio(2 * total[0], total[1] + total[2]),
    }


def _rewarded(task: Task, predictions: Sequence[Prediction], truths: Sequence[Target]) -> Counted:
    said = ["" if isinstance(found, Unparsed) else str(found) for found in predictions]
    earned = [(score or 0.0, 1.0) for score in task.reward(said, label=list(truths))]
    return np.array(earned), {"accuracy": lambda total: _ratio(total[0], total[1])}


def _words(
    predictions: Sequence[Prediction], truths: Sequence[Target], wheels: Wheels | None
) -> Counted:
    said = [words_of(None if isinstance(found, Unparsed) else found) for found in predictions]
    true = [words_of(truth) for truth in truths]
    counts, statistics = word_counts(said, true), dict[str, Statistic]()
    statistics["word_f1"] = lambda total: word_scores(total[:3])["word_f1"]
    if wheels is None:
        return counts, statistics
    more = wheel_counts(said, true, wheels)  # (N, W, 4)
    shape = more.shape[1:]

    def told(total: np.ndarray) -> dict[str, Any]:
        return wheel_scores(total[3:].reshape(shape))

    statistics["wheel_f1"] = lambda total: told(total)["wheel_f1"]
    statistics["wheel_hit_rate"] = lambda total: told(total)["wheel_hit_rate"]
    return np.concatenate([counts, more.reshape(len(true), -1)], axis=1), statistics


def _pairs(
    task: Task,
    predictions: Sequence[Prediction],
    truths: Sequence[Target],
    asked: Targets | None,
) -> Counted:
    assert task.space is not None
    rows = cause_records(predictions, truths, task.space, task.parse, asked)
    counts = np.zeros((len(truths), 5))
    for number, *texts in zip(
        rows["sample"], rows["read"], rows["usual"], rows["gold"], strict=True
    ):
        read, usual, gold = (split_pairs(text) for text in texts)
        counts[number] += [len(read & gold), len(read), len(usual & gold), len(usual), len(gold)]

    def f1(total: np.ndarray) -> float:
        return _ratio(2 * total[0], total[1] + total[4]) or 0.0

    def usual_f1(total: np.ndarray) -> float:
        return _ratio(2 * total[2], total[3] + total[4]) or 0.0

    return counts, {
        "pair_f1": f1,
        "self_and_previous_pair_f1": usual_f1,
        "pair_f1_minus_self_and_previous": lambda total: f1(total) - usual_f1(total),
    }


def _sentiments(predictions: Sequence[Prediction], truths: Sequence[Target]) -> Counted:
    wanted, guesses = (np.asarray(side) for side in scores_of(predictions, truths))
    told = wanted != 0.0
    columns = [
        (guesses >= 0.0) == (wanted >= 0.0),
        np.ones_like(told),
        ((guesses > 0.0) == (wanted > 0.0)) & told,
        told,
    ]
    statistics: dict[str, Statistic] = {
        "acc2_non_negative": lambda total: _ratio(total[0], total[1]),
        "acc2_positive": lambda total: _ratio(total[2], total[3]),
    }
    scored = all(isinstance(truth, (int, float)) for truth in truths) and all(
        isinstance(found, (int, float, Unparsed)) for found in predictions
    )
    if scored:
        statistics["mae"] = lambda total: _ratio(total[4], total[1])
    return np.stack([*columns, np.abs(guesses - wanted)], axis=1).astype(float), statistics


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
