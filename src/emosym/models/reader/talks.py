"""Conversations with what is known of their turns, ready to be read all turns at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from emosym.data.action_units import UNIT_SPACE
from emosym.data.dataset import Dataset
from emosym.data.images import decoded
from emosym.emotions import SENTIMENT3, SENTIMENT7, LabelSpace
from emosym.errors import UsageError
from emosym.models.reader.packed import can_pack, think_alone
from emosym.models.reader.prefix import Prefix, prefill
from emosym.models.reader.reader import (
    TEMPLATES,
    TURNS,
    Reader,
    fit_turns,
    head_of_turns,
    prefill_features,
    prepare_samples,
)
from emosym.models.reader.reasoner import EmotionReasoner
from emosym.models.reader.turns import TurnLatents, Turns, read_turns, think_turns
from emosym.models.render_turns import render_turns, turn_tokens
from emosym.models.turn_windows import Span
from emosym.tasks.msa import REACH
from emosym.tasks.text_emotion import labels_of
from emosym.types import ECPE, FER, MSA, CausePair, Sample, Target

log = logging.getLogger(__name__)
UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Talk:
    """One conversation, or a stretch of one; or a single picture, a conversation of one turn.

    `labels` (n,) are class indices of its turns, -1 where unknown or where the turn is only there
    as history. `causes` (n, n) bool: turn j caused the emotion of turn t; None where nobody said.
    `rows` (n,) are the places of its turns in the data set they come from, -1 for none; its first
    turn is number `first` of the conversation. `others`
    are truths of other tasks by their label space: distributions (n, C), or of a space whose labels
    do not exclude each other 0 and 1, with rows of NaN where unknown. Where the labels of the main
    space do not, `marks` (n, C) are the truths, likewise, and `labels` the first of each turn. Of a
    further data set `of` is the label space, one of `others`. A `picture` is asked about as
    pictures are at reading, without its words; `features` (T, H) are its vision features where they
    are kept.
    """

    sample: Sample
    labels: np.ndarray
    causes: np.ndarray | None
    rows: np.ndarray
    others: Mapping[LabelSpace, np.ndarray] = field(default_factory=dict)
    first: int = 0
    marks: np.ndarray | None = None
    of: LabelSpace | None = None
    picture: bool = False
    features: torch.Tensor | None = None

    @property
    def words(self) -> int:
        """About how long it is, for putting alike lengths together."""
        said = sum(len(str(turn.text or "").split()) for turn in self.sample.turns)
        return said + 4 * len(self.sample.turns)


def talks_of(
    reader: Reader, dataset: Dataset, tasks: Sequence[str] = (), workers: int = 1
) -> tuple[Talk, ...]:
    """Return the conversations of a data set whose samples are turns in focus, as a reader can.

    Long ones come in stretches; of turns that are too long the beginning is read, which is told.

    `tasks` are those of `OTHER_TASKS` whose truth is wanted too, where it is known. Clips are
    looked into by `workers` threads.

    Raises:
        UsageError: when its samples are no turns of conversations.
    """
    if dataset.places is None or bool((dataset.places[:, 1] < 0).any()):
        raise UsageError(
            "This stage reads conversations turn by turn: it needs a data set of dialogues, such "
            "as meld, ecf or storybook-dialogues."
        )
    rows_of: dict[int, list[int]] = {}
    for row, conversation in enumerate(dataset.places[:, 0].tolist()):
        rows_of.setdefault(conversation, []).append(row)
    talks: list[Talk] = []
    cut, space, head = 0, reader.space, head_of_turns(reader)
    with ThreadPoolExecutor(workers, thread_name_prefix="clips") as pool:
        firsts = list(pool.map(dataset.__getitem__, [rows[0] for rows in rows_of.values()]))
    for first, rows in zip(firsts, rows_of.values(), strict=True):
        count = len(first.turns)
        labels = np.full(count, UNKNOWN)
        places = np.full(count, -1)
        causes = np.zeros((count, count), dtype=bool)
        told = False
        marks = np.full((count, len(space)), np.nan, dtype=np.float32) if space.several else None
        others: dict[LabelSpace, np.ndarray] = {}
        for row in rows:
            focus = int(dataset.places[row, 1])
            labels[focus], places[focus] = int(dataset.codes[row]), row
            pairs = dataset.targets[row].get(ECPE) if dataset.targets is not None else None
            if pairs is not None:
                told = True
                mark_causes(causes, pairs)  # type: ignore[arg-type]
            known = dataset.targets[row] if dataset.targets is not None else {}
            if marks is not None and labels[focus] != UNKNOWN:
                marks[focus] = label_marks(known.get(dataset.task), labels[focus], space)
            for task in tasks:
                if task in OTHER_TASKS and task in known:
                    other, truth = OTHER_TASKS[task](known[task])
                    unknown = np.full((count, len(other)), np.nan, dtype=np.float32)
                    others.setdefault(other, unknown)[focus] = truth
        whole = replace(first, focus=None, targets={})
        fitted = fit_turns(reader, whole, head)
        cut += fitted.cut
        talk = Talk(fitted.sample, labels, causes if told else None, places, others, marks=marks)
        talks += [stretch(talk, span) for span in fitted.spans]
    if cut:
        log.warning("Of %d turns that are too long the beginning is read.", cut)
    return tuple(talks)


def label_marks(target: Target | None, code: int, space: LabelSpace) -> np.ndarray:
    """Return 1 for each label (C,) that is true: those of a target, else the one of a class."""
    truth = np.zeros(len(space), dtype=np.float32)
    named = () if target is None else labels_of(target)
    truth[[space.index(label) for label in named] or [code]] = 1.0
    return truth


def sentiment_truth(target: Target) -> tuple[LabelSpace, np.ndarray]:
    """Return the space and distribution of a sentiment: a score lies between its two neighbours."""
    if isinstance(target, str):
        return SENTIMENT3, np.eye(3, dtype=np.float32)[SENTIMENT3.index(target)]
    score = min(max(float(target), -REACH), REACH) + REACH  # type: ignore[arg-type]
    truth = np.zeros(len(SENTIMENT7), dtype=np.float32)
    below = min(int(score), len(SENTIMENT7) - 2)
    truth[below], truth[below + 1] = below + 1 - score, score - below
    return SENTIMENT7, truth


def unit_truth(target: Target) -> tuple[LabelSpace, np.ndarray]:
    """Return the space of action units, and 1 for each that a face shows."""
    truth = np.zeros(len(UNIT_SPACE), dtype=np.float32)
    for code in target:  # type: ignore[union-attr]
        truth[UNIT_SPACE.index(str(code))] = 1.0
    return UNIT_SPACE, truth


# Tasks beside the emotion that a head of their own answers, and how their truth is read.
OTHER_TASKS: dict[str, Callable[[Target], tuple[LabelSpace, np.ndarray]]] = {
    MSA: sentiment_truth,
    FER: unit_truth,
}


def mark_causes(causes: np.ndarray, pairs: Sequence[CausePair]) -> None:
    """Mark pairs in a matrix (n, n); one that points outside is left out: `data check` names it."""
    for turn, _, cause in pairs:
        if 0 <= turn < len(causes) and 0 <= cause < len(causes):
            causes[turn, cause] = True


def stretch(talk: Talk, span: Span) -> Talk:
    """Return a stretch of a conversation: of its history neither labels nor rows are known."""
    own, history = slice(span.first, span.stop), span.new - span.first
    labels, rows = talk.labels[own].copy(), talk.rows[own].copy()
    labels[:history], rows[:history] = UNKNOWN, -1
    others = {space: truth[own].copy() for space, truth in talk.others.items()}
    marks = None if talk.marks is None else talk.marks[own].copy()
    for truth in (*others.values(), *(() if marks is None else (marks,))):
        truth[:history] = np.nan
    return replace(
        talk,
        sample=replace(talk.sample, turns=talk.sample.turns[own]),
        labels=labels,
        causes=None if talk.causes is None else talk.causes[own, own],
        rows=rows,
        others=others,
        first=span.first,
        marks=marks,
    )


def alike(talks: Sequence[Talk], size: int) -> list[list[int]]:
    """Return the places of talks in groups of up to `size`, those of like length together.

    Pictures and conversations, which are asked about in other words, never share a group.
    """
    groups: list[list[int]] = []
    for pictures in (False, True):
        own = [i for i, talk in enumerate(talks) if talk.picture is pictures]
        order = sorted(own, key=lambda i: (talks[i].words, i))
        groups += [order[start : start + size] for start in range(0, len(order), size)]
    return groups


def read_talks(reader: Reader, talks: Sequence[Talk]) -> tuple[torch.Tensor, TurnLatents]:
    """Read a group of `alike` as one batch, all turns at once, with the current adapter.

    Also returns which turns there are, (B, N) bool.
    """
    if talks[0].picture:
        prefix = picture_prefix(reader, talks)
        there = torch.ones(len(talks), 1, dtype=torch.bool, device=prefix.mask.device)
        single = Turns(prefix, there, prefix.mask[:, None], prefix.next_position[:, None])
        return there, think_turns(reader.reasoner, single)
    samples = [decoded(talk.sample) for talk in talks]
    if can_pack(reader.chat, samples):
        rows = [turn_tokens(reader.chat, s, TEMPLATES[TURNS], iter(()))[0] for s in samples]
        found = think_alone(reader.reasoner, rows)
        return torch.ones(len(rows), 1, dtype=torch.bool, device=found.emotion.device), found
    rendered = render_turns(reader.chat, samples, TEMPLATES[TURNS])
    turns = read_turns(reader.reasoner, rendered.inputs, rendered.ends)
    return turns.there, think_turns(reader.reasoner, turns)


def picture_prefix(reader: Reader, talks: Sequence[Talk]) -> Prefix:
    """Prefill single pictures as they are read alone, from kept vision features where all have."""
    kept = [talk.features for talk in talks if talk.features is not None]
    if len(kept) == len(talks):
        return prefill_features(reader, torch.stack(kept))
    samples = [decoded(talk.sample) for talk in talks]
    return prefill(reader.reasoner.backbone, prepare_samples(reader, samples))


def padded_labels(talks: Sequence[Talk], most: int) -> torch.Tensor:
    """Return the labels of talks (B, N), -1 where unknown or no turn is."""
    rows = [np.pad(talk.labels, (0, most - len(talk.labels)), constant_values=-1) for talk in talks]
    return torch.from_numpy(np.stack(rows))


def padded_marks(talks: Sequence[Talk], most: int, space: LabelSpace) -> torch.Tensor:
    """Return the truths of talks in the main space (B, N, C), NaN where unknown: 0, 1 a label."""
    whole = np.full((len(talks), most, len(space)), np.nan, dtype=np.float32)
    for row, talk in zip(whole, talks, strict=True):
        if talk.marks is not None:
            row[: len(talk.labels)] = talk.marks
    return torch.from_numpy(whole)


def padded_others(talks: Sequence[Talk], most: int, space: LabelSpace) -> torch.Tensor:
    """Return the truths of talks in another label space (B, N, C), NaN where unknown."""
    whole = np.full((len(talks), most, len(space)), np.nan, dtype=np.float32)
    for row, talk in zip(whole, talks, strict=True):
        if space in talk.others:
            row[: len(talk.labels)] = talk.others[space]
    return torch.from_numpy(whole)


def padded_causes(talks: Sequence[Talk], most: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the causes of talks (B, N, N), and in which talks they are known (B,)."""
    whole = np.zeros((len(talks), most, most), dtype=bool)
    for row, talk in zip(whole, talks, strict=True):
        if talk.causes is not None:
            row[: len(talk.causes), : len(talk.causes)] = talk.causes
    known = torch.tensor([talk.causes is not None for talk in talks])
    return torch.from_numpy(whole), known


def padded_speakers(talks: Sequence[Talk], most: int) -> torch.Tensor:
    """Return numbers of speakers (B, N): the same for turns of one speaker of a conversation."""
    rows = []
    for talk in talks:
        known: dict[str | None, int] = {}
        numbers = [known.setdefault(turn.speaker, len(known)) for turn in talk.sample.turns]
        rows.append(numbers + [-1] * (most - len(numbers)))
    return torch.tensor(rows)


def emotional(labels: torch.Tensor, space: LabelSpace) -> torch.Tensor:
    """Return which turns have an emotion, of labels of any shape: known, and not neutral."""
    neutral = UNKNOWN if space.neutral is None else space.index(space.neutral)
    return (labels != UNKNOWN) & (labels != neutral)


def side_spaces(reasoner: EmotionReasoner) -> list[LabelSpace]:
    """Return the label spaces of OTHER_TASKS that a model has heads for."""
    known = {space.name for space in (SENTIMENT3, SENTIMENT7, UNIT_SPACE)}
    return [space for space in reasoner.spaces if space.name in known]


@dataclass(frozen=True, slots=True)
class TalkReading:
    """What one conversation of n turns says: logits (n, C), latents (n, H) and (n, K, H), fp32.

    `others` are the logits of the model's other heads, by label space.
    """

    logits: np.ndarray
    emotion: np.ndarray
    context: np.ndarray
    others: Mapping[LabelSpace, np.ndarray] = field(default_factory=dict)


@torch.no_grad()
def read_all_turns(
    reader: Reader, talks: Sequence[Talk], batch_size: int = 16
) -> list[TalkReading]:
    """Read every conversation with the current model, in evaluation mode; in order."""
    reasoner = reader.reasoner
    training = reasoner.training
    reasoner.eval()
    readings: dict[int, TalkReading] = {}
    for group in alike(talks, batch_size):
        some = [talks[i] for i in group]
        _, found = read_talks(reader, some)
        scores = reasoner.logits(found.emotion, reader.space)  # (B, N, C)
        others = {space: reasoner.logits(found.emotion, space) for space in side_spaces(reasoner)}
        for row, (place, talk) in enumerate(zip(group, some, strict=True)):
            own = slice(0, len(talk.sample.turns))
            readings[place] = TalkReading(
                _array(scores[row, own]),
                _array(found.emotion[row, own]),
                _array(found.context[row, own]),
                {space: _array(logits[row, own]) for space, logits in others.items()},
            )
    reasoner.train(training)
    return [readings[place] for place in range(len(talks))]


def _array(tensor: torch.Tensor) -> np.ndarray:
    found: np.ndarray = tensor.float().cpu().numpy()
    return found


@torch.no_grad()
def point(
    reasoner: EmotionReasoner, talk: Talk, latents: np.ndarray, emotions: np.ndarray
) -> np.ndarray:
    """Return the probability (n, n) that turn j caused the emotion of turn t.

    `emotions` (n,) are class indices, given or found before.

    Raises:
        UsageError: when the model has no pointer.
    """
    if reasoner.pointer is None:
        raise UsageError("This model was not trained to find causes.")
    count, device = len(talk.labels), reasoner.device
    logits = reasoner.pointer(
        torch.from_numpy(latents)[None].to(device),
        torch.from_numpy(emotions)[None].to(device),
        padded_speakers([talk], count).to(device),
    )
    probabilities: np.ndarray = logits[0].sigmoid().cpu().numpy()
    return probabilities


def found_causes(
    reader: Reader, talk: Talk, latents: np.ndarray, emotions: np.ndarray
) -> list[list[tuple[CausePair, float]]]:
    """Return, for each turn, the turns that caused its emotion, each with its probability.

    `emotions` (n,) are class indices, given or found before; a turn without an emotion has no
    cause. Turns count from the first one of the whole conversation.
    """
    chances = point(reader.reasoner, talk, latents, emotions)
    assert reader.reasoner.pointer is not None  # else it was refused
    likely = float(reader.reasoner.pointer.likely)
    asked = emotional(torch.from_numpy(emotions), reader.space).tolist()
    return [
        [
            (
                CausePair(talk.first + turn, reader.space.labels[label], talk.first + cause),
                float(chances[turn, cause]),
            )
            for cause in np.flatnonzero(chances[turn] >= likely).tolist()
        ]
        if asked[turn]
        else []
        for turn, label in enumerate(emotions.tolist())
    ]
