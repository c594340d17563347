"""A whole conversation read in one pass: every turn's emotion, and what caused it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.special import expit, softmax

from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.models.emosym_model import EmoSymModel, finds_causes
from emosym.models.reader.reader import TURNS, fit_turns
from emosym.models.reader.talks import (
    UNKNOWN,
    Talk,
    TalkReading,
    found_causes,
    read_all_turns,
    stretch,
)
from emosym.pipelines.protocol import NO_DIALOGUES
from emosym.pipelines.trained_reading import opened_sample, readings_of
from emosym.types import BadInput, CausePair, DialogueOutput, Sample, UnderstandingOutput


def reads_dialogues(model: EmoSymModel) -> bool:
    """Return whether a model was taught to read conversations turn by turn."""
    return model.reader.template == TURNS


@torch.no_grad()
def read_dialogues(
    model: EmoSymModel, samples: Sequence[Sample], batch_size: int = 16
) -> list[DialogueOutput | BadInput]:
    """Read conversations, in order; one that cannot be read is a `BadInput`.

    A turn's reading is that of the conversation cut after it, whatever comes later.

    Raises:
        UsageError: when the model was not taught conversations.
    """
    if not reads_dialogues(model):
        raise UsageError(NO_DIALOGUES)
    parts: list[Talk] = []
    owners: list[int] = []
    found: list[DialogueOutput | BadInput | None] = [None] * len(samples)
    for place, sample in enumerate(samples):
        try:
            if not sample.turns:
                raise UsageError("It has no turn.")
            ready = opened_sample(model.reader.chat, sample)
        except UsageError as error:
            found[place] = BadInput(sample.id, str(error))
            continue
        count = len(ready.turns)
        fitted = fit_turns(model.reader, ready)
        whole = Talk(fitted.sample, np.full(count, UNKNOWN), None, np.arange(count))
        some = [stretch(whole, span) for span in fitted.spans]
        parts += some
        owners += [place] * len(some)
    read = read_all_turns(model.reader, parts, batch_size)
    for place in sorted(set(owners)):
        own = [i for i, owner in enumerate(owners) if owner == place]
        found[place] = _joined(model, [parts[i] for i in own], [read[i] for i in own])
    return [output for output in found if output is not None]


def _joined(
    model: EmoSymModel, parts: Sequence[Talk], read: Sequence[TalkReading]
) -> DialogueOutput:
    """Join the stretches of one conversation: of each only the turns that are new in it."""
    readings: list[UnderstandingOutput] = []
    causes: list[tuple[CausePair, float]] = []
    others: list[Mapping[str, Mapping[str, float]]] = []
    for part, one in zip(parts, read, strict=True):
        new, nothing = np.flatnonzero(part.rows >= 0).tolist(), [None] * len(part.rows)
        told = readings_of(model, one.logits, one.emotion, one.context, nothing, nothing)
        readings += [told[turn] for turn in new]
        others += [{s.name: _shares(s, rows[i]) for s, rows in one.others.items()} for i in new]
        if not finds_causes(model):
            continue
        emotions = np.array([model.space.index(reading.emotion) for reading in told])
        pairs = found_causes(model.reader, part, one.emotion, emotions)
        causes += [pair for turn in new for pair in pairs[turn]]
    return DialogueOutput(
        tuple(readings), tuple(causes) if finds_causes(model) else None, tuple(others)
    )


def _shares(space: LabelSpace, logits: np.ndarray) -> dict[str, float]:
    shares = expit(logits) if space.several else softmax(logits)
    return dict(zip(space.labels, shares.tolist(), strict=True))
