"""The losses of one step of `align`: label, text embedding, words, and steps of reasoning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from emosym.config.recipes import AlignRecipe
from emosym.models.reader.prefix import Prefix
from emosym.models.reader.reader import Reader
from emosym.models.reader.reasoner import Thought, say_loss, think
from emosym.models.reader.steps import apart, step_loss, think_aloud, word_loss
from emosym.processes import Processes
from emosym.training.stages.feed import Feed
from emosym.training.stages.join import heads_loss
from emosym.training.stages.losses import info_nce, state_distance
from emosym.training.stages.prefix_store import PrefixStore
from emosym.training.stages.step_texts import StepTexts, latents_at

IGNORE = -100
Losses = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class KnowledgeBase:
    """One rationale per training picture, as text, as token ids, and as a unit text embedding.

    `embeddings` (N, D); `groups` (N,) are equal where texts are equal.
    """

    texts: tuple[str, ...]
    ids: tuple[list[int], ...]
    embeddings: torch.Tensor
    groups: torch.Tensor


@dataclass(frozen=True, slots=True)
class AlignParts:
    """What a step of `align` works on; `knowledge` and `steps` are None where they are not used.

    Prefixes come from `source`: the feed, or what is kept of it.
    """

    reader: Reader
    train: Feed
    recipe: AlignRecipe
    processes: Processes
    knowledge: KnowledgeBase | None
    steps: StepTexts | None
    source: Feed | PrefixStore


def align_losses(parts: AlignParts, step: int, indices: np.ndarray) -> Losses:
    """Return the losses of one training step on the rows `indices` (B,) of the whole batch.

    "loss" is what is minimised; the others are told beside it.
    """
    recipe, processes, reasoner = parts.recipe, parts.processes, parts.reader.reasoner
    total, steps = len(indices), parts.steps
    prefix = parts.source.prefix(processes.own(indices))
    count = parts.reader.tokens.num_context_tokens
    if steps is not None and recipe.curriculum:
        latents = latents_at(step, recipe.optim.steps, recipe.curriculum, count)
        if latents < count:
            return aloud_losses(parts, steps, prefix, indices, latents)
    narrow = None
    if recipe.bottleneck:
        chance = processes.draw(lambda: torch.rand(total, device=reasoner.device))
        narrow = processes.own(chance) < recipe.bottleneck
    thought = think(reasoner, prefix, bottleneck=narrow)
    losses = label_losses(parts, thought.emotion_latent, indices)
    accuracy = losses.pop("accuracy")
    loss = recipe.w_cls * losses["classify"]
    if parts.knowledge is not None:
        loss = with_rationales(parts, parts.knowledge, thought, indices, narrow, losses, loss)
    if steps is not None and recipe.w_steps:
        own = processes.own(indices)
        tokens, labels = (part.to(reasoner.device) for part in steps.of_latents(own))
        each = step_loss(reasoner, thought, tokens, labels, parts.reader.start_token)
        losses["steps"] = processes.mean(each, (labels != IGNORE).sum())
        loss = loss + recipe.w_steps * losses["steps"]
    if steps is not None and recipe.w_step_words:
        named = word_loss(reasoner, thought.context_latents, steps.words(processes.own(indices)))
        losses["step_words"] = processes.mean(named, len(thought.context_latents))
        loss = loss + recipe.w_step_words * losses["step_words"]
    if steps is not None and recipe.w_distill:
        more = aloud_losses(parts, steps, prefix, indices, 0, thought.emotion_latent)
        losses |= {f"aloud_{name}": more[name] for name in ("classify", "say")}
        losses["distill"] = more["distill"]
        loss = loss + more["loss"]
    return {"loss": loss, **losses, "accuracy": accuracy}


def label_losses(parts: AlignParts, latents: torch.Tensor, indices: np.ndarray) -> Losses:
    """Return "classify" and "accuracy" of this process's emotion latents (b, H)."""
    processes, total = parts.processes, len(indices)
    classify, accuracy = heads_loss(
        parts.reader.reasoner,
        parts.train,
        latents,
        indices,
        lambda own_logits: processes.whole(own_logits, total),
    )
    return {"classify": classify, "accuracy": accuracy}


def with_rationales(
    parts: AlignParts,
    knowledge: KnowledgeBase,
    thought: Thought,
    indices: np.ndarray,
    narrow: torch.Tensor | None,
    losses: Losses,
    loss: torch.Tensor,
) -> torch.Tensor:
    """Return a loss with the weighted ones of rationales added; each is put into `losses`.

    `narrow` (b,) marks the rows of the bottleneck.
    """
    recipe, processes, reasoner = parts.recipe, parts.processes, parts.reader.reasoner
    rows, own, total = torch.from_numpy(indices), processes.own(indices), len(indices)
    device = losses["classify"].device
    if recipe.w_align:
        losses["align"] = info_nce(
            processes.whole(reasoner.context_projector(thought.context_latents), total),
            knowledge.embeddings[rows].to(device),
            knowledge.groups[rows].to(device),
            reasoner.context_projector.log_scale,
            recipe.symmetric,
        )
        loss = loss + recipe.w_align * losses["align"]
    if recipe.w_words:
        states = thought.emotion_latent[:, None]  # (B, 1, H)
        if not recipe.w_step_words:
            states = torch.cat([thought.context_latents, states], dim=1)  # (B, K + 1, H)
        told = [[knowledge.ids[i]] * states.shape[1] for i in own]
        losses["words"] = processes.mean(word_loss(reasoner, states, told), len(own))
        loss = loss + recipe.w_words * losses["words"]
    if recipe.w_say:
        tokens, labels = rationale_batch(
            [knowledge.ids[i] for i in own], parts.reader.end_token, device
        )
        chance = processes.draw(lambda: torch.rand(total, device=device))
        gist = processes.own(chance) < recipe.gist_probability
        heard = apart(thought) if recipe.w_steps else thought
        spoken = say_loss(reasoner, heard, tokens, labels, gist, parts.reader.start_token, narrow)
        losses["say"] = processes.mean(spoken, (labels != IGNORE).sum())
        loss = loss + recipe.w_say * losses["say"]
    return loss


def aloud_losses(
    parts: AlignParts,
    steps: StepTexts,
    prefix: Prefix,
    indices: np.ndarray,
    latents: int,
    student: torch.Tensor | None = None,
) -> Losses:
    """Return the losses after `latents` latent steps with the others spoken.

    A `student` (b, H), [EMO] after latents alone, is pulled towards [EMO] after the spoken steps.
    """
    recipe, processes, reasoner = parts.recipe, parts.processes, parts.reader.reasoner
    own = processes.own(indices)
    tokens, labels = (part.to(reasoner.device) for part in steps.spoken(own, latents))
    aloud = think_aloud(reasoner, prefix, tokens, labels, parts.reader.start_token, latents)
    losses = label_losses(parts, aloud.emotion_latent, indices)
    accuracy = losses.pop("accuracy")
    losses["say"] = processes.mean(aloud.say, (labels != IGNORE).sum())
    loss = recipe.w_cls * losses["classify"] + recipe.w_say * losses["say"]
    if student is not None:
        away = state_distance(student, aloud.emotion_latent)
        losses["distill"] = processes.mean(away, len(own))
        loss = loss + recipe.w_distill * losses["distill"]
    return {"loss": loss, **losses, "accuracy": accuracy}


def rationale_batch(
    rows: Sequence[list[int]], end_token: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad rationales to one length, each with its end token; returns tokens and labels (B, R)."""
    longest = max(len(row) for row in rows) + 1
    tokens = torch.full((len(rows), longest), end_token)
    labels = torch.full((len(rows), longest), IGNORE)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = torch.tensor(row)
        labels[i, : len(row) + 1] = torch.tensor([*row, end_token])
    return tokens.to(device), labels.to(device)
