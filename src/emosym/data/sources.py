"""Every data source by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from emosym.data.emoset import Dataset, load_emoset
from emosym.data.folder import load_folder
from emosym.data.splits import label_fraction
from emosym.errors import unknown_name

SOURCES: dict[str, Callable[[str | Path, str, str], Dataset]] = {
    "emoset": load_emoset,
    "folder": load_folder,
    "storybook": load_emoset,
}


def open_dataset(
    source: str,
    root: str | Path,
    split: str,
    space: str = "mikels8",
    fraction: float = 1.0,
    seed: int = 0,
) -> Dataset:
    """Open a split of a named source; with `fraction` below 1, a stratified part of it.

    Raises:
        UsageError: for an unknown source, root, split or label space, or a malformed data set.
    """
    if source not in SOURCES:
        raise unknown_name("data source", source, SOURCES)
    dataset = SOURCES[source](root, split, space)
    if fraction == 1.0:
        return dataset
    return dataset.subset(label_fraction(dataset.labels(), fraction, seed))
