"""Stage 4, `feedback`: the model learns from its own paintings, kept in the memory bank.

A round refreshes the emotion space, paints every emotion, reads the paintings with the current
model, lets the bank's policies choose, trains on real and remembered pictures together, and is
kept only if held-out real pictures are read better.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace

import numpy as np
import torch

from emosym.config.load import dump_recipe
from emosym.config.recipes import FeedbackRecipe
from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.files import write_json
from emosym.memory.bank import Bank
from emosym.memory.policies import mixing_plan
from emosym.memory.schema import BankEntry
from emosym.models.adapters import has_adapter, merged_adapter, train_adapter
from emosym.models.emosym_model import EmoSymModel
from emosym.models.gaussians import require_two_of_each
from emosym.models.painter.mappers import PICTURED
from emosym.models.reader.reader import ADAPTER
from emosym.models.reader.reasoner import EmotionReasoner, think
from emosym.models.reader.recompute import checkpoint_layers
from emosym.processes import Processes
from emosym.seeds import stream_seed
from emosym.training.loop.loop import run_loop
from emosym.training.loop.optim import build_optimizers, cosine
from emosym.training.loop.state import Weights, trainable_tensors
from emosym.training.stages.bank_painting import Round, fill_bank
from emosym.training.stages.feed import Feed, loose_feed, open_feeds, picture_feed
from emosym.training.stages.finish import (
    StageResult,
    finish_stage,
    held_out_values,
    loop_settings,
)
from emosym.training.stages.joint import refresh_space
from emosym.training.stages.losses import label_loss
from emosym.training.stages.prefix_store import PrefixStore, store_prefixes
from emosym.training.stages.read_all import read_all
from emosym.training.stages.start import open_checkpoint
from emosym.types import picture_sample

log = logging.getLogger(__name__)


def run_feedback(
    recipe: FeedbackRecipe, progress: bool = True, deadline: float | None = None
) -> StageResult:
    """Run stage 4 from the checkpoint recipe.init, and write recipe.out/checkpoint."""
    model = open_checkpoint(recipe)
    if recipe.scope == "lora" and recipe.optim.gradient_checkpointing:
        checkpoint_layers(model.reader.reasoner.backbone)
    train, val = open_feeds(model.reader, recipe)
    backbone = model.reader.reasoner.backbone
    with merged_adapter(backbone, ADAPTER) if recipe.scope == "head" else nullcontext():
        model, _ = train_feedback(model, train, val, recipe, progress, deadline)
    return finish_stage(model, recipe, dump_recipe(recipe), train, val)


def train_feedback(
    model: EmoSymModel,
    train: Feed,
    val: Feed,
    recipe: FeedbackRecipe,
    progress: bool = True,
    deadline: float | None = None,
) -> tuple[EmoSymModel, list[Round]]:
    """Run the rounds; returns the best model on held-out real pictures, and what each round did.

    The bank is recipe.out/bank, the rounds are recipe.out/rounds.json. Round 0 is the model as it
    comes in: it is kept when no round reads held-out pictures better (but see `recipe.keep`).
    """
    require_two_of_each(model.reader.space.labels, train.truth)
    if model.condition not in PICTURED:
        raise UsageError(
            f"This checkpoint paints by {model.condition}: what it reads does not reach its "
            "painter, so there is nothing to refresh. Train joint with condition=emotion_context."
        )
    reasoner = model.reader.reasoner
    processes = Processes()
    with processes.main_first():  # which makes the bank
        space = model.reader.space
        bank = Bank.open(recipe.out / "bank", create=processes.main, space=space)
    store = val_store = None
    if recipe.scope == "head" and recipe.cache_prefixes:
        store, val_store = (
            store_prefixes(feed, spill=recipe.out / "prefixes" / name)
            for name, feed in (("train", train), ("val", val))
        )
    set_trainable(reasoner, recipe.scope, model.space)
    weights = trainable_tensors({"reasoner": reasoner})
    start = held_out_values(read_all(val, store=val_store), val)
    rounds = [Round(0, 0, 0, {}, 0, start, True)]
    best, best_weights = start, _copy(weights)
    for number in range(1, recipe.rounds + 1):
        out = recipe.out / f"round-{number}"
        model = replace(model, emotion_space=refresh_space(train, store, model.condition))
        done = Round(number, 0, 0, {})
        if recipe.ratio > 0:
            done = fill_bank(model, bank, recipe, number, out)
        train_round(model, train, store, bank, recipe, number, progress, deadline)
        now = held_out_values(read_all(val, store=val_store), val)
        better = (now["accuracy"], -now["nll"]) > (best["accuracy"], -best["nll"])
        better = better or recipe.keep == "last"
        rounds.append(replace(done, held_out=now, kept=better))
        if processes.main:
            log.info("feedback round %d: %s", number, rounds[-1])
        if better:
            best, best_weights = now, _copy(weights)
    with torch.no_grad():
        for name, tensor in weights.items():
            tensor.copy_(best_weights[name])
    reasoner.eval().requires_grad_(False)
    if processes.main:
        write_json(recipe.out / "rounds.json", [asdict(r) for r in rounds])
    return replace(model, emotion_space=refresh_space(train, store, model.condition)), rounds


def set_trainable(reasoner: EmotionReasoner, scope: str, space: LabelSpace) -> None:
    """Train tokens and head (`head`), and the adapter too (`lora`); freeze everything else."""
    reasoner.eval().requires_grad_(False)
    if scope == "lora" and has_adapter(reasoner.backbone, ADAPTER):
        train_adapter(reasoner.backbone, ADAPTER, True)
    reasoner.latent_tokens.requires_grad_(True)
    reasoner.head(space).requires_grad_(True)


def train_round(
    model: EmoSymModel,
    train: Feed,
    store: PrefixStore | None,
    bank: Bank,
    recipe: FeedbackRecipe,
    number: int,
    progress: bool,
    deadline: float | None = None,
) -> dict[str, float]:
    """Train on all real pictures and, by ratio, on remembered paintings with their intent."""
    reader, reasoner = model.reader, model.reader.reasoner
    optim = recipe.optim
    entries, processes = bank.read(), Processes()
    memory = bank_feed(model, entries) if entries else None
    memory_store = store_prefixes(memory) if memory is not None and store is not None else None
    seed = stream_seed(recipe.seed, "feedback-mixing", number) % 2**31
    plan: list[tuple[str, int]] = []
    while len(plan) < optim.steps * optim.batch_size:
        plan += mixing_plan(
            len(train), len(entries), recipe.ratio, optim.batch_size, seed, len(plan)
        )

    sources = (("real", train, store), ("bank", memory, memory_store))

    def own_rows(indices: np.ndarray, kind: str) -> np.ndarray:
        chosen = [plan[i] for i in processes.own(indices)]
        return np.array([i for source, i in chosen if source == kind], dtype=np.int64)

    def ahead(_: int, indices: np.ndarray) -> None:
        for kind, feed, prefixes in sources:
            if feed is not None and prefixes is None:
                feed.want(own_rows(indices, kind))

    def loss_fn(step: int, indices: np.ndarray) -> dict[str, torch.Tensor]:
        parts: list[tuple[torch.Tensor, torch.Tensor]] = []
        for kind, feed, prefixes in sources:
            rows = own_rows(indices, kind)
            if len(rows) and feed is not None:
                thought = think(reasoner, (prefixes or feed).prefix(rows))
                logits = reasoner.logits(thought.emotion_latent, reader.space)
                parts.append((logits, feed.targets[torch.from_numpy(rows)].to(logits.device)))
        own = (torch.cat(column) for column in zip(*parts, strict=True))
        logits, targets = (processes.whole(column, len(indices)) for column in own)
        loss = label_loss(logits, targets)
        accuracy = (logits.argmax(-1) == targets.argmax(-1)).float().mean()
        return {"loss": loss, "accuracy": accuracy}

    modules = {"reasoner": reasoner}
    settings = loop_settings(f"feedback-{number}", recipe, deadline)
    return run_loop(
        replace(settings, out=recipe.out / f"round-{number}", shuffle=False),
        modules,
        build_optimizers(modules, optim.lr, optim.weight_decay, optim.muon_lr),
        cosine(optim.warmup),
        len(plan),
        loss_fn,
        processes=processes,
        progress=progress,
        ahead=ahead,
    )


def bank_feed(model: EmoSymModel, entries: Sequence[BankEntry]) -> Feed:
    """Turn remembered paintings into a feed; their targets are what was asked for."""
    samples = [picture_sample(e.id, e.image, e.intent) for e in entries]
    targets = torch.tensor(np.stack([e.intent_weights for e in entries]), dtype=torch.float32)
    if model.reader.image_size is None:
        return loose_feed(model.reader, samples, targets)
    return picture_feed(model.reader, samples, targets, np.stack([e.pixels() for e in entries]))


def _copy(weights: Weights) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in weights.items()}
