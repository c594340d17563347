"""Tasks whose answers are learned in words: which samples a step takes, and what they cost."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from emosym.config.recipes import M2seRecipe
from emosym.emotions import LabelSpace
from emosym.errors import UsageError
from emosym.memory.dialogues import dialogue_bank, with_examples
from emosym.models.chat import ChatModel
from emosym.models.reader.answering import answer_losses
from emosym.pipelines.likely_options import label_shares
from emosym.processes import Processes
from emosym.seeds import numpy_rng
from emosym.tasks.names import open_task
from emosym.tasks.reasoned import PLAIN, in_form
from emosym.tasks.task import Task, label_said, task_labels
from emosym.types import Conversation, Sample

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What is learned in words: of each task its conversations with answers, and its share.

    The shares sum to 1.
    """

    samples: Mapping[str, tuple[Conversation, ...]]
    shares: Mapping[str, float]


def shares_of(
    sizes: Mapping[str, int], weights: Mapping[str, float], temperature: float
) -> dict[str, float]:
    """Return how often each task is drawn: weight times size ** (1 / temperature), summing to 1.

    At temperature 1 every sample is drawn as often as any other, apart from the weights; the higher
    it is, the more alike the tasks.
    """
    raw = {name: weights[name] * size ** (1 / temperature) for name, size in sizes.items()}
    total = sum(raw.values())
    return {name: value / total for name, value in raw.items()}


def spoken_of(
    chat: ChatModel,
    samples: Sequence[Sample],
    weights: Mapping[str, float],
    space: LabelSpace,
    temperature: float,
    longest: int,
    form: str = PLAIN,
    examples: int = 0,
    confidence: str = "drawn",
) -> Spoken:
    """Return the conversations of every task that has a truth among the samples.

    Those of more than `longest` tokens, pictures not counted, are left out and counted. `form` says
    how answers are given (`tasks.reasoned`); a taught confidence is `drawn`, or the model's `own`
    (`own_sureness`). Before each question stand so many alike dialogues as `examples` says.

    Raises:
        UsageError: when a task has no sample left, or is one for which no examples are shown.
    """
    found: dict[str, tuple[Conversation, ...]] = {}
    for name in weights:
        plain, taught, cut = open_task(name, space), [], 0
        sureness = own_sureness(chat, plain, samples) if confidence == "own" else None
        task = in_form(plain, form, sureness)
        if examples:
            task = with_examples(task, dialogue_bank(samples, task), examples)
        for sample in samples:
            if task.name not in sample.targets:
                continue
            said = task.teach(sample)
            if words_of(chat, said) > longest:
                cut += 1
                continue
            taught.append(said)
        if not taught:
            raise UsageError(
                f"The task {name!r} has nothing to learn: no sample of the training split has its "
                f"truth{f', or all {cut} are too long' if cut else ''}."
            )
        if cut:
            log.warning(
                "%s: %d of %d are longer than %d tokens and are left out.",
                name,
                cut,
                cut + len(taught),
                longest,
            )
        found[name] = tuple(taught)
    sizes = {name: len(taught) for name, taught in found.items()}
    return Spoken(found, shares_of(sizes, weights, temperature))


def own_sureness(chat: ChatModel, task: Task, samples: Sequence[Sample]) -> dict[str, float]:
    """Return the share that a model itself gives each sample's true label, by id, of all labels.

    The model is the one that training starts from, asked for the bare answer.

    Raises:
        UsageError: for a task whose answers are no labels, or a sample that has several.
    """
    labels, known = task_labels(task), [one for one in samples if task.name in one.targets]
    truths = [label_said(sample.targets[task.name]) for sample in known]
    several = next((s.id for s, truth in zip(known, truths, strict=True) if truth is None), None)
    if several is not None:
        raise UsageError(
            f"spoken_confidence=own needs one label a sample, and {several!r} has several: set it "
            "to drawn."
        )
    log.info("%s: asking the model itself how sure it is of %d samples.", task.name, len(known))
    shares = label_shares(chat, task, known, batch_size=64)
    return {
        sample.id: float(row[labels.index(str(truth))])
        for sample, truth, row in zip(known, truths, shares, strict=True)
    }


def words_of(chat: ChatModel, conversation: Conversation) -> int:
    """Return how many tokens the words of a conversation have."""
    texts = [part for message in conversation for part in message.parts if isinstance(part, str)]
    return sum(len(chat.tokenizer.encode(text, add_special_tokens=False)) for text in texts)


def drawn(spoken: Spoken, seed: int, step: int, count: int) -> list[tuple[str, Conversation]]:
    """Return the samples of a step with their tasks: the stream (seed, "m2se-spoken", step)."""
    rng = numpy_rng(seed, "m2se-spoken", step)
    names = list(spoken.shares)
    chosen = rng.choice(len(names), size=count, p=[spoken.shares[name] for name in names])
    picked = []
    for index in chosen.tolist():
        name = names[index]
        own = spoken.samples[name]
        picked.append((name, own[int(rng.integers(len(own)))]))
    return picked


def words_loss(
    chat: ChatModel, spoken: Spoken, recipe: M2seRecipe, step: int, processes: Processes
) -> torch.Tensor:
    """Return the mean loss over the tokens of a step's answers, shared between processes."""
    said = drawn(spoken, recipe.seed, step, recipe.spoken_batch)
    start, stop = processes.span(len(said))
    own = [conversation for _, conversation in said[start:stop]]
    mean = processes.mean_of(spoken_losses(chat, own, recipe.rows_at_once))
    assert mean is not None  # every answer has words
    return mean


def spoken_losses(chat: ChatModel, said: Sequence[Conversation], at_once: int) -> torch.Tensor:
    """Return the loss of each token of all answers (M,); `at_once` rows are computed together."""
    ordered = sorted(said, key=lambda conversation: words_of(chat, conversation))
    parts = [
        answer_losses(chat, ordered[start : start + at_once])
        for start in range(0, len(ordered), at_once)
    ]
    return torch.cat(parts) if parts else torch.zeros(0, device=chat.device)
