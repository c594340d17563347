"""Does a rationale name what is in the picture, and does the reading rest on what it names?

Words are held against the picture's own attributes, beside a control that speaks of a grey picture.
That a named thing matters is tested in `evaluation.faithfulness`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from emosym.data.dataset import Dataset
from emosym.data.images import load_image
from emosym.data.storybook.facts import KINDS, facts_of, spoken
from emosym.evaluation.results.result import make_result
from emosym.evaluation.results.value_intervals import add_difference, add_mean, add_share
from emosym.evaluation.storybook.faithfulness import faithfulness
from emosym.metrics.cues import Counts, count_cues
from emosym.types import Sample, only_picture

if TYPE_CHECKING:
    from emosym.pipelines.trained import EmoSymPipeline

GREY = 128


def evaluate_explanations(
    pipeline: EmoSymPipeline,
    dataset: Dataset,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    subject: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a result named `explanations` on pictures of a storybook.

    `progress` is called with the number of pictures just read.

    Raises:
        UsageError: when the pictures are not a storybook's in the painted style.
    """
    advance = progress or (lambda count: None)
    samples, shown = _opened(dataset)
    seen = pipeline.understand(shown, explain=True)
    advance(len(shown))
    said = [reading.rationale or "" for reading in seen]
    blank = _blank_rationales(pipeline, shown)
    advance(len(shown))
    values: dict[str, Any] = {}
    counts = {"explained": count(said, samples), "blank": count(blank, samples)}
    for prefix, counted in counts.items():
        for name, (hits, totals) in _shares(counted).items():
            add_share(values, f"{prefix}_{name}", hits, totals, seed)
        add_mean(values, f"{prefix}_objects", _exact(counted["object"]), seed)
    for kind in KINDS:
        first, second = (counted[kind] for counted in counts.values())
        some = first[2] > 0
        recall, control = (c[0][some] / c[2][some] for c in (first, second))
        add_difference(values, f"explained_minus_blank_{kind}", recall, control, seed)
    facts = [spoken(text) for text in said]
    values.update(faithfulness(pipeline, dataset, shown, seen, facts, seed, advance))
    return make_result("explanations", values, len(samples), seed, subject=subject)


def explanations(pipeline: EmoSymPipeline, pictures: Dataset) -> dict[str, float]:
    """Return how often rationales name what is there, and the same with the picture blanked.

    `explained_scene`, `_face`, `_action` are shares of pictures, `_objects` of those of which
    exactly the objects that are there are named; `_object_recall` is the share of the objects that
    are named, `_precision` of what is named that is there. `blank_*` is the control: what is said
    of a grey picture, held against the real one. A share of nothing is 0.
    """
    samples, shown = _opened(pictures)
    said = [r.rationale or "" for r in pipeline.understand(shown, explain=True)]
    values: dict[str, float] = {}
    for prefix, texts in (("explained", said), ("blank", _blank_rationales(pipeline, shown))):
        counted = count(texts, samples)
        for name, (hits, totals) in _shares(counted).items():
            values[f"{prefix}_{name}"] = float(hits.sum() / max(totals.sum(), 1))
        values[f"{prefix}_objects"] = float(_exact(counted["object"]).mean())
    return values


def _opened(dataset: Dataset) -> tuple[list[Sample], list[Image.Image]]:
    samples = list(dataset)
    return samples, [load_image(only_picture(sample)) for sample in samples]


def _blank_rationales(pipeline: EmoSymPipeline, shown: Sequence[Image.Image]) -> list[str]:
    blank = [Image.new("RGB", picture.size, (GREY, GREY, GREY)) for picture in shown]
    return [reading.rationale or "" for reading in pipeline.understand(blank, explain=True)]


def count(texts: Sequence[str], samples: Sequence[Sample]) -> Counts:
    """Return for each kind an array (3, N): named and there, named, there."""
    said = [spoken(text) for text in texts]
    return count_cues(said, [facts_of(sample) for sample in samples], KINDS)


def _shares(counted: Counts) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return (hits, totals) by the name of the value; a scene's recall is `scene`, and so on."""
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for kind, (hits, said, there) in counted.items():
        found["object_recall" if kind == "object" else kind] = (hits, there)
        found[f"{kind}_precision"] = (hits, said)
    return found


def _exact(counted: np.ndarray) -> np.ndarray:
    """Return for counts (3, N) whether what is named is what is there, (N,) of 0 or 1."""
    hits, said, there = counted
    return np.asarray((hits == said) & (hits == there), dtype=np.float64)
