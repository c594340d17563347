"""What a model's latents know of the emotion at every depth, and what pushing them does to it.

Half of the pictures teach the probes and give the directions; on the other half everything is
measured, save the depth at which they are pushed, which the first half chooses too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from emosym.data.dataset import NO_LABEL, Dataset
from emosym.errors import UsageError
from emosym.evaluation.inside.effects import Effects, belonging, judged
from emosym.evaluation.inside.linear import probe_table
from emosym.evaluation.inside.states import depth_of, last_states, think_with_states
from emosym.evaluation.inside.steering import (
    DOSES,
    OWN,
    RANDOM,
    Directions,
    directions,
    draw_targets,
    push_each,
)
from emosym.evaluation.results.result import make_result
from emosym.evaluation.results.value_intervals import add_difference, add_mean
from emosym.metrics.intervals import bootstrap_mean
from emosym.models.calibration import calibrated
from emosym.models.emosym_model import EmoSymModel, of_pictures
from emosym.models.reader.prefix import Prefix
from emosym.models.reader.reasoner import Thought, think
from emosym.pipelines.trained_reading import open_conversations, open_pictures, opened_sample
from emosym.seeds import numpy_rng
from emosym.types import Sample, only_picture

if TYPE_CHECKING:
    from emosym.pipelines.trained import EmoSymPipeline

BATCH = 25
FEWEST = 4  # pictures of each emotion: two to teach, two to ask


@dataclass(frozen=True, slots=True)
class Seen:
    """Samples that were read: prefixes by batch, states (N, P, D + 1, H), and answers (N, C).

    The places P are the end of the prompt, [CTX] x K and [EMO]; the prompt's last depth is NaN,
    since a prefill ends within the last layer.
    """

    prefixes: list[Prefix]
    states: np.ndarray
    shares: np.ndarray


def evaluate_inside(
    pipeline: EmoSymPipeline,
    dataset: Dataset,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    subject: Mapping[str, Any] | None = None,
    shown: int = 48,
) -> dict[str, Any]:
    """Return a result named `inside`; under pushes the first `shown` samples also speak and paint.

    `progress` is called with the number of samples just read, pushed or painted.

    Raises:
        UsageError: for a label space whose labels do not exclude each other, a sample without a
            label, or fewer than FEWEST of an emotion.
    """
    advance = progress or (lambda count: None)
    model = of_pictures(pipeline.model) if dataset[0].is_picture else pipeline.model
    labels, classes = dataset.labels(), len(model.space)
    taught, asked = halves(labels, model.space.labels, model.space.several, seed)
    samples = list(dataset)
    first, second = (_look(model, [samples[i] for i in rows], advance) for rows in (taught, asked))
    values: dict[str, Any] = {"taught": len(taught), "asked": len(asked)}
    _probe(values, first, second, labels[taught], labels[asked], seed)
    if model.reader.tokens.num_context_tokens:
        found = directions(_context(first.states), labels[taught], classes, seed)
        _by_depth(values, model, first, found, labels[taught], seed, advance)
        at = Pushed(model, found, int(values["pushed_depth"]), labels[asked], seed)
        effects = Effects(pipeline, min(shown, len(asked)), seed, advance)
        _by_dose(values, at, second, effects, belonging(dataset), advance)
    extractors = values.pop("extractors", {})
    return make_result(
        "inside",
        values,
        len(samples),
        seed,
        extractors=extractors,
        subject=subject,
        labels=model.space.labels,
    )


def halves(
    labels: np.ndarray, names: Sequence[str], several: bool, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of two halves with as many of each class (N,): the stream (seed, "halves").

    Raises:
        UsageError: as `evaluate_inside`.
    """
    if several:
        raise UsageError("Several labels of this space can be true at once: no probe tells one.")
    counts = np.bincount(labels[labels != NO_LABEL], minlength=len(names))
    few = [name for name, count in zip(names, counts, strict=True) if count < FEWEST]
    if few or (labels == NO_LABEL).any():
        told = f"too few of {', '.join(few)}" if few else "some that have no label"
        raise UsageError(
            f"Looking inside takes {FEWEST} labelled samples of each emotion or more: there are "
            f"{told}. Give more data, or a larger --limit."
        )
    rng = numpy_rng(seed, "halves")
    mixed = [rng.permutation(np.flatnonzero(labels == c)) for c in range(len(names))]
    first = np.sort(np.concatenate([rows[: len(rows) // 2] for rows in mixed]))
    return first, np.setdiff1d(np.arange(len(labels)), first)


@torch.no_grad()
def _look(model: EmoSymModel, samples: Sequence[Sample], advance: Callable[[int], None]) -> Seen:
    reader = model.reader
    prefixes: list[Prefix] = []
    states, shares = [], []
    for start in range(0, len(samples), BATCH):
        some = [opened_sample(reader.chat, s) for s in samples[start : start + BATCH]]
        with last_states(reader.reasoner.language_model) as before:
            if some[0].is_picture:
                prefix = open_pictures(reader, [only_picture(s) for s in some])[0]  # type: ignore[misc]
            else:
                prefix = open_conversations(reader, some)[0]
        thought, latent = think_with_states(reader.reasoner, prefix)
        prompt = torch.full_like(latent[:, :1], float("nan"))  # (B, 1, D + 1, H)
        for depth, hidden in before.items():
            prompt[:, 0, depth] = hidden.float()
        states.append(torch.cat([prompt, latent], dim=1).cpu().numpy())
        shares.append(_answer(model, thought))
        prefixes.append(prefix)
        advance(len(some))
    return Seen(prefixes, np.concatenate(states), np.concatenate(shares))


def _answer(model: EmoSymModel, thought: Thought) -> np.ndarray:
    """Return the calibrated probabilities (B, C) of a thought."""
    logits = model.reader.reasoner.logits(thought.emotion_latent, model.reader.space)
    return calibrated(logits.double().cpu().numpy(), model.calibration)


def _context(states: np.ndarray) -> np.ndarray:
    """Return the states (N, K, D, H) of [CTX] that can be pushed: all depths but the last."""
    return states[:, 1:-1, :-1]


def _probe(
    values: dict[str, Any],
    first: Seen,
    second: Seen,
    taught: np.ndarray,
    asked: np.ndarray,
    seed: int,
) -> None:
    """Store the accuracy of linear probes by place and depth, and with shuffled labels."""
    both = np.concatenate([first.states, second.states])
    rows = np.arange(len(both))
    split = (rows[: len(taught)], rows[len(taught) :])
    shuffled = numpy_rng(seed, "shuffled").permutation(taught)
    for name, told in (("probe_accuracy", taught), ("probe_shuffled", shuffled)):
        values[name] = probe_table(both, np.concatenate([told, asked]), *split)
    add_mean(values, "own_accuracy", (second.shares.argmax(1) == asked).astype(float), seed)
    values["majority_accuracy"] = float(np.bincount(asked).max() / len(asked))


def _by_depth(
    values: dict[str, Any],
    model: EmoSymModel,
    first: Seen,
    found: Directions,
    labels: np.ndarray,
    seed: int,
    advance: Callable[[int], None],
) -> None:
    """Store what a push of dose 1 does at each depth, on the half that gave the directions."""
    targets = draw_targets(labels, len(model.space), seed)
    rows = np.arange(len(targets))
    values["depth_own"], values["depth_random"] = [], []
    for depth in range(depth_of(model.reader.reasoner)):
        for kind in (OWN, RANDOM):
            shares = push_each(
                model.reader.reasoner,
                first.prefixes,
                found.of(kind, targets, depth),
                depth,
                lambda thought: _answer(model, thought),
            )
            values[f"depth_{kind}"].append(float(shares[rows, targets].mean()))
            advance(len(rows))
    values["depth_unpushed"] = float(first.shares[rows, targets].mean())
    gain = np.subtract(values["depth_own"], values["depth_random"])
    values["pushed_depth"] = int(gain.argmax())


@dataclass(frozen=True, slots=True)
class Pushed:
    """What is pushed, where: `labels` (M,) are those of the samples that are asked."""

    model: EmoSymModel
    found: Directions
    depth: int
    labels: np.ndarray
    seed: int

    def thoughts(self, seen: Seen, kind: str, dose: float, targets: np.ndarray) -> list[Thought]:
        """Return the thoughts of every batch under its pushes; of dose 0 as they are."""
        reasoner = self.model.reader.reasoner
        if dose == 0:
            with torch.no_grad():
                return [think(reasoner, prefix) for prefix in seen.prefixes]
        kept: list[Thought] = []

        def keep(thought: Thought) -> np.ndarray:
            kept.append(thought)
            return np.zeros(len(thought.next_position))

        pushes = dose * self.found.of(kind, targets, self.depth)
        push_each(reasoner, seen.prefixes, pushes, self.depth, keep)
        return kept


def _by_dose(
    values: dict[str, Any],
    at: Pushed,
    second: Seen,
    effects: Effects,
    belongs: Mapping[str, Mapping[str, np.ndarray]] | None,
    advance: Callable[[int], None],
) -> None:
    """Store the answer, words and paintings by dose, each with its 95 % interval."""
    targets = draw_targets(at.labels, len(at.model.space), at.seed)
    rows, doses = np.arange(len(targets)), sorted((0.0, *DOSES))
    values["doses"] = doses
    each: dict[str, list[np.ndarray]] = {}
    for kind in (OWN, RANDOM):
        for place, dose in enumerate(doses):
            if kind == RANDOM and dose == 0:  # there is one way not to push
                for name in [name for name in each if name.endswith(f"_{OWN}")]:
                    same = f"{name.removesuffix(OWN)}{RANDOM}"
                    each.setdefault(same, []).append(each[name][place])
                continue
            thoughts = at.thoughts(second, kind, dose, targets)
            shares = np.concatenate([_answer(at.model, thought) for thought in thoughts])
            each.setdefault(f"answer_{kind}", []).append(shares[rows, targets])
            each.setdefault(f"named_{kind}", []).append((shares.argmax(1) == targets).astype(float))
            for name, told in effects.of(thoughts, targets, belongs).items():
                each.setdefault(f"{name}_{kind}", []).append(told)
            advance(len(rows))
    for name, columns in each.items():
        found = [bootstrap_mean(column, at.seed) if len(column) else None for column in columns]
        values[name] = [None if one is None else one.value for one in found]
        values[f"{name}_low"] = [None if one is None else one.low for one in found]
        values[f"{name}_high"] = [None if one is None else one.high for one in found]
    one = doses.index(1.0)
    pair = (each[f"answer_{OWN}"][one], each[f"answer_{RANDOM}"][one])
    add_difference(values, "answer_own_minus_random", *pair, at.seed)
    values["shown"] = effects.shown
    values["extractors"] = judged(effects)
