"""Stage 4, `feedback`: the Online Emotional Memory Bank (DESIGN section 1).

A round refreshes the emotion space, paints every emotion, reads the paintings with the current
model, lets the bank's policies choose, trains on real and remembered pictures together, and is
kept only if held-out real pictures are read better.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from emosym.config import FeedbackRecipe, dump_recipe
from emosym.emotions import LabelSpace, label_space
from emosym.files import read_json, sha256_of, write_json
from emosym.memory.admission import BankRules
from emosym.memory.bank import Bank
from emosym.memory.policies import mixing_plan
from emosym.memory.schema import BankEntry, Provenance, make_entry
from emosym.models.adapters import has_adapter, train_adapter
from emosym.models.checkpoint import DESCRIPTION, load_checkpoint
from emosym.models.checkpointing import checkpoint_layers
from emosym.models.emosym_model import EmoSymModel
from emosym.models.gaussians import require_two_of_each
from emosym.models.reading import ADAPTER
from emosym.models.reasoner import EmotionReasoner, think
from emosym.pipelines.painting import paint_stream, reading_of
from emosym.pipelines.requests import paint_request
from emosym.seeds import stream_seed
from emosym.training.feed import Feed, loose_feed, open_feeds, picture_feed, read_all
from emosym.training.finish import (
    StageResult,
    finish_stage,
    held_out_values,
    loop_settings,
    training_device,
)
from emosym.training.joint import refresh_space
from emosym.training.loop import run_loop
from emosym.training.losses import label_loss
from emosym.training.optim import build_optimizers, cosine
from emosym.training.prefix_store import PrefixStore, store_prefixes
from emosym.training.state import Weights, trainable_tensors
from emosym.types import Sample

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did: paintings made, admitted and refused, and held-out numbers after it."""

    number: int
    painted: int
    admitted: int
    refused: dict[str, int]
    bank: int = 0
    held_out: dict[str, float] = field(default_factory=dict)
    kept: bool = False


def run_feedback(
    recipe: FeedbackRecipe, progress: bool = True, deadline: float | None = None
) -> StageResult:
    """Run stage 4 from the checkpoint recipe.init, and write recipe.out/checkpoint."""
    model = load_checkpoint(Path(recipe.init), training_device())
    if recipe.scope == "lora" and recipe.optim.gradient_checkpointing:
        checkpoint_layers(model.reader.reasoner.backbone)
    train, val = open_feeds(model.reader, recipe)
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
    comes in: it is kept when no round reads held-out pictures better.
    """
    require_two_of_each(label_space(model.reader.space).labels, train.truth)
    reasoner = model.reader.reasoner
    bank = Bank.open(recipe.out / "bank", create=True, space=label_space(model.reader.space))
    store = val_store = None
    if recipe.scope == "head" and recipe.cache_prefixes:
        store, val_store = (
            store_prefixes(feed, spill=recipe.out / "prefixes" / name)
            for name, feed in (("train", train), ("val", val))
        )
    set_trainable(reasoner, recipe.scope)
    weights = trainable_tensors({"reasoner": reasoner})
    start = held_out_values(read_all(val, store=val_store), val)
    rounds = [Round(0, 0, 0, {}, 0, start, True)]
    best, best_weights = start, _copy(weights)
    for number in range(1, recipe.rounds + 1):
        out = recipe.out / f"round-{number}"
        model = replace(model, emotion_space=refresh_space(train, store))
        done = fill_bank(model, bank, recipe, number, out)
        train_round(model, train, store, bank, recipe, number, progress, deadline)
        now = held_out_values(read_all(val, store=val_store), val)
        better = (now["accuracy"], -now["nll"]) > (best["accuracy"], -best["nll"])
        rounds.append(replace(done, held_out=now, kept=better))
        log.info("feedback round %d: %s", number, rounds[-1])
        if better:
            best, best_weights = now, _copy(weights)
    with torch.no_grad():
        for name, tensor in weights.items():
            tensor.copy_(best_weights[name])
    reasoner.eval().requires_grad_(False)
    write_json(recipe.out / "rounds.json", [asdict(r) for r in rounds])
    return replace(model, emotion_space=refresh_space(train, store)), rounds


def set_trainable(reasoner: EmotionReasoner, scope: str) -> None:
    """Train tokens and head (`head`), and the adapter too (`lora`); freeze everything else."""
    reasoner.eval().requires_grad_(False)
    if scope == "lora" and has_adapter(reasoner.backbone, ADAPTER):
        train_adapter(reasoner.backbone, ADAPTER, True)
    reasoner.latent_tokens.requires_grad_(True)
    reasoner.heads.requires_grad_(True)


def fill_bank(
    model: EmoSymModel, bank: Bank, recipe: FeedbackRecipe, number: int, out: Path
) -> Round:
    """Paint every emotion, and offer the paintings to the bank; a finished round is not repainted.

    Returns the counts of paintings made, admitted and refused (by reason).
    """
    marker = out / "painted.json"
    if marker.is_file():
        found = read_json(marker, "round")
        return Round(number, *(found[k] for k in ("painted", "admitted", "refused", "bank")))
    rules = BankRules(
        admission=recipe.admission,
        quota="per_bank",
        quota_size=recipe.quota,
        near_duplicate=recipe.duplicate_similarity,
        eviction=recipe.eviction,
        capacity=recipe.capacity,
    )
    entries: list[BankEntry] = []
    space = label_space(model.reader.space)
    for emotion in space.labels:
        entries += paint_entries(model, recipe, number, emotion, space)
    report = bank.add(entries, rules)
    reasons: dict[str, int] = {}
    for reason in report.refused.values():
        kind = reason.partition(" of ")[0]  # not which picture it is a near-duplicate of
        reasons[kind] = reasons.get(kind, 0) + 1
    done = Round(number, len(entries), len(report.admitted), reasons, len(bank))
    write_json(marker, asdict(done))
    return done


def paint_entries(
    model: EmoSymModel, recipe: FeedbackRecipe, number: int, emotion: str, space: LabelSpace
) -> list[BankEntry]:
    """Paint one emotion's share of a round, with its readings and provenance."""
    seed = stream_seed(recipe.seed, f"feedback-paint-{emotion}", number) % 2**31
    request = paint_request(
        space,
        emotion,
        num_images=recipe.paint_per_emotion,
        guidance_scale=recipe.guidance_scale,
        num_inference_steps=recipe.num_inference_steps,
        seed=seed,
    )
    created = datetime.datetime.now(datetime.timezone.utc).isoformat()
    provenance = Provenance(
        run=recipe.out.name,
        round=number,
        checkpoint=sha256_of(Path(recipe.init) / DESCRIPTION),
        seed=seed,
        guidance_scale=recipe.guidance_scale,
        prompt=request.prompt,
        steps=recipe.num_inference_steps,
        created=created,
        version=_version(),
    )
    return [
        make_entry(
            painting.image,
            emotion,
            np.array(list(reading.probabilities.values())),
            reading.emotion_latent,
            reading.context_latents,
            reading.emotion_latent,
            provenance,
            space,
            confidence=reading.confidence,
        )
        for painting in paint_stream(model, request)
        for reading in (reading_of(painting),)
        if not painting.withheld
    ]


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
    entries = bank.read()
    memory = bank_feed(model, entries) if entries else None
    memory_store = store_prefixes(memory) if memory is not None and store is not None else None
    seed = stream_seed(recipe.seed, "feedback-mixing", number) % 2**31
    plan: list[tuple[str, int]] = []
    while len(plan) < optim.steps * optim.batch_size:
        plan += mixing_plan(
            len(train), len(entries), recipe.ratio, optim.batch_size, seed, len(plan)
        )

    def loss_fn(step: int, indices: np.ndarray) -> dict[str, torch.Tensor]:
        chosen = [plan[i] for i in indices]
        parts: list[tuple[torch.Tensor, torch.Tensor]] = []
        for kind, feed, prefixes in (("real", train, store), ("bank", memory, memory_store)):
            rows = np.array([i for source, i in chosen if source == kind], dtype=np.int64)
            if len(rows) and feed is not None:
                thought = think(reasoner, (prefixes or feed).prefix(rows))
                logits = reasoner.logits(thought.emotion_latent, reader.space)
                parts.append((logits, feed.targets[torch.from_numpy(rows)].to(logits.device)))
        logits, targets = (torch.cat(column) for column in zip(*parts, strict=True))
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
        progress=progress,
    )


def bank_feed(model: EmoSymModel, entries: Sequence[BankEntry]) -> Feed:
    """Turn remembered paintings into a feed; their targets are what was asked for."""
    samples = [Sample(id=e.id, images=(e.image,), label=e.intent) for e in entries]
    targets = torch.tensor(np.stack([e.intent_weights for e in entries]), dtype=torch.float32)
    if model.reader.image_size is None:
        return loose_feed(model.reader, samples, targets)
    return picture_feed(model.reader, samples, targets, np.stack([e.pixels() for e in entries]))


def _copy(weights: Weights) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in weights.items()}


def _version() -> str:
    from emosym import __version__

    return __version__
