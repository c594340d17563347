"""Every data source by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from emosym.data.dataset import Dataset
from emosym.data.notes import Notes
from emosym.data.sources.emoset import load_emoset
from emosym.data.sources.fi import load_fi
from emosym.data.sources.folder import load_folder
from emosym.data.sources.hub import NO_OPTIONS, HubOptions, load_hub
from emosym.data.sources.ldl import load_ldl
from emosym.data.sources.oasis import load_oasis
from emosym.data.splits import label_fraction, stretch
from emosym.emotions import LabelSpace
from emosym.errors import UsageError, unknown_name

SOURCES: dict[str, Callable[[str | Path, str, str | LabelSpace, Notes | None], Dataset]] = {
    "storybook": load_emoset,
    "emoset": load_emoset,
    "folder": load_folder,
    "fi": load_fi,
    "oasis": load_oasis,
    "ldl": load_ldl,
    "hub": load_hub,
}


def open_dataset(
    source: str,
    root: str | Path,
    split: str,
    space: str | LabelSpace = "mikels8",
    fraction: float = 1.0,
    seed: int = 0,
    part: tuple[float, float] = (0.0, 1.0),
    hub: HubOptions = NO_OPTIONS,
    notes: Notes | None = None,
) -> Dataset:
    """Open a split of a named source; of it the stretch `part`, and of that a share `fraction`.

    Both are stratified and seeded, see `data.splits`. `hub` counts for that source only. With
    `notes` what is wrong with single rows is noted there and does not stop.

    Raises:
        UsageError: for an unknown source, root, split or label space, or a malformed data set.
    """
    if source not in SOURCES:
        raise unknown_name("data source", source, SOURCES)
    if source == "storybook" and not Path(root).is_dir():
        raise UsageError(
            f"There is no storybook at {str(root)!r}; draw it with `emosym data storybook {root}`."
        )
    if source == "hub":
        dataset = load_hub(root, split, space, notes, hub)
    else:
        dataset = SOURCES[source](root, split, space, notes)
    if part != (0.0, 1.0):
        dataset = dataset.subset(stretch(dataset.labels(), *part, seed))
    if fraction != 1.0:
        dataset = dataset.subset(label_fraction(dataset.labels(), fraction, seed))
    return dataset
