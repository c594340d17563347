"""Stage 2, `rl`: verifiable rewards against the frozen stage-1 policy.

Every objective reads a batch in the same way; what it makes of it is in `objectives`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch

from emosym.config.load import dump_recipe
from emosym.config.recipes import RlRecipe
from emosym.errors import UsageError
from emosym.models.adapters import has_adapter, train_adapter
from emosym.models.emosym_model import EmoSymModel
from emosym.models.reader.reader import ADAPTER, Reader
from emosym.models.reader.reasoner import think
from emosym.models.reader.recompute import checkpoint_layers
from emosym.processes import Processes
from emosym.rewards.labels import LABEL_REWARDS, check_weights, combined_reward
from emosym.seeds import numpy_rng
from emosym.training.loop.loop import run_loop
from emosym.training.loop.optim import build_optimizers, cosine
from emosym.training.stages.bandit import GROUPED, Bandit, Desk, bandit_loss
from emosym.training.stages.feed import Feed, cache_folder, open_feeds
from emosym.training.stages.finish import (
    StageResult,
    finish_stage,
    loop_settings,
    use_bf16,
)
from emosym.training.stages.latent_policy import group_scorer
from emosym.training.stages.objectives import (
    LabelBatch,
    Losses,
    expected,
    grpo,
    parity,
    supervised,
)
from emosym.training.stages.prefix_store import PrefixStore, shared_prefixes
from emosym.training.stages.read_all import read_all
from emosym.training.stages.start import open_checkpoint

LossFn = Callable[[int, np.ndarray], Losses]
TAKES_NO_REWARD = {
    "supervised": "it learns from the labels themselves",
    "parity": "its reward is fixed, the published blend",
    "bandit": "its reward is fixed, F1 of the words and the confidence's Brier score",
}


def run_rl(recipe: RlRecipe, progress: bool = True, deadline: float | None = None) -> StageResult:
    """Train stage 2 from the checkpoint recipe.init, and write recipe.out/checkpoint."""
    check_rewards(recipe.objective, recipe.rewards)  # before anything is opened
    model = open_checkpoint(recipe)
    if recipe.optim.gradient_checkpointing:
        checkpoint_layers(model.reader.reasoner.backbone)
    train, val = open_feeds(model.reader, recipe)
    train_rl(model, train, recipe, progress, deadline)
    return finish_stage(model, recipe, dump_recipe(recipe), train, val)


def train_rl(
    model: EmoSymModel,
    train: Feed,
    recipe: RlRecipe,
    progress: bool = True,
    deadline: float | None = None,
) -> dict[str, float]:
    """Train adapter, tokens and head by reward; returns the last losses.

    The reference policy is the model as it comes in: its logits over the fixed training set are C
    numbers per sample, computed once. Dropout is off, so that the first KL is 0.

    Raises:
        UsageError: for rewards that the objective does not take; see `check_rewards`.
    """
    check_rewards(recipe.objective, recipe.rewards)
    if recipe.shuffled_labels:
        train = with_shuffled_labels(train, recipe.seed)
    reasoner = model.reader.reasoner
    reasoner.eval().requires_grad_(False)
    kept = shared_prefixes(train, cache_folder(recipe.data.root, recipe.out))
    reference = read_all(train, recipe.optim.batch_size, kept, use_bf16(recipe.optim)).logits
    if has_adapter(reasoner.backbone, ADAPTER):
        train_adapter(reasoner.backbone, ADAPTER, True)
    reasoner.latent_tokens.requires_grad_(True)
    reasoner.head(model.space).requires_grad_(True)
    processes = Processes()
    loss_fn = loss_of_recipe(recipe, model.reader, train, reference, processes, kept)
    optim = recipe.optim
    grouped = recipe.objective == "grpo" or (
        recipe.objective == "bandit" and recipe.bandit.learner in GROUPED
    )
    repeat = recipe.inner_steps if grouped else 1
    last = run_loop(
        replace(loop_settings(f"rl-{recipe.objective}", recipe, deadline), repeat=repeat),
        {"reasoner": reasoner},
        build_optimizers({"reasoner": reasoner}, optim.lr, optim.weight_decay, optim.muon_lr),
        cosine(optim.warmup),
        len(train),
        loss_fn,
        processes=processes,
        progress=progress,
        ahead=lambda _, rows: train.want(processes.own(rows)),
    )
    reasoner.requires_grad_(False)
    return last


def check_rewards(objective: str, rewards: Mapping[str, float]) -> None:
    """Check the rewards of an objective, names and weights.

    Raises:
        UsageError: for rewards that the objective would ignore; and see `check_weights`.
    """
    if objective not in TAKES_NO_REWARD:
        check_weights(rewards, LABEL_REWARDS)
    elif rewards:
        raise UsageError(
            f"objective={objective} takes no rewards ({TAKES_NO_REWARD[objective]}), got "
            f"{', '.join(rewards)}. Remove `rewards`, or choose the objective expected or grpo."
        )


def with_shuffled_labels(train: Feed, seed: int) -> Feed:
    """Give every picture the label and votes of another one: a control that must not help."""
    order = numpy_rng(seed, "shuffled-labels").permutation(len(train))
    return replace(train, truth=train.truth[order], targets=train.targets[torch.from_numpy(order)])


def loss_of_recipe(
    recipe: RlRecipe,
    reader: Reader,
    train: Feed,
    reference: torch.Tensor,
    processes: Processes,
    kept: PrefixStore | None = None,
) -> LossFn:
    """Return the losses of a step: a batch is read once, and the recipe's objective scores it.

    `reference` (N, C) are the frozen policy's logits of the training set; `kept` are its prefixes,
    where they do not change.
    """
    reasoner, space = reader.reasoner, reader.space

    def score(probabilities: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return combined_reward(recipe.rewards, probabilities, truth, space)

    def on_expected(batch: LabelBatch) -> Losses:
        rewards = score(batch.logits.detach().softmax(-1), batch.truth)  # (B, C)
        return expected(batch, rewards, recipe.proper_weight, recipe.beta)

    of_batch = {"expected": on_expected, "parity": parity, "supervised": supervised}
    groups_of = None
    if recipe.objective == "grpo":
        groups_of = group_scorer(
            reasoner,
            space.name,
            score,
            recipe.sigma,
            recipe.num_generations,
            recipe.inner_steps,
            processes,
        )

    on_bandit = None
    if recipe.objective == "bandit":
        asked = recipe.bandit
        bandit = Bandit(
            reasoner,
            space.name,
            Desk(train.truth, len(space), asked.noise, asked.w_confidence, recipe.seed),
            asked,
            sigma=recipe.sigma,
            queries=recipe.num_generations,
            inner_steps=recipe.inner_steps,
            clip=recipe.clip,
            beta=recipe.beta,
        )
        on_bandit = bandit_loss(bandit, processes)

    def loss_fn(step: int, indices: np.ndarray) -> Losses:
        rows, own = torch.from_numpy(indices), processes.own(indices)
        truth = torch.from_numpy(train.truth)
        prefix = (kept or train).prefix(own)
        groups = groups_of and groups_of(step, indices, prefix, truth[torch.from_numpy(own)])
        own_logits = reasoner.logits(think(reasoner, prefix).emotion_latent, space.name)
        logits = processes.whole(own_logits, len(indices))  # (B, C)
        batch = LabelBatch(
            logits,
            targets=train.targets[rows].to(logits.device),
            truth=truth[rows].to(logits.device),
            reference=reference[rows].to(logits.device),
        )
        if on_bandit is not None:
            return on_bandit(step, indices, prefix, batch)
        if groups is not None:
            return grpo(batch, groups, recipe.clip, recipe.proper_weight, recipe.beta)
        return of_batch[recipe.objective](batch)

    return loss_fn
