"""How well conversations that were held out are read: emotions, causes, sentiment, units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from emosym.emotions import SCORES, SENTIMENT3, SENTIMENT7, LabelSpace
from emosym.metrics.classification import macro_f1, weighted_f1
from emosym.metrics.label_sets import micro_f1
from emosym.metrics.sentiment import sentiment_values
from emosym.models.reader.reader import Reader
from emosym.models.reader.talks import (
    UNKNOWN,
    Talk,
    TalkReading,
    emotional,
    point,
    read_all_turns,
)

THRESHOLD = 0.5  # of the pointer's probability
SCORES_OF = {SENTIMENT7.name: tuple(SCORES.values()), SENTIMENT3.name: (-1.0, 0.0, 1.0)}


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Readings of held-out turns that have a label: logits (M, C), truth (M,), and the values."""

    logits: np.ndarray
    truth: np.ndarray
    values: dict[str, float]


def held_out(reader: Reader, talks: Sequence[Talk]) -> HeldOut:
    """Read held-out conversations; the values are of all labelled turns, and of pairs of causes."""
    read = read_all_turns(reader, talks)
    known = [talk.labels != UNKNOWN for talk in talks]
    scores = np.concatenate([one.logits[mask] for one, mask in zip(read, known, strict=True)])
    truth = np.concatenate([t.labels[mask] for t, mask in zip(talks, known, strict=True)])
    guesses, classes = scores.argmax(1), scores.shape[1]
    values = {
        "accuracy": float((guesses == truth).mean()),
        "weighted_f1": weighted_f1(guesses, truth, classes),
        "macro_f1": macro_f1(guesses, truth, classes),
    }
    if reader.reasoner.pointer is not None:
        values |= cause_scores(reader, talks, read)
    values |= side_values(talks, read)
    return HeldOut(scores, truth, values)


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
    """Return the F1 of pairs (turn, cause), emotions given and found, and of two fixed answers.

    A pair of found emotions is right only where the emotion is; "self" says that every emotion is
    caused by its own turn, "self and previous" also by the turn before.
    """
    counts: dict[str, list[int]] = {}
    for talk, one in zip(talks, read, strict=True):
        if talk.causes is None:
            continue
        truth = _pairs(talk.causes, talk.labels, reader.space)
        found = one.logits.argmax(1)
        size = len(talk.labels)
        for name, emotions in (("given", talk.labels), ("found", found)):
            shares = point(reader.reasoner, talk, one.emotion, emotions)
            guess = _pairs(shares >= THRESHOLD, emotions, reader.space)
            _count(counts, f"causes_{name}", guess, truth)
            self_too = np.eye(size, dtype=bool)
            before = np.eye(size, k=-1, dtype=bool)
            _count(counts, f"self_{name}", _pairs(self_too, emotions, reader.space), truth)
            both = _pairs(self_too | before, emotions, reader.space)
            _count(counts, f"self_previous_{name}", both, truth)
    return {
        f"{name}_f1": 2 * hits / (made + true) if made + true else 0.0
        for name, (hits, made, true) in counts.items()
    }


def _pairs(causes: np.ndarray, emotions: np.ndarray, space: LabelSpace) -> set[Any]:
    asked = emotional(torch.from_numpy(emotions), space).numpy()
    return {(t, int(emotions[t]), j) for t, j in np.argwhere(causes & asked[:, None]).tolist()}


def _count(counts: dict[str, list[int]], name: str, guess: set[Any], truth: set[Any]) -> None:
    row = counts.setdefault(name, [0, 0, 0])
    for place, number in enumerate((len(guess & truth), len(guess), len(truth))):
        row[place] += number
