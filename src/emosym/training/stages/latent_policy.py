"""The policy that `grpo` trains: over the recurrent context latents, and the label after them.

An action is (z_1..z_K, y): z_k ~ N(h_k, sigma^2 I), y ~ softmax(logits(z)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from emosym.errors import UsageError
from emosym.models.reader.prefix import Prefix
from emosym.models.reader.reasoner import EmotionReasoner, Thought, think
from emosym.processes import Processes
from emosym.training.stages.objectives import GroupScores, group_advantages

Score = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Actions:
    """B groups of G actions, flat (B G, ...): latents, answers, their log probability, rewards."""

    latents: torch.Tensor
    answers: torch.Tensor
    log_probability: torch.Tensor
    rewards: torch.Tensor
    advantages: torch.Tensor


def group_scorer(
    reasoner: EmotionReasoner,
    space: str,
    score: Score,
    sigma: float,
    group_size: int,
    inner_steps: int,
    processes: Processes,
) -> Callable[[int, np.ndarray, Prefix, torch.Tensor], GroupScores]:
    """Return what draws G actions for each sample of a batch, and weighs them by the policy now.

    The returned function takes a step, the batch's indices (B,), and the prefixes and true labels
    of this process's rows. The actions of a batch serve `inner_steps` steps in a row;
    `score(probabilities, truth)` gives the reward of each label, (B G, C).

    Raises:
        UsageError: when the tokens are not recurrent: their latents would not reach the answer.
    """
    if not reasoner.latent_tokens.recurrent:
        raise UsageError("grpo needs recurrent context tokens: train align with recurrent: true.")
    held: dict[tuple[int, bytes], Actions] = {}

    def scores(step: int, indices: np.ndarray, prefix: Prefix, truth: torch.Tensor) -> GroupScores:
        total = len(indices)
        repeat = torch.arange(len(truth), device=prefix.mask.device).repeat_interleave(group_size)
        shared = prefix.select(repeat)
        key = (step // inner_steps, indices.tobytes())  # parts of a batch draw their own
        if key not in held:
            if key[0] != next(iter(held), key)[0]:
                held.clear()
            held[key] = draw_actions(
                reasoner,
                shared,
                truth.to(repeat.device)[repeat],
                space,
                score,
                sigma,
                group_size,
                processes,
                total,
            )
        actions = held[key]
        thought = think(reasoner, shared, given=actions.latents)
        logits = reasoner.logits(thought.emotion_latent, space)
        now = log_probability(thought, logits, actions.answers, sigma)
        ratio = (now - actions.log_probability).exp()
        return GroupScores(
            processes.whole(ratio, total, group_size),
            processes.whole(actions.advantages, total, group_size),
            processes.whole(actions.rewards, total, group_size),
        )

    return scores


@torch.no_grad()
def draw_actions(
    reasoner: EmotionReasoner,
    prefix: Prefix,
    truth: torch.Tensor,
    space: str,
    score: Score,
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
    logits = reasoner.logits(thought.emotion_latent, space)  # (B G, C)
    probabilities = logits.softmax(-1)
    shares = processes.whole(probabilities, total, group_size)
    every = processes.draw(lambda: torch.multinomial(shares, 1)[:, 0])
    answers = processes.own(every, group_size)
    rewards = score(probabilities, truth).gather(1, answers[:, None])[:, 0]
    return Actions(
        thought.context_latents,
        answers,
        log_probability(thought, logits, answers, sigma),
        rewards,
        group_advantages(rewards, group_size),
    )


def log_probability(
    thought: Thought, logits: torch.Tensor, answers: torch.Tensor, sigma: float
) -> torch.Tensor:
    """Return log N(z; h, sigma^2 I) + log p(y | z) per row, up to a constant.

    The latents' part is a mean over K and H, so that its size does not grow with the width.
    """
    away = (thought.context_latents - thought.context_means).float() / sigma  # (B, K, H)
    latents = -0.5 * away.square().mean(dim=(1, 2))
    return latents + logits.log_softmax(-1).gather(1, answers[:, None])[:, 0]
