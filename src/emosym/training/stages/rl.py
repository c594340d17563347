"""Stage 2, `rl`: verifiable rewards against the frozen stage-1 policy (DESIGN section 1).

`expected` is the exact policy gradient over the few labels. Over a fixed label set it equals a
supervised surrogate, and the expected reward alone only sharpens; hence the proper score.
`grpo` treats the recurrent context latents as actions. `parity` is the published blend.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from emosym.config.load import dump_recipe
from emosym.config.recipes import RlRecipe
from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError, unknown_name
from emosym.models.adapters import has_adapter, train_adapter
from emosym.models.checkpoint import load_checkpoint
from emosym.models.emosym_model import EmoSymModel
from emosym.models.reader.prefix import Prefix
from emosym.models.reader.reader import ADAPTER
from emosym.models.reader.reasoner import EmotionReasoner, Thought, think
from emosym.models.reader.recompute import checkpoint_layers
from emosym.processes import Processes
from emosym.rewards.labels import LABEL_REWARDS, LabelReward, parity_beta
from emosym.seeds import numpy_rng
from emosym.training.loop.loop import run_loop
from emosym.training.loop.optim import build_optimizers, cosine
from emosym.training.stages.feed import Feed, open_feeds, read_all
from emosym.training.stages.finish import (
    StageResult,
    finish_stage,
    loop_settings,
    training_device,
    use_bf16,
)
from emosym.training.stages.losses import brier_loss, kl_to_reference, label_loss

Losses = dict[str, torch.Tensor]
Objective = Callable[
    [RlRecipe, EmoSymModel, Feed, torch.Tensor, LabelReward, Processes],
    Callable[[int, np.ndarray], Losses],
]


def run_rl(recipe: RlRecipe, progress: bool = True, deadline: float | None = None) -> StageResult:
    """Train stage 2 from the checkpoint recipe.init, and write recipe.out/checkpoint."""
    model = load_checkpoint(Path(recipe.init), training_device())
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
    """
    if recipe.reward not in LABEL_REWARDS:
        raise unknown_name("reward", recipe.reward, LABEL_REWARDS)
    if recipe.shuffled_labels:
        train = with_shuffled_labels(train, recipe.seed)
    reasoner = model.reader.reasoner
    reasoner.eval().requires_grad_(False)
    reference = read_all(train, recipe.optim.batch_size, bf16=use_bf16(recipe.optim)).logits
    if has_adapter(reasoner.backbone, ADAPTER):
        train_adapter(reasoner.backbone, ADAPTER, True)
    reasoner.latent_tokens.requires_grad_(True)
    reasoner.heads.requires_grad_(True)
    objective = OBJECTIVES[recipe.objective]
    processes = Processes()
    loss_fn = objective(recipe, model, train, reference, LABEL_REWARDS[recipe.reward], processes)
    optim = recipe.optim
    repeat = recipe.inner_steps if recipe.objective == "grpo" else 1
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


def with_shuffled_labels(train: Feed, seed: int) -> Feed:
    """Give every picture the label and votes of another one: a control that must not help."""
    order = numpy_rng(seed, "shuffled-labels").permutation(len(train))
    return replace(train, truth=train.truth[order], targets=train.targets[torch.from_numpy(order)])


def supervised_objective(
    recipe: RlRecipe,
    model: EmoSymModel,
    train: Feed,
    reference: torch.Tensor,
    reward: LabelReward,
    processes: Processes | None = None,
) -> Callable[[int, np.ndarray], Losses]:
    """Minimise the labels' cross-entropy: as many supervised steps, the control of every reward."""
    reasoner, space = model.reader.reasoner, label_space(model.reader.space)
    together = processes or Processes()

    def loss_fn(step: int, indices: np.ndarray) -> Losses:
        thought = think(reasoner, train.prefix(together.own(indices)))
        own_logits = reasoner.logits(thought.emotion_latent, space.name)
        logits = together.whole(own_logits, len(indices))  # (B, C)
        rows = torch.from_numpy(indices)
        loss = label_loss(logits, train.targets[rows].to(logits.device))
        return {"loss": loss, "kl": kl_to_reference(logits, reference[rows].to(logits.device))}

    return loss_fn


def expected_objective(
    recipe: RlRecipe,
    model: EmoSymModel,
    train: Feed,
    reference: torch.Tensor,
    reward: LabelReward,
    processes: Processes | None = None,
) -> Callable[[int, np.ndarray], Losses]:
    """Maximise E_p[r] - proper_weight * Brier - beta * KL(p || reference)."""
    reasoner, space = model.reader.reasoner, label_space(model.reader.space)
    together = processes or Processes()

    def loss_fn(step: int, indices: np.ndarray) -> Losses:
        rows = torch.from_numpy(indices)
        thought = think(reasoner, train.prefix(together.own(indices)))
        own_logits = reasoner.logits(thought.emotion_latent, space.name)
        logits = together.whole(own_logits, len(indices))  # (B, C)
        probabilities = logits.softmax(-1)
        truth = torch.from_numpy(train.truth[indices]).to(logits.device)
        rewards = reward(probabilities.detach(), truth, space)  # (B, C)
        gain = (probabilities * rewards).sum(-1).mean()
        brier = brier_loss(logits, train.targets[rows].to(logits.device))
        kl = kl_to_reference(logits, reference[rows].to(logits.device))
        loss = -gain + recipe.proper_weight * brier + recipe.beta * kl
        return {"loss": loss, "reward": gain, "brier": brier, "kl": kl}

    return loss_fn


def parity_objective(
    recipe: RlRecipe,
    model: EmoSymModel,
    train: Feed,
    reference: torch.Tensor,
    reward: LabelReward,
    processes: Processes | None = None,
) -> Callable[[int, np.ndarray], Losses]:
    """Return the published loss: CE - mean(r p_y) + beta KL, with the blend reward and its beta.

    The blend is .3 * correct + .7 * p_y; beta is .1, .05 where KL > .5, .2 where KL < .1
    (METRICS section 6): it falls as KL rises, as published.
    """
    reasoner, space = model.reader.reasoner, label_space(model.reader.space)
    together = processes or Processes()

    def loss_fn(step: int, indices: np.ndarray) -> Losses:
        rows = torch.from_numpy(indices)
        thought = think(reasoner, train.prefix(together.own(indices)))
        own_logits = reasoner.logits(thought.emotion_latent, space.name)
        logits = together.whole(own_logits, len(indices))
        truth = torch.from_numpy(train.truth[indices]).to(logits.device)
        one_hot = torch.nn.functional.one_hot(truth, len(space)).float()
        chosen = logits.softmax(-1).gather(1, truth[:, None])[:, 0]  # p_y (B,)
        correct = (logits.argmax(-1) == truth).float()
        blend = 0.3 * correct + 0.7 * chosen
        kl = kl_to_reference(logits, reference[rows].to(logits.device))
        gain = (blend.detach() * chosen).mean()
        loss = label_loss(logits, one_hot) - gain + parity_beta(float(kl.detach())) * kl
        return {"loss": loss, "reward": gain, "kl": kl}

    return loss_fn


def grpo_objective(
    recipe: RlRecipe,
    model: EmoSymModel,
    train: Feed,
    reference: torch.Tensor,
    reward: LabelReward,
    processes: Processes | None = None,
) -> Callable[[int, np.ndarray], Losses]:
    """Group-relative policy optimisation over recurrent latents and the label.

    An action is (z_1..z_K, y): z_k ~ N(h_k, sigma^2 I), y ~ softmax(logits(z)). G samples share
    one prefix; the advantage is the reward's deviation from its group, over the group's deviation.
    Each group is used for `inner_steps` updates with a clipped ratio against the policy it was
    drawn from, so the loop's steps are updates.

    Raises:
        UsageError: when the tokens are not recurrent: their latents would not reach the answer.
    """
    reasoner, space = model.reader.reasoner, label_space(model.reader.space)
    together = processes or Processes()
    if not reasoner.latent_tokens.recurrent:
        raise UsageError("grpo needs recurrent context tokens: train align with recurrent: true.")
    groups = recipe.num_generations
    held: dict[tuple[int, bytes], Actions] = {}

    def loss_fn(step: int, indices: np.ndarray) -> Losses:
        rows, own, total = torch.from_numpy(indices), together.own(indices), len(indices)
        prefix = train.prefix(own)
        repeat = torch.arange(len(own), device=prefix.mask.device).repeat_interleave(groups)
        truth = torch.from_numpy(train.truth[own]).to(repeat.device)
        shared = prefix.select(repeat)
        key = (step // recipe.inner_steps, indices.tobytes())  # parts of a batch draw their own
        if key not in held:
            if key[0] != next(iter(held), key)[0]:
                held.clear()
            held[key] = draw_actions(
                *(reasoner, shared, truth[repeat], space, reward, recipe.sigma, groups),
                *(together, total),
            )
        actions = held[key]
        thought = think(reasoner, shared, given=actions.latents)
        logits = reasoner.logits(thought.emotion_latent, space.name)
        now = log_probability(thought, logits, actions.answers, recipe.sigma)
        ratio = (now - actions.log_probability).exp()
        clipped = ratio.clamp(1 - recipe.clip, 1 + recipe.clip)
        gain = torch.minimum(ratio * actions.advantages, clipped * actions.advantages)  # (B G,)
        policy = -together.whole(gain, total, groups).mean()
        own_clean = reasoner.logits(think(reasoner, prefix).emotion_latent, space.name)
        clean = together.whole(own_clean, total)
        kl = kl_to_reference(clean, reference[rows].to(clean.device))
        brier = brier_loss(clean, train.targets[rows].to(clean.device))
        loss = policy + recipe.proper_weight * brier + recipe.beta * kl
        return {
            "loss": loss,
            "reward": together.whole(actions.rewards, total, groups).mean(),
            "ratio": together.whole(ratio, total, groups).mean(),
            "brier": brier,
            "kl": kl,
        }

    return loss_fn


@dataclass(frozen=True, slots=True)
class Actions:
    """B groups of G actions, flat (B G, ...): latents, answers, their log probability, rewards."""

    latents: torch.Tensor
    answers: torch.Tensor
    log_probability: torch.Tensor
    rewards: torch.Tensor
    advantages: torch.Tensor


@torch.no_grad()
def draw_actions(
    reasoner: EmotionReasoner,
    prefix: Prefix,
    truth: torch.Tensor,
    space: LabelSpace,
    reward: LabelReward,
    sigma: float,
    group_size: int,
    processes: Processes,
    total: int,
) -> Actions:
    """Draw (z, y) per row of a prefix (B G rows), and score each against its own group.

    The rows are this process's of `total` samples; noise and answers are drawn for all of them.
    """
    tokens = reasoner.latent_tokens
    size = (total * group_size, tokens.num_context_tokens, tokens.emotion_embed.shape[1])
    drawn = processes.own(processes.draw(lambda: torch.randn(size)), group_size)
    noise = sigma * drawn.to(truth.device)
    thought = think(reasoner, prefix, noise=noise)
    logits = reasoner.logits(thought.emotion_latent, space.name)  # (B G, C)
    probabilities = logits.softmax(-1)
    shares = processes.whole(probabilities, total, group_size)
    every = processes.draw(lambda: torch.multinomial(shares, 1)[:, 0])
    answers = processes.own(every, group_size)
    rewards = reward(probabilities, truth, space).gather(1, answers[:, None])[:, 0]
    return Actions(
        thought.context_latents,
        answers,
        log_probability(thought, logits, answers, sigma),
        rewards,
        group_advantages(rewards, group_size),
    )


def group_advantages(rewards: torch.Tensor, group_size: int) -> torch.Tensor:
    """Return (r - mean) / (std + 1e-4) within consecutive groups; rewards and result (B G,)."""
    grouped = rewards.view(-1, group_size)
    centred = grouped - grouped.mean(dim=1, keepdim=True)
    return (centred / (grouped.std(dim=1, keepdim=True) + 1e-4)).flatten()


def log_probability(
    thought: Thought, logits: torch.Tensor, answers: torch.Tensor, sigma: float
) -> torch.Tensor:
    """Return log N(z; h, sigma^2 I) + log p(y | z) per row, up to a constant.

    The latents' part is a mean over K and H, so that its size does not grow with the width.
    """
    away = (thought.context_latents - thought.context_means).float() / sigma  # (B, K, H)
    latents = -0.5 * away.square().mean(dim=(1, 2))
    return latents + logits.log_softmax(-1).gather(1, answers[:, None])[:, 0]


OBJECTIVES: dict[str, Objective] = {
    "expected": expected_objective,
    "grpo": grpo_objective,
    "parity": parity_objective,
    "supervised": supervised_objective,
}
