"""Which source a folder is, and which splits it has: looked at, nothing drawn or written."""

from __future__ import annotations

from pathlib import Path

from emosym.data.images import find_images
from emosym.data.sources.emoset import splits_of
from emosym.data.sources.fi import fi_root
from emosym.data.sources.folder import split_folders
from emosym.data.sources.hub import SAVED, HubOptions, hub_splits
from emosym.data.sources.ldl import split_named, vote_tables
from emosym.data.sources.oasis import TABLES
from emosym.data.stored_splits import ALL, SPLITS
from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError
from emosym.files import read_json


def detect_source(root: Path, space: str = "mikels8") -> str:
    """Return the name of the source that a folder (or Parquet file) looks like.

    Raises:
        UsageError: when there is nothing at `root`.
    """
    if root.is_file() and root.suffix == ".parquet":
        return "hub"
    if not root.is_dir():
        raise UsageError(
            f"There is no data set at {str(root)!r}: no such folder. (For an id of the hub, add "
            "--source hub.)"
        )
    if any((root / name).is_file() for name in SAVED):
        return "hub"
    if any((root / name).is_file() for name in TABLES):
        return "oasis"
    if vote_tables(root, label_space(space)):
        return "ldl"
    found = splits_of(root)
    if found:
        return "folder" if all(_from_folders(root, name) for name in found) else "emoset"
    # Parquet beside pictures may be anything, such as annotations of them
    tables = [*root.glob("*.parquet"), *(root / "data").glob("*.parquet")]
    return "hub" if tables and not _has_pictures(root) else "folder"


def _has_pictures(root: Path) -> bool:
    try:
        return next(find_images([root]), None) is not None
    except UsageError:
        return False


def _from_folders(root: Path, split: str) -> bool:
    """Tell whether a split file is one that `load_folder` wrote, over pictures in `root` itself."""
    info = root / "info.json"
    described = read_json(info, "data set description") if info.is_file() else {}
    return isinstance(described, dict) and split in (
        (described.get("split") or {}).get("fractions") or {}
    )


def splits_to_check(
    source: str, root: Path, space: LabelSpace, hub: HubOptions
) -> tuple[list[str], list[str]]:
    """Return the splits there are, and complaints about files that should have told them.

    Raises:
        UsageError: when the folder is not a data set of that source.
    """
    if source == "hub":
        return hub_splits(root, hub), []
    if source in ("emoset", "storybook"):
        found = splits_of(root) if root.is_dir() else []
        if not found:
            raise UsageError(
                f"{str(root)!r} has no split files (train.json and the like, lists of rows); "
                "a folder of pictures is --source folder."
            )
        return _ordered(found), []
    if source in ("folder", "fi"):
        base = fi_root(root, space) if source == "fi" else root
        written = splits_of(base) if base.is_dir() else []
        return _ordered(split_folders(base) or written or [ALL]), []
    if source == "ldl":
        named = [split_named(path) for path in vote_tables(root, space)]
        if any(named):
            return _ordered([name for name in named if name is not None]), []
    if (root / SPLITS).is_file():
        stored = read_json(root / SPLITS, "list of splits")
        splits = stored.get("splits") if isinstance(stored, dict) else None
        if isinstance(splits, dict) and splits:
            return _ordered(list(splits)), []
        return [ALL], [f"{root / SPLITS} holds no splits; delete it to draw them anew."]
    return [ALL], []


def _ordered(splits: list[str]) -> list[str]:
    usual = ["train", "val", "test"]
    return sorted(set(splits), key=lambda name: (usual.index(name) if name in usual else 3, name))
