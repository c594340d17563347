"""What every stage does at its start and end: settings, calibration, domain, checkpoint, result."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from emosym.config.recipes import DialogueBaseRecipe
from emosym.config.schema import OptimSection, Recipe
from emosym.device import has_bf16
from emosym.emotions import LabelSpace
from emosym.files import write_text
from emosym.models.calibration import enough_to_calibrate, fit_calibration, fit_several
from emosym.models.card import model_card
from emosym.models.checkpoint import description_of, save_checkpoint
from emosym.models.emosym_model import EmoSymModel, answering_in, unknowns
from emosym.models.gaussians import Domain, fit_domain
from emosym.models.reader.prefix import features_of_pictures, see
from emosym.models.reader.reader import domain_features
from emosym.processes import Processes
from emosym.training.loop.loop import LoopSettings
from emosym.training.stages.feed import Feed, cache_folder
from emosym.training.stages.prefix_store import PrefixStore, shared_prefixes
from emosym.training.stages.read_all import Readings, read_all

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StageResult:
    """The model after a stage, where its checkpoint is, and its held-out numbers."""

    model: EmoSymModel
    checkpoint: Path
    values: dict[str, float]


def loop_settings(
    name: str, recipe: Recipe | DialogueBaseRecipe, deadline: float | None = None
) -> LoopSettings:
    """Return the loop settings of a stage's recipe."""
    optim = recipe.optim
    return LoopSettings(
        name=name,
        out=recipe.out,
        steps=optim.steps,
        batch_size=optim.batch_size,
        seed=recipe.seed if optim.order is None else optim.order,
        checkpoint_every=optim.checkpoint_every,
        log_every=optim.log_every,
        max_grad_norm=optim.max_grad_norm,
        accumulate=optim.accumulate,
        bf16=use_bf16(optim),
        deadline=deadline,
    )


def training_device() -> str:
    """Return the device that accelerate gives this process."""
    return str(Processes().device)


def use_bf16(optim: OptimSection) -> bool:
    """Return whether to compute in bf16: as the recipe says, else as the hardware says.

    Of several processes, that of the first.
    """
    if optim.bf16 is not None:
        return optim.bf16
    return Processes().agree(has_bf16())


def finish_stage(
    model: EmoSymModel,
    recipe: Recipe,
    resolved: str,
    train: Feed,
    val: Feed,
    fit_domain_too: bool = False,
    val_store: PrefixStore | None = None,
    others: Sequence[Feed] = (),
) -> StageResult:
    """Calibrate on held-out pictures, write recipe.yaml and the checkpoint; returns both.

    `others` are held-out pictures of other label spaces, each of which is calibrated too. Of
    several processes the first writes; the others wait for it.
    """
    domain = model.domain
    if fit_domain_too:
        domain = picture_domain(train, val, *others)
    if val_store is None:
        val_store = shared_prefixes(val, cache_folder(recipe.data.root, recipe.out))
    readings = read_all(val, store=val_store)
    held = {val.reader.space: (readings.logits.numpy(), val.truth)}
    values = held_out_values(readings, val)
    for other in others:
        name, found = other.reader.space.name, read_all(other)
        held[other.reader.space] = found.logits.numpy(), other.truth
        more = held_out_values(found, other)
        values |= {f"{key} in {name}": value for key, value in more.items()}
    return write_stage(replace(model, domain=domain), recipe, resolved, held, values)


def write_stage(
    model: EmoSymModel,
    recipe: Recipe,
    resolved: str,
    held: Mapping[LabelSpace, tuple[np.ndarray, np.ndarray]],
    values: dict[str, float],
) -> StageResult:
    """Calibrate on held-out readings, write recipe.yaml and the checkpoint; returns both.

    `held` are logits (N, C) and class indices (N,), of several labels truths (N, C), by label
    space, the one that the model answers in first. Of several processes the first writes; the
    others wait for it.
    """
    finished = replace(
        model,
        # what was fitted to another head holds no longer: all heads share what has trained
        calibrations={
            space.name: (fit_several if space.several else fit_calibration)(logits, truth)
            for space, (logits, truth) in held.items()
            if enough_to_calibrate(len(truth), len(space))
        },
        validation={space.name: len(truth) for space, (_, truth) in held.items()},
        stages=(*model.stages, recipe.stage),
        recipes=(*model.recipes, resolved),
    )
    checkpoint = recipe.out / "checkpoint"
    processes = Processes()
    if processes.main:
        measured = [answering_in(finished, space) for space in held]
        for sentence in dict.fromkeys(told for one in measured for told in unknowns(one)):
            log.warning(sentence)
        write_text(recipe.out / "recipe.yaml", resolved)
        card = model_card(description_of(finished), values, finished.recipes)
        save_checkpoint(finished, checkpoint, card)
    processes.wait()
    return StageResult(finished, checkpoint, values)


def held_out_values(readings: Readings, val: Feed) -> dict[str, float]:
    """Return accuracy, multi-class Brier score and negative log likelihood on a feed."""
    probabilities = readings.logits.softmax(-1)
    truth = torch.from_numpy(val.truth)
    right = probabilities.gather(1, truth[:, None])[:, 0]
    return {
        "accuracy": float((probabilities.argmax(1) == truth).float().mean()),
        "brier": float(((probabilities - val.targets) ** 2).sum(1).mean()),
        "nll": float(-right.clamp(min=1e-9).log().mean()),
    }


def picture_domain(train: Feed, *held_out: Feed) -> Domain | None:
    """Fit what the preset has seen; None where the vision tower's features cannot be split."""
    known = seen_features(train, 8000)
    found = [seen_features(feed, 8000) for feed in held_out]
    some = [features for features in found if features is not None]
    return None if known is None or not some else fit_domain(known, torch.cat(some))


@torch.no_grad()
def seen_features(feed: Feed, limit: int, batch_size: int = 16) -> torch.Tensor | None:
    """Return the domain features (n, 2 H) of a feed's first `limit` pictures."""
    count = min(len(feed), limit)
    if feed.features is not None:
        return domain_features(feed.features[:count])
    rows = []
    for start in range(0, count, batch_size):
        inputs = feed.inputs(np.arange(start, min(start + batch_size, count)))
        found = features_of_pictures(see(feed.reader.reasoner.backbone, inputs), inputs)
        if found is None:
            return None
        if found:
            rows.append(domain_features(found).cpu())
    return torch.cat(rows) if rows else None
