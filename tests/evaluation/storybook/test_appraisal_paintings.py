"""Missing cells: what a judge sees is put through the world's own probabilities."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from emosym.data.storybook.appraisal.world import (
    BITS_OF,
    appraisal_posterior_of,
    draw_appraisal_story,
    is_missing_cell,
    shown_bits,
)
from emosym.data.storybook.world import CUE_VALUES, Story, attribute_targets
from emosym.evaluation.storybook import appraisal_paintings
from emosym.evaluation.storybook.appraisal_paintings import (
    appraisals_seen,
    evaluate_missing_cells,
    intents_of_missing_cells,
    judged_emotions,
    several,
)
from emosym.models.presets import resolve_base
from emosym.pipelines.trained import EmoSymPipeline

STORIES = [draw_appraisal_story(2, index) for index in range(200)]


def seen_in(stories: list[Story]) -> dict[str, np.ndarray]:
    """Return what a judge with perfect sight says."""
    found: dict[str, Any] = attribute_targets(stories)
    return {
        name: found[name] if name == "object" else np.eye(len(CUE_VALUES[name]))[found[name]]
        for name in CUE_VALUES
    }


def test_with_perfect_sight_the_posterior_is_the_exact_one() -> None:
    found = seen_in(STORIES)
    bits = appraisals_seen(found, CUE_VALUES)
    np.testing.assert_allclose(bits, [shown_bits(story) for story in STORIES], atol=1e-9)
    wanted = np.stack([appraisal_posterior_of(story) for story in STORIES])
    np.testing.assert_allclose(judged_emotions(found, CUE_VALUES), wanted, atol=1e-9)


def test_doubt_about_a_cue_is_doubt_about_its_bit() -> None:
    found = seen_in(STORIES[:1])
    blurred = {**found, "light": np.full_like(found["light"], 1 / found["light"].shape[1])}
    valence, control, people = appraisals_seen(blurred, CUE_VALUES)[0]
    assert valence == pytest.approx(0.5)
    assert (control, people) == tuple(appraisals_seen(found, CUE_VALUES)[0, 1:])
    # two of three things that are there with .5, .5, 0: .25
    assert several(np.array([[0.5, 0.5, 0.0], [1, 1, 0.3], [0, 0, 0]])) == pytest.approx(
        [0.25, 1, 0]
    )


def test_every_missing_cell_is_asked_for_with_the_emotions_of_its_valence() -> None:
    intents = list(intents_of_missing_cells())
    assert len(intents) == len(set(intents)) == 64
    assert all(is_missing_cell(light, scene) for light, scene, _ in intents)
    assert len({(light, scene) for light, scene, _ in intents}) == 16
    shown = {(s.light, s.scene): shown_bits(s)[0] for s in STORIES}
    for light, scene, label in intents:
        assert shown.get((light, scene), BITS_OF[label][0]) == BITS_OF[label][0]


def test_cells_are_painted_and_judged(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = EmoSymPipeline.from_pretrained(str(tiny_checkpoint))
    some = list(intents_of_missing_cells())[:2]
    monkeypatch.setattr(appraisal_paintings, "intents_of_missing_cells", lambda: iter(some))
    judges = appraisal_paintings.load_judges(
        SimpleNamespace(base=resolve_base("storybook-base"), device="cpu")
    )
    monkeypatch.setattr(appraisal_paintings, "load_judges", lambda _: judges)  # the real ones
    result = evaluate_missing_cells(pipeline, per_intent=1, drawn=60)
    values = result["values"]
    assert result["name"] == "missing-cells" and result["n"] == 2 and len(values["by_bit"]) == 3
    assert values["judged_right_of_drawn"] > 0.85 and values["passes"] == 0.0
