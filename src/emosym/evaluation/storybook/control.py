"""Does the painter do as it is told, and does the reader name what is there?

Intensity, mixes, words beside the emotion and like-this-picture are scored by judges that never
trained the model; explanations by what is really in the picture, beside a
control that speaks with the picture blanked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emosym.data.dataset import Dataset
from emosym.data.images import load_image
from emosym.evaluation.measure import choose, load_judges
from emosym.evaluation.results.result import make_result
from emosym.evaluation.storybook.explanations import explanations
from emosym.metrics.checks import mean_defined
from emosym.metrics.control import intensity_consistency
from emosym.models.painter.prompt import PLACE
from emosym.pipelines.requests import paint_request
from emosym.seeds import numpy_rng, stream_seed

if TYPE_CHECKING:
    from emosym.pipelines.trained import EmoSymPipeline

Pictures = NDArray[np.uint8]
INTENSITIES = (0.0, 0.5, 1.0, 1.5, 2.0)
PER_CELL = 16
PER_MIX = 24
PER_PROMPTED = 16


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """How many paintings and pictures the measures use, and how to paint.

    `per_cell` paintings of each emotion and intensity, `per_mix` of each half-and-half pair,
    `per_prompted` of each emotion with a setting in words; `like` and `explained` count pictures of
    the data set.
    """

    per_cell: int = PER_CELL
    per_mix: int = PER_MIX
    per_prompted: int = PER_PROMPTED
    like: int = 80
    explained: int = 200
    seed: int = 0
    num_inference_steps: int = 10
    guidance_scale: float = 3.0

    def paintings(self, emotions: int) -> int:
        """Return how many pictures are painted for a label space of `emotions`."""
        pairs = emotions * (emotions - 1) // 2
        each = len(INTENSITIES) * self.per_cell + self.per_prompted
        return emotions * each + pairs * self.per_mix + self.like


def evaluate_control(
    pipeline: EmoSymPipeline,
    dataset: Dataset,
    settings: ControlSettings | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Return a result on intensity, mixes, prompts, like-this-picture and explanations.

    `progress` is called with the number of paintings just made.

    Raises:
        EmoSymError: when the model cannot paint or its base has no judges.
    """
    settings = settings or ControlSettings()
    brush = Brush(pipeline, settings, progress or (lambda count: None))
    judge_a, judge_b, attributes = load_judges(pipeline)
    labels, seed = pipeline.space.labels, settings.seed
    kinds = np.repeat(np.arange(len(labels)), len(INTENSITIES) * settings.per_cell)
    asked = np.tile(np.repeat(INTENSITIES, settings.per_cell), len(labels))
    levels = paint_intensities(brush)
    pairs = list(combinations(range(len(labels)), 2))
    mixed = [paint_mix(brush, labels[i], labels[j]) for i, j in pairs]
    wanted = draw_settings(len(labels) * settings.per_prompted, seed)
    prompted = paint_prompted(brush, wanted)
    models = choose(dataset, settings.like, seed)
    likenesses = paint_likenesses(brush, models)
    values: dict[str, Any] = {}
    for letter, judge in (("a", judge_a), ("b", judge_b)):
        seen = judge.probabilities(levels)[np.arange(len(levels)), kinds]
        each = intensity_consistency(
            asked, seen, kinds, len(labels), settings.per_cell, len(INTENSITIES)
        )
        values[f"intensity_spearman_judge_{letter}"] = mean_defined(each)
        values[f"intensity_spearman_each_judge_{letter}"] = [value or 0.0 for value in each]
        tops = [np.argsort(-judge.probabilities(p).mean(axis=0))[:2] for p in mixed]
        both = [set(top) == set(pair) for top, pair in zip(tops, pairs, strict=True)]
        values[f"mix_both_on_top_judge_{letter}"] = float(np.mean(both))
        meant = np.repeat(np.arange(len(labels)), settings.per_prompted)
        kept = judge.probabilities(prompted).argmax(axis=1) == meant
        values[f"prompt_keeps_emotion_judge_{letter}"] = float(kept.mean())
        said = judge.probabilities(likenesses).argmax(axis=1)
        values[f"like_keeps_emotion_judge_{letter}"] = float((said == models.labels()).mean())
    found = attributes.attributes(prompted)
    for place, name in enumerate(("scene", "light")):
        names = [attributes.names[name][i] for i in found[name].argmax(axis=1)]
        right = [is_ == words[place] for is_, words in zip(names, wanted, strict=True)]
        values[f"prompt_{name}"] = float(np.mean(right))
    values.update(explanations(pipeline, choose(dataset, settings.explained, seed)))
    extractors = {judge.name: judge.checksum for judge in (judge_a, judge_b, attributes)}
    painted = settings.paintings(len(labels))
    return make_result("control", values, painted, seed, extractors=extractors)


@dataclass(frozen=True, slots=True)
class Brush:
    """What every painting below is made with."""

    pipeline: EmoSymPipeline
    settings: ControlSettings
    progress: Callable[[int], None]

    def paint(self, emotion: Any, count: int, stream: str, index: int = 0, **more: Any) -> Pictures:
        """Paint one request with a seed of its own stream; uint8 (count, H, W, 3)."""
        request = paint_request(
            self.pipeline.space,
            emotion,
            num_images=count,
            seed=stream_seed(self.settings.seed, stream, index),
            num_inference_steps=self.settings.num_inference_steps,
            guidance_scale=self.settings.guidance_scale,
            **more,
        )
        pictures = np.stack([np.asarray(o.image) for o in self.pipeline.paint(request)])
        self.progress(count)
        return pictures


def paint_intensities(brush: Brush) -> Pictures:
    """Paint every emotion at every intensity, uint8 (emotions * levels * per_cell, H, W, 3).

    All levels of an emotion share their seeds: only the intensity differs.
    """
    cell = brush.settings.per_cell
    return np.concatenate(
        [
            brush.paint(label, cell, f"control-intensity-{label}", intensity=level)
            for label in brush.pipeline.space.labels
            for level in INTENSITIES
        ]
    )


def paint_mix(brush: Brush, first: str, second: str) -> Pictures:
    """Paint a half-and-half mix, uint8 (per_mix, H, W, 3)."""
    stream = f"control-mix-{first}-{second}"
    return brush.paint({first: 0.5, second: 0.5}, brush.settings.per_mix, stream)


def draw_settings(count: int, seed: int) -> list[tuple[str, str]]:
    """Draw (scene, light) pairs of the storybook, all equally likely."""
    from emosym.data.storybook import LIGHTS, SCENES

    rng = numpy_rng(seed, "control-prompts")
    return [
        (SCENES[int(rng.integers(len(SCENES)))], LIGHTS[int(rng.integers(len(LIGHTS)))])
        for _ in range(count)
    ]


def paint_prompted(brush: Brush, settings: Sequence[tuple[str, str]]) -> Pictures:
    """Paint each emotion in turn with its share of the settings in words, uint8 (N, H, W, 3)."""
    from emosym.data.storybook.words import setting_in_words

    labels = brush.pipeline.space.labels
    each = len(settings) // len(labels)
    return np.concatenate(
        [
            brush.paint(
                labels[i // each],
                1,
                "control-prompted",
                i,
                prompt=f"{PLACE} {setting_in_words(*words)}",
            )
            for i, words in enumerate(settings)
        ]
    )


def paint_likenesses(brush: Brush, pictures: Dataset) -> Pictures:
    """Paint one picture in the mood of each picture, uint8 (N, H, W, 3)."""
    return np.concatenate(
        [
            brush.paint(None, 1, "control-like", i, like=load_image(pictures.picture(i)))
            for i in range(len(pictures))
        ]
    )
