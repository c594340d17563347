"""Bandit feedback: the model names one word or two and says how sure it is, and hears one number.

An answer is drawn as two words from the model's probabilities p, named once where they are the
same: P({a}) = p_a^2, P({a, b}) = 2 p_a p_b. How sure it is: the sum of p over what is named. The
desk that answers is the only one that knows the labels. It says

    F1 of the named words against the true one + w (1 - (confidence - whether it is among them)^2)

and at some queries, which nobody can tell from the others, it says that of a wrong label.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
import torch

from emosym.config.recipes import BanditSection, RlRecipe
from emosym.errors import UsageError
from emosym.models.reader.prefix import Prefix
from emosym.models.reader.reasoner import EmotionReasoner, Thought, think
from emosym.processes import Processes
from emosym.seeds import numpy_rng, stream_seed
from emosym.training.stages.losses import kl_to_reference, label_loss
from emosym.training.stages.objectives import LabelBatch, Losses, group_advantages

BanditLoss = Callable[[int, np.ndarray, Prefix, LabelBatch], Losses]
GROUPED = ("grpo", "random")  # learners whose queries serve `inner_steps` steps in a row


def queries_of(recipe: RlRecipe) -> int:
    """Return how many numbers a run of bandit feedback hears, or noisy labels; of true labels 0."""
    learner, optim = recipe.bandit.learner, recipe.optim
    if learner == "labels":
        return 0
    turns = math.ceil(optim.steps / (recipe.inner_steps if learner in GROUPED else 1))
    return turns * optim.batch_size * recipe.num_generations


def word_sets(classes: int) -> torch.Tensor:
    """Return every answer as bool (M, C): first each word alone, then each pair."""
    pairs = list(combinations(range(classes), 2))
    marks = torch.zeros(classes + len(pairs), classes, dtype=torch.bool)
    marks[:classes] = torch.eye(classes, dtype=torch.bool)
    for row, pair in enumerate(pairs, start=classes):
        marks[row, list(pair)] = True
    return marks


def f1_of_sets(classes: int) -> torch.Tensor:
    """Return the F1 of every answer against each true word, (M, C)."""
    marks = word_sets(classes).float()
    return 2 * marks / (marks.sum(dim=1, keepdim=True) + 1)


def set_log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Return the log-probability of every answer, (B, M), of logits (B, C); they sum to 1."""
    log_p = logits.float().log_softmax(dim=-1)
    pairs = list(combinations(range(logits.shape[1]), 2))
    first, second = ([pair[i] for pair in pairs] for i in (0, 1))
    both = np.log(2.0) + log_p[:, first] + log_p[:, second]
    return torch.cat([2 * log_p, both], dim=1)


def confidence_of(logits: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """Return how sure the model is that the true word is among those of its answers (B,)."""
    marks = word_sets(logits.shape[1]).to(logits.device)[answers]  # (B, C)
    return (logits.float().softmax(dim=-1) * marks).sum(dim=-1)


@dataclass(frozen=True, slots=True)
class Desk:
    """Who knows the labels `truth` (N,) and answers queries; see above for what it says."""

    truth: np.ndarray
    classes: int
    noise: float
    w_confidence: float
    seed: int

    def heard(self, turn: int, rows: np.ndarray) -> np.ndarray:
        """Return the labels by which queries about samples `rows` (Q,) are answered at a turn."""
        rng = numpy_rng(self.seed, "bandit-noise", turn)
        wrong = rng.random(len(rows)) < self.noise
        others = (self.truth[rows] + rng.integers(1, self.classes, len(rows))) % self.classes
        return np.asarray(np.where(wrong, others, self.truth[rows]))

    def answer(
        self, turn: int, rows: np.ndarray, answers: torch.Tensor, confidence: torch.Tensor
    ) -> torch.Tensor:
        """Return one number for each query, (Q,)."""
        heard = torch.from_numpy(self.heard(turn, rows)).to(answers.device)
        score = f1_of_sets(self.classes).to(answers.device)[answers, heard]
        hit = word_sets(self.classes).to(answers.device)[answers, heard].float()
        return score + self.w_confidence * (1 - (confidence - hit) ** 2)


def hits_in(
    numbers: torch.Tensor,
    answers: torch.Tensor,
    confidence: torch.Tensor,
    classes: int,
    w_confidence: float,
) -> torch.Tensor:
    """Return what a number says of an answer (Q,): 1 where the desk took it for right, else 0.

    Whoever named the words knows both numbers that there could be, and takes the nearer one.
    """
    sizes = word_sets(classes).to(answers.device)[answers].sum(dim=1)
    if_hit = 2 / (sizes + 1) + w_confidence * (1 - (confidence - 1) ** 2)
    if_missed = w_confidence * (1 - confidence**2)
    return ((numbers - if_hit).abs() < (numbers - if_missed).abs()).float()


def believed(
    prior: torch.Tensor, answers: torch.Tensor, hits: torch.Tensor, noise: float
) -> torch.Tensor:
    """Return what a model may believe of the label after what it heard, (B, C).

    `prior` (B, C) are its probabilities, `answers` and `hits` (B, G). A label is as likely as its
    prior times, for each answer, the chance to hear that hit or miss were it the true one.
    """
    classes = prior.shape[1]
    marks = word_sets(classes).to(prior.device)[answers].float()  # (B, G, C)
    sizes = marks.sum(dim=2, keepdim=True)
    # of C - 1 wrong labels that noise may put in place, how many are among the words
    by_noise = (sizes - marks) / (classes - 1)
    hit = (1 - noise) * marks + noise * by_noise
    likelihood = torch.where(hits[..., None] > 0.5, hit, 1 - hit).clamp(min=1e-6)
    scores = prior.clamp(min=1e-9).log() + likelihood.log().sum(dim=1)
    return scores.softmax(dim=-1)


def latents_log_probability(thought: Thought, sigma: float) -> torch.Tensor:
    """Return log N(z; h, sigma^2 I) per row up to a constant: a sum over K and H, not a mean."""
    away = (thought.context_latents - thought.context_means).float() / sigma  # (B, K, H)
    return -0.5 * away.square().sum(dim=(1, 2))


def clipped_gain(ratio: torch.Tensor, advantages: torch.Tensor, clip: float) -> torch.Tensor:
    """Return mean(min(ratio A, clipped ratio A)); ratio and advantages (Q,)."""
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return torch.minimum(ratio * advantages, clipped * advantages).mean()


@dataclass(frozen=True, slots=True)
class Queries:
    """What was asked of B samples, G times each, flat (B G, ...), and what was heard."""

    latents: torch.Tensor
    answers: torch.Tensor
    of_latents: torch.Tensor
    of_answers: torch.Tensor
    numbers: torch.Tensor
    hits: torch.Tensor
    advantages: torch.Tensor
    believed: torch.Tensor


@dataclass(frozen=True, slots=True)
class Bandit:
    """What a learner works with: its model, the desk it asks, and how much and how far it goes."""

    reasoner: EmotionReasoner
    space: str
    desk: Desk
    section: BanditSection
    sigma: float
    queries: int
    inner_steps: int
    clip: float
    beta: float


def bandit_loss(bandit: Bandit, processes: Processes) -> BanditLoss:
    """Return the losses of a step of the learner that is named; all ask `queries` times.

    Raises:
        UsageError: for several processes, or latents that do not reach the answer.
    """
    if processes.world > 1:
        raise UsageError("Bandit feedback is learned from by one process: run without a launcher.")
    if bandit.section.learner not in GROUPED:
        return partial(_by_words, bandit)
    if not bandit.reasoner.latent_tokens.recurrent:
        raise UsageError(
            "The learner grpo needs recurrent context tokens: train align with recurrent: true."
        )
    return partial(_by_group, bandit, {})


def _by_group(
    bandit: Bandit,
    held: dict[tuple[int, bytes], Queries],
    step: int,
    indices: np.ndarray,
    prefix: Prefix,
    batch: LabelBatch,
) -> Losses:
    """Return the losses of GRPO; what was asked in a turn is `held` for its inner steps."""
    repeat = torch.arange(len(indices), device=prefix.mask.device)
    shared = prefix.select(repeat.repeat_interleave(bandit.queries))
    key = (step // bandit.inner_steps, indices.tobytes())  # parts of a batch ask their own
    if key not in held:
        if key[0] != next(iter(held), key)[0]:
            held.clear()
        held[key] = _ask(bandit, key[0], indices, shared)
    asked = held[key]
    thought = think(bandit.reasoner, shared, given=asked.latents)
    logits = bandit.reasoner.logits(thought.emotion_latent, bandit.space)  # (B G, C)
    sets = set_log_probabilities(logits)  # (B G, M)
    moved = (latents_log_probability(thought, bandit.sigma) - asked.of_latents).exp()
    gain = clipped_gain(moved, asked.advantages, bandit.section.clip_latents)
    if bandit.section.exact:
        expected = asked.believed @ f1_of_sets(bandit.desk.classes).to(sets.device).T  # (B G, M)
        answer_gain = (sets.exp() * expected).sum(dim=-1).mean()
    else:
        now = sets.gather(1, asked.answers[:, None])[:, 0]
        answer_gain = clipped_gain((now - asked.of_answers).exp(), asked.advantages, bandit.clip)
    sure = confidence_of(logits, asked.answers)
    brier = ((sure - asked.hits) ** 2).mean()
    kl = kl_to_reference(batch.logits, batch.reference)
    weight = 0.0 if bandit.section.learner == "random" else bandit.desk.w_confidence
    loss = -bandit.section.w_latents * gain - answer_gain + weight * brier + bandit.beta * kl
    told = {"heard": asked.numbers.mean(), "ratio": moved.mean(), "brier": brier, "kl": kl}
    return {"loss": loss, **told}


@torch.no_grad()
def _ask(bandit: Bandit, turn: int, indices: np.ndarray, shared: Prefix) -> Queries:
    """Draw answers for pictures and hear the desk's numbers, with what is believed from then on."""
    tokens, rows = bandit.reasoner.latent_tokens, np.repeat(indices, bandit.queries)
    device = shared.mask.device
    size = (len(rows), tokens.num_context_tokens, tokens.emotion_embed.shape[1])
    thought = think(bandit.reasoner, shared, noise=bandit.sigma * torch.randn(size).to(device))
    logits = bandit.reasoner.logits(thought.emotion_latent, bandit.space)
    sets = set_log_probabilities(logits)
    answers = torch.multinomial(sets.exp(), 1)[:, 0]
    sure = confidence_of(logits, answers)
    numbers = bandit.desk.answer(turn, rows, answers, sure)
    hits = hits_in(numbers, answers, sure, bandit.desk.classes, bandit.desk.w_confidence)
    if bandit.section.learner == "random":
        rng = numpy_rng(bandit.desk.seed, "bandit-random", turn)
        numbers = torch.from_numpy(rng.random(len(rows))).float().to(device)
    grouped = (len(indices), bandit.queries)
    prior = logits.softmax(-1).view(*grouped, -1).mean(dim=1)
    belief = believed(prior, answers.view(grouped), hits.view(grouped), bandit.desk.noise)
    return Queries(
        thought.context_latents,
        answers,
        latents_log_probability(thought, bandit.sigma),
        sets.gather(1, answers[:, None])[:, 0],
        numbers,
        hits,
        group_advantages(numbers, bandit.queries),
        belief.repeat_interleave(bandit.queries, dim=0),
    )


def _by_words(
    bandit: Bandit, step: int, indices: np.ndarray, prefix: Prefix, batch: LabelBatch
) -> Losses:
    """Return the losses of those that learn words: kept answers of their own, or what is told."""
    rows, device = np.repeat(indices, bandit.queries), batch.logits.device
    wide = batch.logits.repeat_interleave(bandit.queries, dim=0)  # (B G, C)
    kl = kl_to_reference(batch.logits, batch.reference)
    if bandit.section.learner in ("revealed", "labels"):
        heard = (
            bandit.desk.heard(step, rows)
            if bandit.section.learner == "revealed"
            else bandit.desk.truth[rows]
        )
        eye = torch.eye(bandit.desk.classes, device=device)
        fit = label_loss(wide, eye[torch.from_numpy(heard).to(device)])
        return {"loss": fit + bandit.beta * kl, "fit": fit, "kl": kl}
    sets = set_log_probabilities(wide)
    with torch.no_grad():
        drawn = torch.Generator().manual_seed(stream_seed(bandit.desk.seed, "bandit-star", step))
        answers = torch.multinomial(sets.exp().cpu(), 1, generator=drawn)[:, 0].to(device)
        sure = confidence_of(wide, answers)
        numbers = bandit.desk.answer(step, rows, answers, sure)
        hits = hits_in(numbers, answers, sure, bandit.desk.classes, bandit.desk.w_confidence)
        kept = hits * (answers < bandit.desk.classes)  # one word, and taken for right
    fit = -(kept * sets.gather(1, answers[:, None])[:, 0]).sum() / kept.sum().clamp(min=1)
    told = {"heard": numbers.mean(), "kept": kept.mean(), "kl": kl}
    return {"loss": fit + bandit.beta * kl, "fit": fit, **told}
