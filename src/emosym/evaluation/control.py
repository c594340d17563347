"""Does the painter do as it is told, and does the reader name what is there?

Intensity, mixes and like-this-picture are scored by a judge that never trained the model
(METRICS section 3); explanations by what is really in the picture, beside a control that speaks
with the picture blanked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from emosym.data.emoset import Dataset
from emosym.data.images import load_image
from emosym.errors import UsageError
from emosym.evaluation.results import make_result
from emosym.evaluation.runner import choose, load_judges
from emosym.metrics.checks import mean_defined
from emosym.metrics.control import intensity_consistency
from emosym.pipelines.requests import paint_request
from emosym.seeds import stream_seed
from emosym.types import Sample

if TYPE_CHECKING:
    from emosym.pipelines.emosym_pipeline import EmoSymPipeline

INTENSITIES = (0.0, 0.5, 1.0, 1.5, 2.0)
PER_CELL = 16
PER_MIX = 24
GREY = 128


def evaluate_control(
    pipeline: EmoSymPipeline,
    dataset: Dataset,
    *,
    like: int = 80,
    explained: int = 200,
    per_cell: int = PER_CELL,
    per_mix: int = PER_MIX,
    seed: int = 0,
) -> dict[str, Any]:
    """Return a result on intensity, mixes, like-this-picture and explanations.

    `like` and `explained` count the pictures of `dataset` that are used; `per_cell` paintings are
    made of each emotion and intensity, `per_mix` of each half-and-half pair.

    Raises:
        EmoSymError: when the model cannot paint or its base has no judges.
    """
    judges = load_judges(pipeline)[:2]
    labels = pipeline.space.labels
    kinds = np.repeat(np.arange(len(labels)), len(INTENSITIES) * per_cell)
    asked = np.tile(np.repeat(INTENSITIES, per_cell), len(labels))
    levels = paint_intensities(pipeline, per_cell, seed)
    pairs = list(combinations(range(len(labels)), 2))
    mixed = [paint_mix(pipeline, labels[i], labels[j], per_mix, seed) for i, j in pairs]
    models = choose(dataset, like, seed)
    likenesses = paint_likenesses(pipeline, models, seed)
    values: dict[str, Any] = {}
    for letter, judge in zip("ab", judges, strict=True):
        seen = judge.probabilities(levels)[np.arange(len(levels)), kinds]
        each = intensity_consistency(asked, seen, kinds, len(labels), per_cell, len(INTENSITIES))
        values[f"intensity_spearman_judge_{letter}"] = mean_defined(each)
        values[f"intensity_spearman_each_judge_{letter}"] = [value or 0.0 for value in each]
        tops = [np.argsort(-judge.probabilities(p).mean(axis=0))[:2] for p in mixed]
        both = [set(top) == set(pair) for top, pair in zip(tops, pairs, strict=True)]
        values[f"mix_both_on_top_judge_{letter}"] = float(np.mean(both))
        said = judge.probabilities(likenesses).argmax(axis=1)
        values[f"like_keeps_emotion_judge_{letter}"] = float((said == models.labels()).mean())
    values.update(explanations(pipeline, choose(dataset, explained, seed)))
    painted = len(levels) + len(pairs) * per_mix + len(likenesses)
    extractors = {judge.name: judge.checksum for judge in judges}
    return make_result("control", values, painted, seed, extractors=extractors)


def _paint(
    pipeline: EmoSymPipeline, emotion: Any, count: int, seed: int, **more: Any
) -> np.ndarray:
    """Paint one request; returns uint8 (count, H, W, 3)."""
    request = paint_request(pipeline.space, emotion, num_images=count, seed=seed, **more)
    return np.stack([np.asarray(output.image) for output in pipeline.paint(request)])


def paint_intensities(pipeline: EmoSymPipeline, per_cell: int, seed: int) -> np.ndarray:
    """Paint every emotion at every intensity, uint8 (emotions * levels * per_cell, H, W, 3).

    All levels of an emotion share their seeds: only the intensity differs.
    """
    return np.concatenate(
        [
            _paint(
                *(pipeline, label, per_cell, stream_seed(seed, f"control-intensity-{label}")),
                intensity=level,
            )
            for label in pipeline.space.labels
            for level in INTENSITIES
        ]
    )


def paint_mix(
    pipeline: EmoSymPipeline, first: str, second: str, count: int, seed: int
) -> np.ndarray:
    """Paint a half-and-half mix, uint8 (count, H, W, 3)."""
    own = stream_seed(seed, f"control-mix-{first}-{second}")
    return _paint(pipeline, {first: 0.5, second: 0.5}, count, own)


def paint_likenesses(pipeline: EmoSymPipeline, pictures: Dataset, seed: int) -> np.ndarray:
    """Paint one picture in the mood of each picture, uint8 (N, H, W, 3)."""
    painted = [
        _paint(
            *(pipeline, None, 1, stream_seed(seed, "control-like", i)),
            like=load_image(pictures.image(i)),
        )
        for i in range(len(pictures))
    ]
    return np.concatenate(painted)


def explanations(pipeline: EmoSymPipeline, pictures: Dataset) -> dict[str, float]:
    """Return how often rationales name what is there, and the same with the picture blanked.

    `explained_scene`, `_objects` and `_face` are shares of pictures: exactly the objects that are
    there, mouth and brows both. `_object_recall` is the share of the objects that are named,
    `_object_precision` of the named ones that are there. `blank_*` is the control: what is said of
    a grey picture, held against the real one.
    """
    samples = list(pictures)
    shown = [load_image(sample.images[0]) for sample in samples]
    blank = [Image.new("RGB", picture.size, (GREY, GREY, GREY)) for picture in shown]
    values: dict[str, float] = {}
    for prefix, images in (("explained", shown), ("blank", blank)):
        readings = pipeline.understand(images, explain=True)
        found = [
            named(reading.rationale or "", sample)
            for reading, sample in zip(readings, samples, strict=True)
        ]
        hits = sum(len(f.said & f.there) for f in found)
        values[f"{prefix}_scene"] = float(np.mean([f.scene for f in found]))
        values[f"{prefix}_objects"] = float(np.mean([f.said == f.there for f in found]))
        values[f"{prefix}_object_recall"] = hits / max(sum(len(f.there) for f in found), 1)
        values[f"{prefix}_object_precision"] = hits / max(sum(len(f.said) for f in found), 1)
        values[f"{prefix}_face"] = float(np.mean([f.face for f in found]))
    return values


@dataclass(frozen=True, slots=True)
class Named:
    """What a rationale names: scene and face (rightly), objects `said` and really `there`."""

    scene: bool
    face: bool
    said: frozenset[str]
    there: frozenset[str]


def named(rationale: str, sample: Sample) -> Named:
    """Return what of a picture its rationale names.

    A face is named when the words for its mouth and its brows both occur.

    Raises:
        UsageError: when the sample has no scene, object or face to compare with.
    """
    from emosym.data.storybook import FACES, OBJECTS, SCENES

    scene = sample.attributes.get("scene")
    objects = sample.attributes.get("object")
    face = sample.attributes.get("facial_expression")
    if face not in FACES or scene not in SCENES or not isinstance(objects, Sequence):
        raise UsageError(f"Sample {sample.id} has no storybook attributes to compare with.")
    text = rationale.lower()
    said = frozenset(o for o in OBJECTS if re.search(rf"\b{re.escape(o)}\b", text))
    mouth, brows = (part.partition(" ")[2] for part in str(face).split(", "))
    return Named(str(scene) in text, mouth in text and brows in text, said, frozenset(objects))
