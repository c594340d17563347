"""What is known exactly about drawn pictures: the only door to the storybook for other rooms.

The rules that drew a storybook's pictures also say what no reader can know, and what belongs into a
picture of each emotion. For any other data set there is no oracle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from emosym.evaluation.understanding import negative_log_likelihood
from emosym.metrics.calibration import brier_multiclass
from emosym.metrics.checks import Floats, as_labels, as_probabilities, same_length

if TYPE_CHECKING:
    from emosym.data.dataset import Dataset
    from emosym.data.storybook import Story


@dataclass(frozen=True, slots=True)
class Oracle:
    """What the rules say of N pictures, in the data set's order."""

    stories: tuple[Story, ...]
    posterior: Floats
    """Probability of each emotion given all cues of the picture, (N, C)."""
    level: str = "cues"
    """The level of the storybook."""

    def belongs(self, names: Mapping[str, tuple[str, ...]]) -> dict[str, np.ndarray]:
        """Return, per attribute of `names`, which values go with which emotion: bool (C, K).

        `names` are an attribute judge's classes; attributes that are no cue are left out.
        """
        from emosym.data.storybook import world
        from emosym.data.storybook.levels import CUES_LEVEL

        tables: dict[str, np.ndarray] = {}
        if self.level != CUES_LEVEL:  # elsewhere no value by itself belongs to an emotion
            return tables
        for cue, values in names.items():
            if cue in world.EMOTION_GROUPS:
                groups = np.asarray([world.group_of(cue, value) for value in values])  # (K,)
                tables[cue] = np.asarray(world.EMOTION_GROUPS[cue])[:, None] == groups[None, :]
        return tables


def oracle_of(dataset: Dataset) -> Oracle | None:
    """Return what is known of a storybook's pictures; None for other data.

    The stories are drawn again from the seed that the storybook's folder names.
    """
    from emosym.data.storybook.drawing.geometry import stories_of
    from emosym.data.storybook.levels import level_named, level_of_folder

    stories = stories_of(dataset.root, dataset.split, dataset.ids())
    level = level_of_folder(dataset.root)
    if not stories or level is None:
        return None
    posterior_of = level_named(level).posterior
    posterior = np.stack([posterior_of(story) for story in stories])
    return Oracle(tuple(stories), posterior, level)


def best_achievable(posterior: ArrayLike, labels: ArrayLike) -> dict[str, Any]:
    """Return the scores of the exact posterior (N, C) against labels (N,).

    No reader of these pictures can beat `best_accuracy`, `best_brier_multiclass` and `best_nll` on
    average: what is missing is chance in how the pictures were drawn.

    Raises:
        UsageError: for arrays that do not fit together or are no probabilities.
    """
    exact = as_probabilities("posterior", posterior)
    answers = as_labels("labels", labels, exact.shape[1])
    same_length(posterior=exact, labels=answers)
    return {
        "best_accuracy": float((exact.argmax(axis=1) == answers).mean()),
        "best_brier_multiclass": brier_multiclass(exact, answers),
        "best_nll": negative_log_likelihood(exact, answers),
    }
