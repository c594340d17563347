"""FI (You, Luo, Jin and Yang 2016): Flickr and Instagram pictures in eight folders of emotions."""

from __future__ import annotations

from pathlib import Path

from emosym.data.dataset import NO_LABEL, Dataset
from emosym.data.notes import Notes
from emosym.data.sources.folder import load_folder, split_folders
from emosym.data.stored_splits import ALL
from emosym.data.walk import data_folder, entries
from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError


def load_fi(
    root: str | Path,
    split: str = ALL,
    space: str | LabelSpace = "mikels8",
    notes: Notes | None = None,
) -> Dataset:
    """Open FI as folders named after the emotions, in `root` or in its only subfolder.

    Splits are as in `load_folder`: subfolders, or drawn once (80/10/10, seeded, stratified) and
    written beside the emotion folders.

    Raises:
        UsageError: when no folder is named after an emotion, or as `load_folder`.
    """
    labels = label_space(space)
    dataset = load_folder(fi_root(root, labels), split, space, notes)
    if (dataset.codes == NO_LABEL).all():
        raise UsageError(
            f"{str(root)!r} has no folder named after an emotion ({', '.join(labels.labels)}); "
            "read it as source folder, where pictures may have no label."
        )
    return dataset


def fi_root(root: str | Path, space: LabelSpace) -> Path:
    """Return the folder of the emotion folders: `root`, or the only folder in it.

    Raises:
        UsageError: when there is no such folder.
    """
    base = data_folder(root)
    folders = [path for path in entries(base) if path.is_dir()]
    inner = folders[0] if len(folders) == 1 else base
    mine = any(space.find(path.name) is not None for path in folders)
    return base if mine or split_folders(base) else inner
