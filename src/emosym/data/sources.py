"""Every data source by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from emosym.data.emoset import Dataset, load_emoset
from emosym.data.folder import load_folder
from emosym.data.splits import label_fraction, stretch
from emosym.errors import UsageError, unknown_name

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
    part: tuple[float, float] = (0.0, 1.0),
) -> Dataset:
    """Open a split of a named source; of it the stretch `part`, and of that a share `fraction`.

    Both are stratified and seeded, see `data.splits`.

    Raises:
        UsageError: for an unknown source, root, split or label space, or a malformed data set.
    """
    if source not in SOURCES:
        raise unknown_name("data source", source, SOURCES)
    if source == "storybook" and not Path(root).is_dir():
        raise UsageError(
            f"There is no storybook at {str(root)!r}; draw it with `emosym data storybook {root}`."
        )
    dataset = SOURCES[source](root, split, space)
    if part != (0.0, 1.0):
        dataset = dataset.subset(stretch(dataset.labels(), *part, seed))
    if fraction != 1.0:
        dataset = dataset.subset(label_fraction(dataset.labels(), fraction, seed))
    return dataset
