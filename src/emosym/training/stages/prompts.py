"""Prompts to train stage 3 with: words of a picture, and the emotion somewhere among them.

A picture's own latents tell all that is in it, so beside them no word would ever be needed, and the
painter would learn to overlook words. Hence the pairing: the words of the picture that is to be
painted, with the latents of *another* picture of the same emotion.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emosym.annotate.attributes import describe_attributes
from emosym.models.painter.prompt import PLACE
from emosym.types import Sample

SETTING_FIRST = 0.7  # of prompts that name the first thing a caption names, most often the place
WORD_KEPT = 0.85
MOST_WORDS = 20  # leaves room for the latents in every text encoder


def words_of(sample: Sample, rng: np.random.Generator) -> str:
    """Return some words on a picture: one or two parts of its caption, now and then a word short.

    Captions are cut at commas; a picture without one is described by its attributes.
    """
    text = sample.caption or describe_attributes(sample.attributes).rstrip(".")
    parts = [part.strip() for part in text.split(",") if part.strip()]
    first = [0] if rng.random() < SETTING_FIRST else []
    others = rng.permutation(np.arange(1, len(parts)))[: int(rng.integers(0, 2)) + 1 - len(first)]
    chosen = sorted([*first, *others.tolist()]) or [0]
    words = ", ".join(parts[i] for i in chosen).split()[:MOST_WORDS]
    kept = [word for word in words if rng.random() < WORD_KEPT]
    return " ".join(kept or words)


def with_emotion(words: str, rng: np.random.Generator) -> str:
    """Return the words with {} before them, after them, or between two of them, equally often."""
    split = words.split()
    kind = int(rng.integers(3))
    place = (0, len(split), int(rng.integers(0, len(split) + 1)))[kind]
    return " ".join([*split[:place], PLACE, *split[place:]])


def others_of_same_label(
    truth: np.ndarray, indices: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return for each of `indices` (B,) a random sample of the same class; `truth` is (N,).

    A class's only sample is its own partner.
    """
    partners = np.empty_like(indices)
    for row, index in enumerate(indices):
        same = np.flatnonzero(truth == truth[index])
        others = same[same != index]
        partners[row] = rng.choice(others) if len(others) else index
    return partners


def draw_prompts(
    samples: Sequence[Sample],
    truth: np.ndarray,
    indices: np.ndarray,
    plain: str,
    share: float,
    rng: np.random.Generator,
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return prompts (B), whose latents to use (B,), and which rows got words (B,) bool.

    `share` of the rows get words of their picture and another picture's latents; the others get
    the `plain` prompt and their own.
    """
    worded = rng.random(len(indices)) < share
    sources = np.where(worded, others_of_same_label(truth, indices, rng), indices)
    prompts = [
        with_emotion(words_of(samples[index], rng), rng) if told else plain
        for index, told in zip(indices, worded, strict=True)
    ]
    return prompts, sources, worded
