"""Does `in_domain` tell the pictures a model was made for from others? ROC-AUC, kind by kind.

The others are drawn here: the storybook in its second style, noise, gradients and pages of text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from emosym.data.dataset import Dataset
from emosym.data.images import ImageSource
from emosym.errors import UsageError
from emosym.evaluation.measure import choose, outside_share
from emosym.evaluation.results.result import make_result, subject_of
from emosym.evaluation.storybook.oracle import oracle_of
from emosym.metrics.checks import as_unit
from emosym.metrics.intervals import bootstrap
from emosym.seeds import numpy_rng
from emosym.types import UnderstandingOutput

if TYPE_CHECKING:
    from emosym.data.storybook.world import Story
    from emosym.pipelines.protocol import EmotionPipeline

KINDS = ("line", "noise", "gradient", "text")
LETTERS = "etaoinshrdlucmfwypvbgkjqxz"
LARGEST = 448  # px: a model without a size of its own is shown pictures of this one

Advance = Callable[[int], None]


def evaluate_in_domain(
    pipeline: EmotionPipeline,
    dataset: Dataset,
    *,
    name: str = "in_domain",
    limit: int | None = 500,
    seed: int = 0,
    batch_size: int = 64,
    progress: Advance | None = None,
    model_sha256: str | None = None,
    zero_shot: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Score pictures of `dataset` (held out, of the kind the model knows) beside as many others.

    Returns a result of `evaluation.results`: for each of KINDS `in_domain_auc_<kind>`, the chance
    that a known picture has a higher in_domain score than one of that kind, ties half, with its
    bootstrap 95 % `_interval`; `in_domain_outside_<kind>`, the share marked `outside`, and
    `in_domain_outside_known`, the false alarms. Pictures are `dataset`'s first `limit` in a seeded
    draw. `line` shows the stories of a storybook's own pictures, else those of the test stream.

    Raises:
        UsageError: for a model that gives no in_domain score, or a picture that cannot be read.
    """
    size = _side(pipeline)
    chosen = choose(dataset, limit, seed)
    stories = _stories(chosen, seed)
    groups: dict[str, Sequence[ImageSource]] = {
        "known": [chosen.picture(index) for index in range(len(chosen))],
        **{kind: made_pictures(kind, len(chosen), size, seed, stories) for kind in KINDS},
    }
    scores: dict[str, np.ndarray] = {}
    outside: dict[str, float | None] = {}
    for kind, pictures in groups.items():
        readings: list[UnderstandingOutput] = []
        for start in range(0, len(pictures), batch_size):
            some = pictures[start : start + batch_size]
            readings += pipeline.understand(some, batch_size=batch_size)
            if progress is not None:
                progress(len(some))
        scores[kind] = np.array([reading.in_domain for reading in readings], np.float64)
        outside[kind] = outside_share(readings)
    values = in_domain_values(scores, seed)
    values |= {f"in_domain_outside_{kind}": share for kind, share in outside.items()}
    subject = subject_of(model_sha256, chosen.split, chosen.ids(), zero_shot)
    return make_result(name, values, len(chosen) * len(groups), seed, subject=subject)


def in_domain_values(scores: Mapping[str, np.ndarray], seed: int) -> dict[str, Any]:
    """Return AUC and interval of every kind of `scores` (n,) against as many of `known`.

    Known pictures and others are drawn anew together, so that no resample lacks either.

    Raises:
        UsageError: for scores outside 0..1 or NaN, or other lengths.
    """
    values: dict[str, Any] = {}
    for kind, found in scores.items():
        if kind == "known":
            continue
        known, others = as_unit("known", scores["known"]), as_unit(kind, found)
        interval = bootstrap([known, others], told_apart, seed)
        values[f"in_domain_auc_{kind}"] = interval.value
        values[f"in_domain_auc_{kind}_interval"] = [interval.low, interval.high]
    return values


def told_apart(known: np.ndarray, others: np.ndarray) -> float:
    """Return the ROC-AUC of scores (n,) against (m,): the share of pairs in order, ties half.

    The bootstrap asks for it thousands of times, and scikit-learn's takes a millisecond.
    """
    ordered = np.sort(others)
    below = np.searchsorted(ordered, known, "left") + np.searchsorted(ordered, known, "right")
    return float(below.mean() / (2 * len(others)))


def made_pictures(
    kind: str, count: int, size: int, seed: int, stories: Sequence[Story] = ()
) -> list[Image.Image]:
    """Draw `count` RGB pictures of `size` px of one of KINDS; picture i depends on (seed, i) alone.

    `line` draws the `stories`, which must be `count` of them.

    Raises:
        UsageError: for an unknown kind.
    """
    if kind == "line":
        from emosym.data.storybook.drawing.draw import paint_story

        return [paint_story(story, size, "line") for story in stories[:count]]
    if kind not in MAKERS:
        raise UsageError(f"The kinds of pictures are {', '.join(KINDS)}, not {kind!r}.")
    return [
        Image.fromarray(MAKERS[kind](size, numpy_rng(seed, f"in-domain-{kind}", index), index))
        for index in range(count)
    ]


def noise_picture(size: int, rng: np.random.Generator, index: int) -> np.ndarray:
    """Return noise (size, size, 3) uint8: every third white, the others as smooth as photographs.

    A photograph's power falls about as 1 / frequency^2; here the amplitude falls as frequency^-a
    with a in .5..1.5, alike in the three colours but for their strength.
    """
    if index % 3 == 0:
        return rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
    across = np.fft.fftfreq(size)
    frequency = np.hypot(across[:, None], across[None, :])  # (size, size)
    frequency[0, 0] = np.inf  # no mean: it is given below
    fall = frequency ** -rng.uniform(0.5, 1.5)
    planes = []
    shared = rng.standard_normal((size, size))
    for _ in range(3):
        own = 0.7 * shared + 0.3 * rng.standard_normal((size, size))
        plane = np.fft.ifft2(np.fft.fft2(own) * fall).real
        planes.append(rng.uniform(60, 196) + rng.uniform(20, 60) * plane / plane.std())
    return _pixels(np.stack(planes, axis=-1))


def gradient_picture(size: int, rng: np.random.Generator, index: int) -> np.ndarray:
    """Return a smooth blend of colours (size, size, 3) uint8: linear, round, or of four corners."""
    line = np.linspace(0.0, 1.0, size)
    x, y = np.meshgrid(line, line)
    colours = rng.uniform(0, 255, (4, 3))
    if index % 3 == 0:
        angle = rng.uniform(0, 2 * np.pi)
        along = x * np.cos(angle) + y * np.sin(angle)
    elif index % 3 == 1:
        along = np.hypot(x - rng.uniform(0, 1), y - rng.uniform(0, 1))
    else:
        top = colours[0] + (colours[1] - colours[0]) * x[..., None]
        bottom = colours[2] + (colours[3] - colours[2]) * x[..., None]
        return _pixels(top + (bottom - top) * y[..., None])
    along = (along - along.min()) / (along.max() - along.min())
    return _pixels(colours[0] + (colours[1] - colours[0]) * along[..., None])


def text_picture(size: int, rng: np.random.Generator, index: int) -> np.ndarray:
    """Return a page of words in Pillow's font (size, size, 3) uint8, every fourth inverted."""
    paper, ink = rng.integers(225, 256, 3), rng.integers(0, 70, 3)
    if index % 4 == 3:
        paper, ink = ink, paper
    page = Image.new("RGB", (size, size), tuple(int(value) for value in paper))
    pen = ImageDraw.Draw(page)
    height = max(6, round(size * rng.uniform(0.07, 0.14)))
    font = ImageFont.load_default(height)
    margin = round(size * rng.uniform(0.02, 0.1))
    for top in range(margin, size - margin - height, round(1.25 * height)):
        words: list[str] = []
        indent = margin + (height if rng.random() < 0.2 else 0)
        while pen.textlength(" ".join(words), font) < size:
            letters = rng.geometric(0.18, rng.integers(2, 10))
            words.append("".join(LETTERS[min(int(place), 26) - 1] for place in letters))
        kept = words[: -1 - int(rng.integers(0, 2))] or words[:1]
        pen.text((indent, top), " ".join(kept), tuple(int(v) for v in ink), font)
    return np.asarray(page)


MAKERS: dict[str, Callable[[int, np.random.Generator, int], np.ndarray]] = {
    "noise": noise_picture,
    "gradient": gradient_picture,
    "text": text_picture,
}


def _pixels(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(values + 0.5, 0, 255), np.uint8)


def _side(pipeline: EmotionPipeline) -> int:
    """Return the side of the pictures to make: what the model reads at, where that is fixed.

    Raises:
        UsageError: for a model that gives no in_domain score.
    """
    if not pipeline.about().tells_outside:
        raise UsageError(
            "This model gives no in_domain score, so there is nothing to measure: give a "
            "checkpoint of `align` or a later stage."
        )
    return pipeline.image_size or LARGEST


def _stories(dataset: Dataset, seed: int) -> list[Story]:
    """Return the stories of a storybook's pictures, else as many of the test stream."""
    from emosym.data.storybook.world import draw_story

    oracle = oracle_of(dataset)
    if oracle is not None:
        return list(oracle.stories)
    return [draw_story(seed, index, "test") for index in range(len(dataset))]
