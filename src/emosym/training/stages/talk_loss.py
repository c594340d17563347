"""What a batch of conversations and pictures costs: labels, causes, and what else is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from emosym.config.recipes import M2seRecipe
from emosym.emotions import LabelSpace
from emosym.models.emosym_model import EmoSymModel
from emosym.models.reader.pointer import UNKNOWN_EMOTION
from emosym.models.reader.talks import (
    UNKNOWN,
    Talk,
    alike,
    emotional,
    padded_causes,
    padded_labels,
    padded_marks,
    padded_others,
    padded_speakers,
    read_talks,
)
from emosym.processes import Processes
from emosym.seeds import numpy_rng
from emosym.training.stages.losses import (
    class_weights,
    label_weights,
    several_cross_entropy,
    weighted_cross_entropy,
)
from emosym.types import IMAGE_EMOTION, MER, TEXT_EMOTION


def balanced_weights(space: LabelSpace, talks: Sequence[Talk], power: float) -> torch.Tensor:
    """Return the weights (C,) of classes, or of several labels where they are true."""
    known = [talk.labels != UNKNOWN for talk in talks]
    if space.several:
        marks = [t.marks[mask] for t, mask in zip(talks, known, strict=True) if t.marks is not None]
        rows = np.concatenate(marks)
        return label_weights(torch.from_numpy(rows.sum(axis=0)), len(rows), power)
    codes = np.concatenate([talk.labels[mask] for talk, mask in zip(talks, known, strict=True)])
    return class_weights(torch.from_numpy(np.bincount(codes, minlength=len(space))), power)


def batch_loss(
    model: EmoSymModel,
    talks: Sequence[Talk],
    recipe: M2seRecipe,
    weights: torch.Tensor,
    processes: Processes | None = None,
) -> dict[str, torch.Tensor]:
    """Return the loss of a batch: of every turn's label, of causes, and of what else is told.

    What is alike in kind and length is computed together, `rows_at_once` of it. `weights` (C,) are
    of classes, or of several labels where they are true. Each data set counts by its share of the
    batch, whatever number of turns its conversations have. `accuracy` is the share of turns read
    right, of several labels that of all their labels. Of several `processes` each reads its own
    conversations, and all get the loss of the whole batch.
    """
    processes = processes or Processes()
    start, stop = processes.span(len(talks))
    device, several = model.reader.reasoner.device, model.space.several
    labelled, points = learns_labels(recipe), model.causes is not None
    spaces = list({space: None for talk in talks for space in talk.others})
    chances = processes.draw(lambda: torch.rand(len(talks), device=device)) if points else None
    told = None if chances is None else chances[start:stop] < (0.5 if labelled else 1.0)
    found = _read_own(model, talks[start:stop], recipe.rows_at_once, told, spaces)
    parts, losses = [found.nothing], dict[str, torch.Tensor]()
    main = sum(talk.of is None for talk in talks) / len(talks)
    if labelled:
        loss = several_cross_entropy if several else weighted_cross_entropy
        right = (found.logits > 0) == (found.truth > 0.5) if several else None
        right = found.logits.argmax(-1) == found.truth if right is None else right
        emotion = processes.mean_of(loss(found.logits, found.truth, weights, recipe.focal))
        accuracy = processes.mean_of(right.float().flatten())
        if emotion is not None and accuracy is not None:
            losses |= {"emotion": emotion, "accuracy": accuracy}
            parts.append(main * emotion)
    causes = processes.mean_of(found.causes) if points else None
    if causes is not None:
        losses["causes"] = causes
        parts.append(main * recipe.w_causes * causes)
    for space in spaces:
        share = sum(talk.of == space for talk in talks) / len(talks)
        other = processes.mean_of(found.others[space])
        if other is not None:
            losses[space.name] = other
            parts.append((share or main * recipe.w_others) * other)
    return {"loss": torch.stack(parts).sum(), **losses}


@dataclass(frozen=True, slots=True)
class _Own:
    """What was read of a process's own conversations, flat over their turns.

    `logits` (M, C) of labelled turns and their `truth`, `causes` losses of pairs, `others` losses
    of turns by label space; `nothing` is a zero that all that was read is part of.
    """

    logits: torch.Tensor
    truth: torch.Tensor
    causes: torch.Tensor
    others: Mapping[LabelSpace, torch.Tensor]
    nothing: torch.Tensor


def _read_own(
    model: EmoSymModel,
    talks: Sequence[Talk],
    at_once: int,
    told: torch.Tensor | None,
    spaces: Sequence[LabelSpace],
) -> _Own:
    reasoner, several = model.reader.reasoner, model.space.several
    device = reasoner.device
    logits, truth, nothing = [], [], torch.zeros((), device=device)
    causes = [torch.zeros(0, device=device)]
    others = {space: [torch.zeros(0, device=device)] for space in spaces}
    for group in alike(talks, at_once):
        some = [talks[i] for i in group]
        there, found = read_talks(model.reader, some)
        most = there.shape[1]
        labels = padded_labels(some, most).to(device)  # (B, N)
        scores = reasoner.logits(found.emotion, model.space)  # (B, N, C)
        known = labels != UNKNOWN
        logits.append(scores[known])
        wanted = padded_marks(some, most, model.space).to(device) if several else labels
        truth.append(wanted[known])
        nothing = nothing + 0.0 * found.emotion[there].sum()
        for space in {space: None for talk in some for space in talk.others}:
            wanted = padded_others(some, most, space).to(device)  # (B, N, C)
            mine = ~wanted[..., 0].isnan()
            found_too = reasoner.logits(found.emotion[mine], space)
            others[space].append(side_losses(found_too, wanted[mine], space))
        if told is not None and any(talk.of is None for talk in some):
            given = told[torch.tensor(group, device=device)]
            causes.append(cause_losses(model, some, found.emotion, scores, labels, there, given))
    return _Own(
        torch.cat(logits),
        torch.cat(truth),
        torch.cat(causes),
        {space: torch.cat(each) for space, each in others.items()},
        nothing,
    )


def learns_labels(recipe: M2seRecipe) -> bool:
    """Return whether the label of every turn is learned, not only what other heads answer."""
    named = set(recipe.tasks)
    return bool({MER, TEXT_EMOTION} & named) or named == {IMAGE_EMOTION}


def with_causes(talks: Sequence[Talk], recipe: M2seRecipe, step: int, part: int) -> Sequence[Talk]:
    """Return the talks of a step, of which only `causes_share` know their causes.

    They are drawn from the stream (seed, "m2se-causes", step, part).
    """
    if recipe.causes_share == 1.0:
        return talks
    draws = numpy_rng(recipe.seed, "m2se-causes", step, part).random(len(talks))
    kept = draws < recipe.causes_share
    return [t if k else replace(t, causes=None) for t, k in zip(talks, kept, strict=True)]


def side_losses(logits: torch.Tensor, wanted: torch.Tensor, space: LabelSpace) -> torch.Tensor:
    """Return the loss of each turn (M,): cross-entropy, of several labels the mean over them."""
    if space.several:
        each = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        return each.mean(dim=-1)
    return nn.functional.cross_entropy(logits, wanted, reduction="none")


def cause_losses(
    model: EmoSymModel,
    talks: Sequence[Talk],
    latents: torch.Tensor,
    scores: torch.Tensor,
    labels: torch.Tensor,
    there: torch.Tensor,
    told: torch.Tensor,
) -> torch.Tensor:
    """Return the loss of every pair whose first turn has an emotion, flat.

    Conversations that are `told` (B,) get the true emotions of their turns, the others what the
    head finds: so one pointer serves both settings.
    """
    pointer = model.reader.reasoner.pointer
    assert pointer is not None
    most, device = labels.shape[1], labels.device
    causes, known = padded_causes(talks, most)
    found = scores.detach().argmax(-1).where(there, labels.new_tensor(UNKNOWN_EMOTION))
    logits = pointer(
        latents, labels.where(told[:, None], found), padded_speakers(talks, most).to(device)
    )  # (B, N, N)
    asked = emotional(labels, model.space) & known.to(device)[:, None]
    pairs = asked[:, :, None] & there[:, None]
    return nn.functional.binary_cross_entropy_with_logits(
        logits[pairs], causes.to(device)[pairs].float(), reduction="none"
    )
