"""Paintings of the appraisal level's missing cells, judged by the exact posterior of what is seen.

The gate of a bank that must matter: a quarter of the pairs of light and scene have no labelled
pictures. Each is painted by an emotion and the words of the pair; the attribute judge looks, and
what it sees is put through the world's own probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from emosym.data.storybook.appraisal.world import (
    APPRAISALS,
    BITS_OF,
    BRIGHT,
    CUE_GROUPS,
    NICE,
    OPEN_LAND,
    ROOFED,
    ROUGH,
    is_missing_cell,
    posterior_of_chances,
)
from emosym.data.storybook.drawing.draw import draw_many
from emosym.data.storybook.words import setting_in_words
from emosym.emotions import MIKELS8
from emosym.evaluation.measure import load_judges
from emosym.evaluation.results.result import make_result
from emosym.evaluation.storybook.control import Brush, ControlSettings
from emosym.models.painter.prompt import PLACE
from emosym.pipelines.trained import EmoSymPipeline

GATE = 0.85  # of paintings judged right, below which a bank of them is not worth a study
Names = Mapping[str, Sequence[str]]


def evaluate_missing_cells(
    pipeline: EmoSymPipeline, per_intent: int = 2, drawn: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Paint each missing cell with each emotion that fits it; returns a result `missing-cells`.

    `judged_right` is the share judged to evoke what was asked for, `passes` 1 where it reaches
    GATE; `judged_right_of_drawn` the share of `drawn` pictures of the world that the same judge
    gives their label, `setting` the share painted with the light and scene asked for, `by_bit` the
    share of each appraisal that is seen as asked.
    """
    judge = load_judges(pipeline)[2]
    intents = list(intents_of_missing_cells())
    asked = [intent for intent in intents for _ in range(per_intent)]
    brush = Brush(pipeline, ControlSettings(seed=seed), lambda _: None)
    pictures = np.concatenate(
        [
            brush.paint(
                MIKELS8.labels[label],
                1,
                "missing-cells",
                number,
                prompt=f"{PLACE} {setting_in_words(scene, light)}",
            )
            for number, (light, scene, label) in enumerate(asked)
        ]
    )
    wanted = np.array([label for _, _, label in asked])
    found = judge.attributes(pictures)
    right = judged_emotions(found, judge.names).argmax(axis=1) == wanted
    bits = np.array([BITS_OF[int(label)] for label in wanted])
    as_asked = (appraisals_seen(found, judge.names) > 0.5) == bits.astype(bool)
    setting = np.ones(len(asked), bool)
    for place, name in enumerate(("light", "scene")):
        seen = found[name].argmax(axis=1)
        setting &= np.array([judge.names[name][i] for i in seen]) == [one[place] for one in asked]
    stories, real = draw_many(seed, "test", 0, drawn, pictures.shape[1], level="appraisal")
    truth = np.array([story.label for story in stories])
    of_drawn = judged_emotions(judge.attributes(real), judge.names).argmax(axis=1) == truth
    values: dict[str, Any] = {
        "judged_right": float(right.mean()),
        "judged_right_of_drawn": float(of_drawn.mean()),
        "setting": float(setting.mean()),
        "by_bit": [float(share) for share in as_asked.mean(axis=0)],
        "passes": float(right.mean() >= GATE),
    }
    checksums = {judge.name: judge.checksum}
    return make_result("missing-cells", values, len(asked), seed, extractors=checksums)


def intents_of_missing_cells() -> Iterator[tuple[str, str, int]]:
    """Yield (light, scene, label): every missing cell with every emotion of its valence."""
    for light in (*ROUGH, *BRIGHT):
        for scene in (*OPEN_LAND, *ROOFED):
            if is_missing_cell(light, scene):
                valence = int(light in BRIGHT) ^ int(scene in ROOFED)
                labels = (label for label, bits in sorted(BITS_OF.items()) if bits[0] == valence)
                yield from ((light, scene, label) for label in labels)


def judged_emotions(found: Mapping[str, np.ndarray], names: Names) -> np.ndarray:
    """Return the exact P(emotion | what a judge sees), (N, 8); `found` (N, K) are probabilities."""
    return posterior_of_chances(appraisals_seen(found, names))


def appraisals_seen(found: Mapping[str, np.ndarray], names: Names) -> np.ndarray:
    """Return P(bit = 1) of each appraisal that N pictures show, (N, 3), its two cues independent.

    Of objects, which are seen one by one: the share of nice ones, and that there are several.
    """
    objects = found["object"].astype(np.float64)  # (N, K)
    nice = objects[:, [name in NICE for name in names["object"]]].sum(axis=1)
    cue = {
        "object": nice / np.maximum(objects.sum(axis=1), 1e-9),
        "count": several(objects),
    }
    heads = {"light": "light", "scene": "scene", "action": "action", "mouth": "face"}
    for name, head in heads.items():
        cue[name] = _in_second(found[head], names[head], CUE_GROUPS[name])
    shares = []
    for appraisal in APPRAISALS:
        first, second = cue[appraisal.first], cue[appraisal.second]
        shares.append(first * (1 - second) + (1 - first) * second)
    return np.stack(shares, axis=1)


def several(objects: np.ndarray) -> np.ndarray:
    """Return the chance (N,) that two or more of independent events (N, K) happen."""
    none = (1 - objects).prod(axis=1)
    one = sum(
        objects[:, k] * np.delete(1 - objects, k, axis=1).prod(axis=1)
        for k in range(objects.shape[1])
    )
    return np.asarray(1 - none - one)


def _in_second(
    probabilities: np.ndarray, names: Sequence[str], groups: tuple[Sequence[str], Sequence[str]]
) -> np.ndarray:
    """Return the chance (N,) of a value of the second group, of those that are in either."""
    first, second = (
        probabilities[:, [name in group for name in names]].sum(axis=1) for group in groups
    )
    return np.asarray(second / np.maximum(first + second, 1e-9))
