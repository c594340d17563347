"""What a batch of conversations and pictures costs: labels, causes, and what else is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
    model: EmoSymModel, talks: Sequence[Talk], recipe: M2seRecipe, weights: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return the loss of a batch: of every turn's label, of causes, and of what else is told.

    What is alike in kind and length is computed together, `rows_at_once` of it. `weights` (C,) are
    of classes, or of several labels where they are true. Each data set counts by its share of the
    batch, whatever number of turns its conversations have. `accuracy` is the share of turns read
    right, of several labels that of all their labels.
    """
    reasoner = model.reader.reasoner
    device, several = reasoner.device, model.space.several
    labelled, points = learns_labels(recipe), model.causes is not None
    logits, truth, causes = [], [], []
    others: dict[LabelSpace, list[torch.Tensor]] = {}
    for group in alike(talks, recipe.rows_at_once):
        some = [talks[i] for i in group]
        there, found = read_talks(model.reader, some)
        most = there.shape[1]
        labels = padded_labels(some, most).to(device)  # (B, N)
        scores = reasoner.logits(found.emotion, model.space)  # (B, N, C)
        known = labels != UNKNOWN
        logits.append(scores[known])
        wanted = padded_marks(some, most, model.space).to(device) if several else labels
        truth.append(wanted[known])
        for space in {space: None for talk in some for space in talk.others}:
            wanted = padded_others(some, most, space).to(device)  # (B, N, C)
            told = ~wanted[..., 0].isnan()
            found_too = reasoner.logits(found.emotion[told], space)
            others.setdefault(space, []).append(side_losses(found_too, wanted[told], space))
        if points and reasoner.pointer is not None and any(talk.of is None for talk in some):
            causes.append(cause_losses(model, some, found.emotion, scores, labels, there, labelled))
    share = {space: sum(talk.of == space for talk in talks) / len(talks) for space in others}
    main = sum(talk.of is None for talk in talks) / len(talks)
    parts, losses = [torch.zeros((), device=device)], dict[str, torch.Tensor]()
    classes, answers = torch.cat(logits), torch.cat(truth)
    if labelled and len(answers):
        loss = several_cross_entropy if several else weighted_cross_entropy
        losses["emotion"] = loss(classes, answers, weights, recipe.focal)
        right = (classes > 0) == (answers > 0.5) if several else classes.argmax(-1) == answers
        losses["accuracy"] = right.float().mean()
        parts.append(main * losses["emotion"])
    if causes and sum(map(len, causes)):
        losses["causes"] = torch.cat(causes).mean()
        parts.append(main * recipe.w_causes * losses["causes"])
    for space, each in others.items():
        if sum(map(len, each)):
            losses[space.name] = torch.cat(each).mean()
            parts.append((share[space] or main * recipe.w_others) * losses[space.name])
    return {"loss": torch.stack(parts).sum(), **losses}


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
    finds: bool = True,
) -> torch.Tensor:
    """Return the loss of every pair whose first turn has an emotion, flat.

    Half of the conversations are told the true emotions of their turns, the others what the head
    `finds`: so one pointer serves both settings. All are told them where no head learns to.
    """
    pointer = model.reader.reasoner.pointer
    assert pointer is not None
    most, device = labels.shape[1], labels.device
    causes, known = padded_causes(talks, most)
    told = torch.rand(len(talks), 1, device=device) < (0.5 if finds else 1.0)
    found = scores.detach().argmax(-1).where(there, labels.new_tensor(UNKNOWN_EMOTION))
    logits = pointer(
        latents, labels.where(told, found), padded_speakers(talks, most).to(device)
    )  # (B, N, N)
    asked = emotional(labels, model.space) & known.to(device)[:, None]
    pairs = asked[:, :, None] & there[:, None]
    return nn.functional.binary_cross_entropy_with_logits(
        logits[pairs], causes.to(device)[pairs].float(), reduction="none"
    )
