"""Bandit feedback: the model names one word or two and says how sure it is, and hears one number.

An answer is drawn as two words from the model's probabilities p, named once where they are the
same: P({a}) = p_a^2, P({a, b}) = 2 p_a p_b. How sure it is: the sum of p over what is named. The
desk that answers is the only one that knows the labels. It says

    F1 of the named words against the true one + w (1 - (confidence - whether it is among them)^2)

and at some queries, which nobody can tell from the others, it says that of a wrong label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch

from emosym.config.recipes import BanditSection
from emosym.errors import UsageError
from emosym.models.reader.prefix import Prefix
from emosym.models.reader.reasoner import EmotionReasoner, Thought, think
from emosym.processes import Processes
from emosym.seeds import numpy_rng, stream_seed
from emosym.training.stages.losses import kl_to_reference, label_loss
from emosym.training.stages.objectives import LabelBatch, Losses, group_advantages

BanditLoss = Callable[[int, np.ndarray, Prefix, LabelBatch], Losses]


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


def bandit_loss(
    reasoner: EmotionReasoner,
    space: str,
    desk: Desk,
    section: BanditSection,
    sigma: float,
    queries: int,
    inner_steps: int,
    clip: float,
    beta: float,
    processes: Processes,
) -> BanditLoss:
    """Return the losses of a step of the learner that `section` names; all ask `queries` times.

    Raises:
        UsageError: for several processes, or latents that do not reach the answer.
    """
    if processes.world > 1:
        raise UsageError("Bandit feedback is learned from by one process: run without a launcher.")
    if section.learner in ("grpo", "random") and not reasoner.latent_tokens.recurrent:
        raise UsageError(
            "The learner grpo needs recurrent context tokens: train align with recurrent: true."
        )
    held: dict[tuple[int, bytes], Queries] = {}

    def by_group(step: int, indices: np.ndarray, prefix: Prefix, batch: LabelBatch) -> Losses:
        repeat = torch.arange(len(indices), device=prefix.mask.device)
        shared = prefix.select(repeat.repeat_interleave(queries))
        key = (step // inner_steps, indices.tobytes())  # parts of a batch ask their own
        if key not in held:
            if key[0] != next(iter(held), key)[0]:
                held.clear()
            held[key] = ask(key[0], indices, shared)
        asked = held[key]
        thought = think(reasoner, shared, given=asked.latents)
        logits = reasoner.logits(thought.emotion_latent, space)  # (B G, C)
        sets = set_log_probabilities(logits)  # (B G, M)
        moved = (latents_log_probability(thought, sigma) - asked.of_latents).exp()
        gain = clipped_gain(moved, asked.advantages, section.clip_latents)
        if section.exact:
            expected = asked.believed @ f1_of_sets(desk.classes).to(sets.device).T  # (B G, M)
            answer_gain = (sets.exp() * expected).sum(dim=-1).mean()
        else:
            now = sets.gather(1, asked.answers[:, None])[:, 0]
            answer_gain = clipped_gain((now - asked.of_answers).exp(), asked.advantages, clip)
        sure = confidence_of(logits, asked.answers)
        brier = ((sure - asked.hits) ** 2).mean()
        kl = kl_to_reference(batch.logits, batch.reference)
        weight = 0.0 if section.learner == "random" else desk.w_confidence
        loss = -gain - answer_gain + weight * brier + beta * kl
        told = {"heard": asked.numbers.mean(), "ratio": moved.mean(), "brier": brier, "kl": kl}
        return {"loss": loss, **told}

    @torch.no_grad()
    def ask(turn: int, indices: np.ndarray, shared: Prefix) -> Queries:
        tokens, rows = reasoner.latent_tokens, np.repeat(indices, queries)
        device = shared.mask.device
        size = (len(rows), tokens.num_context_tokens, tokens.emotion_embed.shape[1])
        thought = think(reasoner, shared, noise=sigma * torch.randn(size).to(device))
        logits = reasoner.logits(thought.emotion_latent, space)
        sets = set_log_probabilities(logits)
        answers = torch.multinomial(sets.exp(), 1)[:, 0]
        sure = confidence_of(logits, answers)
        numbers = desk.answer(turn, rows, answers, sure)
        hits = hits_in(numbers, answers, sure, desk.classes, desk.w_confidence)
        if section.learner == "random":
            rng = numpy_rng(desk.seed, "bandit-random", turn)
            numbers = torch.from_numpy(rng.random(len(rows))).float().to(device)
        grouped = (len(indices), queries)
        prior = logits.softmax(-1).view(*grouped, -1).mean(dim=1)
        belief = believed(prior, answers.view(grouped), hits.view(grouped), desk.noise)
        return Queries(
            thought.context_latents,
            answers,
            latents_log_probability(thought, sigma),
            sets.gather(1, answers[:, None])[:, 0],
            numbers,
            hits,
            group_advantages(numbers, queries),
            belief.repeat_interleave(queries, dim=0),
        )

    def by_words(step: int, indices: np.ndarray, prefix: Prefix, batch: LabelBatch) -> Losses:
        rows, device = np.repeat(indices, queries), batch.logits.device
        wide = batch.logits.repeat_interleave(queries, dim=0)  # (B G, C)
        kl = kl_to_reference(batch.logits, batch.reference)
        if section.learner in ("revealed", "labels"):
            heard = desk.heard(step, rows) if section.learner == "revealed" else desk.truth[rows]
            eye = torch.eye(desk.classes, device=device)
            fit = label_loss(wide, eye[torch.from_numpy(heard).to(device)])
            return {"loss": fit + beta * kl, "fit": fit, "kl": kl}
        sets = set_log_probabilities(wide)
        with torch.no_grad():
            drawn = torch.Generator().manual_seed(stream_seed(desk.seed, "bandit-star", step))
            answers = torch.multinomial(sets.exp().cpu(), 1, generator=drawn)[:, 0].to(device)
            sure = confidence_of(wide, answers)
            numbers = desk.answer(step, rows, answers, sure)
            hits = hits_in(numbers, answers, sure, desk.classes, desk.w_confidence)
            kept = hits * (answers < desk.classes)  # one word, and taken for right
        fit = -(kept * sets.gather(1, answers[:, None])[:, 0]).sum() / kept.sum().clamp(min=1)
        told = {"heard": numbers.mean(), "kept": kept.mean(), "kl": kl}
        return {"loss": fit + beta * kl, "fit": fit, **told}

    return by_group if section.learner in ("grpo", "random") else by_words
