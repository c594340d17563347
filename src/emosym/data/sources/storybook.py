"""Storybook pictures as `emosym data storybook` writes them: EmoSet's layout, of some level."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from emosym.data.dataset import Dataset
from emosym.data.notes import Notes
from emosym.data.sources.emoset import load_emoset
from emosym.data.storybook.levels import level_of_folder
from emosym.emotions import LabelSpace
from emosym.types import Turn

TOLD = "tales"  # the level whose pictures have sentences beside them


def load_storybook(
    root: str | Path,
    split: str,
    space: str | LabelSpace = "mikels8",
    notes: Notes | None = None,
) -> Dataset:
    """Open a split of a storybook; of tales a sample is one turn, a picture with what is told.

    The turn is in focus, so its words are read beside its picture. They and the exact truth
    (`tale`, `states`, `shown_states`, `steps` among the attributes) stand in the annotation.

    Raises:
        UsageError: as `load_emoset`, or for a level that this version does not know.
    """
    dataset = load_emoset(root, split, space, notes)
    if level_of_folder(dataset.root) != TOLD:
        return dataset
    count = len(dataset)
    return replace(
        dataset,
        images=(),
        conversations=tuple((Turn(frames=(Path(image),)),) for image in dataset.images),
        places=np.stack([np.arange(count), np.zeros(count, dtype=np.int64)], axis=1),
    )
