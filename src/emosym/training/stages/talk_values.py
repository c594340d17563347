"""How well conversations that were held out are read: emotions, causes, sentiment, units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import expit, softmax

from emosym.emotions import SCORES, SENTIMENT3, SENTIMENT7, LabelSpace
from emosym.metrics.classification import macro_f1, weighted_f1
from emosym.metrics.label_sets import micro_f1
from emosym.metrics.sentiment import sentiment_values
from emosym.metrics.several import several_values
from emosym.models.reader.reader import Reader
from emosym.models.reader.talks import (
    UNKNOWN,
    Talk,
    TalkReading,
    emotional,
    found_causes,
    read_all_turns,
)
from emosym.tasks.cause_values import measure_causes, self_and_previous
from emosym.tasks.names import open_task
from emosym.training.stages.sets import TalkSet
from emosym.types import ECPE, CausePair

SCORES_OF = {SENTIMENT7.name: tuple(SCORES.values()), SENTIMENT3.name: (-1.0, 0.0, 1.0)}


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Readings of held-out turns that have a label: logits (M, C), truth (M,), and the values.

    Of several labels at once the truth is (M, C) of 0 and 1.
    """

    logits: np.ndarray
    truth: np.ndarray
    values: dict[str, float]


def held_out(reader: Reader, talks: Sequence[Talk]) -> HeldOut:
    """Read held-out conversations; the values are of all labelled turns, and of pairs of causes."""
    read = read_all_turns(reader, talks)
    scores, truth = labelled_turns(talks, read)
    guesses, classes = scores.argmax(1), scores.shape[1]
    values = (
        several_values(expit(scores), truth)
        if reader.space.several
        else {
            "accuracy": float((guesses == truth).mean()),
            "weighted_f1": weighted_f1(guesses, truth, classes),
            "macro_f1": macro_f1(guesses, truth, classes),
        }
    )
    if reader.reasoner.pointer is not None:
        values |= cause_scores(reader, talks, read)
    values |= side_values(talks, read)
    return HeldOut(scores, truth, values)


def labelled_turns(
    talks: Sequence[Talk], read: Sequence[TalkReading]
) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (M, C) and truth (M,), of several labels (M, C), of turns that have a label."""
    known = [talk.labels != UNKNOWN for talk in talks]
    truths = [talk.labels if talk.marks is None else talk.marks for talk in talks]
    return (
        np.concatenate([one.logits[mask] for one, mask in zip(read, known, strict=True)]),
        np.concatenate([told[mask] for told, mask in zip(truths, known, strict=True)]),
    )


def held_out_sets(reader: Reader, sets: Sequence[TalkSet]) -> dict[LabelSpace, HeldOut]:
    """Read what is held out of each data set of a run, by the head of its label space."""
    return {one.space: held_out(replace(reader, space=one.space), one.val) for one in sets}


def all_values(found: Mapping[LabelSpace, HeldOut], main: LabelSpace) -> dict[str, float]:
    """Return the values of a run's data sets; those beside the main one say their label space."""
    values = dict(found[main].values)
    for space, held in found.items():
        if space != main:
            values |= {f"{name} in {space.name}": value for name, value in held.values.items()}
    return values


def side_values(talks: Sequence[Talk], read: Sequence[TalkReading]) -> dict[str, float]:
    """Return the values of sentiment and action units, of the turns where they are known."""
    values: dict[str, float] = {}
    for space in {space: None for talk in talks for space in talk.others}:
        rows = [
            (one.others[space], t.others[space])
            for t, one in zip(talks, read, strict=True)
            if space in t.others and space in one.others
        ]
        if not rows:
            continue
        logits, truth = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        told = ~np.isnan(truth[:, 0])
        if space.several:
            values["fer_micro_f1"] = micro_f1(logits[told] > 0, truth[told] > 0.5)
            continue
        scale = np.array(SCORES_OF[space.name])
        shares = softmax(logits[told], axis=1)
        found = sentiment_values(shares @ scale, truth[told] @ scale, len(scale) > 3)
        values |= {f"msa_{name}": value for name, value in found.items() if value is not None}
        right = shares.argmax(1) == truth[told].argmax(1)
        values["msa_accuracy"] = float(right.mean())
    return values


def cause_scores(
    reader: Reader, talks: Sequence[Talk], read: Sequence[TalkReading]
) -> dict[str, float]:
    """Return the F1 of pairs, emotions given and found, each beside "self and previous".

    A pair of found emotions is right only where the emotion is. "Self and previous" says of every
    emotion, given or found, that its own turn and the one before caused it.
    """
    known = [(talk, one) for talk, one in zip(talks, read, strict=True) if talk.causes is not None]
    if not known:
        return {}
    task = open_task(ECPE, reader.space)
    assert task.space is not None
    truths = [true_causes(talk, reader.space) for talk, _ in known]
    asked = [emotions_of(talk.first, talk.labels, reader.space) for talk, _ in known]
    values: dict[str, float] = {}
    for name in ("given", "found"):
        guesses, fixed = [], []
        for talk, one in known:
            own = np.where(talk.rows < 0, UNKNOWN, one.logits.argmax(1))  # history is another's
            emotions = talk.labels if name == "given" else own
            pairs = found_causes(reader, talk, one.emotion, emotions)
            guesses.append(tuple(pair for turn in pairs for pair, _ in turn))
            felt = emotions_of(talk.first, emotions, reader.space)
            fixed.append(
                tuple(self_and_previous(CausePair(turn, emotion, turn) for turn, emotion in felt))
            )
        for prefix, said in (("causes", guesses), ("self_previous", fixed)):
            scores = measure_causes(said, truths, task.space, task.parse, asked)
            values[f"{prefix}_{name}_f1"] = scores["pair_f1"]
    return values


def true_causes(talk: Talk, space: LabelSpace) -> tuple[CausePair, ...]:
    """Return the pairs that are true of a conversation whose causes are known."""
    assert talk.causes is not None
    labels = dict(emotions_of(talk.first, talk.labels, space))
    pairs = np.argwhere(talk.causes).tolist()
    return tuple(
        CausePair(talk.first + turn, labels[talk.first + turn], talk.first + cause)
        for turn, cause in pairs
        if talk.first + turn in labels
    )


def emotions_of(first: int, emotions: np.ndarray, space: LabelSpace) -> list[tuple[int, str]]:
    """Return (turn, emotion) of class indices (n,) from a turn on: of those that are not neutral.

    Those that are unknown are left out as well.
    """
    told = emotional(torch.from_numpy(emotions), space).tolist()
    return [
        (first + turn, space.labels[int(label)])
        for turn, (has, label) in enumerate(zip(told, emotions, strict=True))
        if has
    ]
