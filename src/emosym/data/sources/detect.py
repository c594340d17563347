"""Which source a folder is, and which splits it has: looked at, nothing drawn or written."""

from __future__ import annotations

from pathlib import Path

from emosym.data.sources.amt import ABOUT as AMT_FILE
from emosym.data.sources.amt import splits_of_amt
from emosym.data.sources.emoset import broken_splits, splits_of
from emosym.data.sources.fi import fi_root
from emosym.data.sources.folder import described, split_folders
from emosym.data.sources.hub import SAVED, HubOptions, hub_splits
from emosym.data.sources.known_files import source_of_folder, split_files
from emosym.data.sources.ldl import split_named, vote_tables
from emosym.data.sources.mosei import modes_of, mosei_table
from emosym.data.sources.oasis import TABLES
from emosym.data.sources.own_labels import SOURCE_SPACES
from emosym.data.stored_splits import ALL, SPLITS
from emosym.data.walk import data_folder, entries, find_images, only_paths
from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError
from emosym.files import FILE, FOLDER, look, read_json


def detect_source(root: Path, space: str | LabelSpace = "mikels8") -> str:
    """Return the name of the source that a folder (or a file of one) looks like.

    Raises:
        UsageError: when there is nothing at `root`.
    """
    kind = look(root)
    if kind == FILE and root.suffix == ".parquet":
        return "hub"
    if kind == FILE:
        known = source_of_folder(root)
        if known is not None:
            return known
    if kind != FOLDER:
        raise UsageError(
            f"There is no data set at {str(root)!r}: no such folder. (For an id of the hub, add "
            "--source hub.)"
        )
    if look(root / AMT_FILE) == FILE:
        return "amt"
    if any(look(root / name) == FILE for name in SAVED):
        return "hub"
    if any(look(root / name) == FILE for name in TABLES):
        return "oasis"
    if vote_tables(root, label_space(space)):
        return "ldl"
    known = source_of_folder(root)
    # statements may lie in an EmoSet whose pictures they are about
    if known is not None and (known != "statements" or look(root / "info.json") != FILE):
        return known
    found = splits_of(root)
    if found:
        return "folder" if all(_from_folders(root, name) for name in found) else "emoset"
    # Parquet beside pictures may be anything, such as annotations of them
    beside = entries(root / "data") if look(root / "data") == FOLDER else []
    tables = [path for path in (*entries(root), *beside) if path.suffix == ".parquet"]
    return "hub" if tables and not _has_pictures(root) else "folder"


def _has_pictures(root: Path) -> bool:
    try:
        return next(only_paths(find_images([root])), None) is not None
    except UsageError:
        return False


def _from_folders(root: Path, split: str) -> bool:
    """Tell whether a split file is one that `load_folder` wrote, over pictures in `root` itself."""
    drawn = described(root).get("split")
    fractions = drawn.get("fractions") if isinstance(drawn, dict) else None
    return isinstance(fractions, dict) and split in fractions


def splits_to_check(
    source: str, root: Path, space: LabelSpace, hub: HubOptions
) -> tuple[list[str], list[str]]:
    """Return the splits there are, and complaints about files that should have told them.

    Raises:
        UsageError: when the folder is not a data set of that source.
    """
    if source == "hub":
        return hub_splits(root, hub), []
    if source == "mosei":
        return modes_of(mosei_table(root)) or [ALL], []
    if source == "amt":
        return _ordered(splits_of_amt(root)), []
    if source in SOURCE_SPACES:
        return _ordered(list(split_files(root, source))), []
    if source in ("emoset", "storybook"):
        found, broken = splits_of(data_folder(root)), broken_splits(root)
        if not found:
            raise UsageError(
                f"{str(root)!r} has no split files (train.json and the like, lists of rows); "
                f"a folder of pictures is --source folder. {' '.join(broken)}".rstrip()
            )
        return _ordered(found), broken
    if source in ("folder", "fi"):
        base = fi_root(root, space) if source == "fi" else data_folder(root)
        divided = split_folders(base)
        return _ordered(divided or splits_of(base) or [ALL]), [] if divided else broken_splits(base)
    if source == "ldl":
        named = [split_named(path) for path in vote_tables(root, space)]
        if any(named):
            return _ordered([name for name in named if name is not None]), []
    if look(root / SPLITS) == FILE:
        stored = read_json(root / SPLITS, "list of splits")
        splits = stored.get("splits") if isinstance(stored, dict) else None
        if isinstance(splits, dict) and splits:
            return _ordered(list(splits)), []
        return [ALL], [f"{root / SPLITS} holds no splits; delete it to draw them anew."]
    return [ALL], []


def _ordered(splits: list[str]) -> list[str]:
    usual = ["train", "val", "test"]
    return sorted(set(splits), key=lambda name: (usual.index(name) if name in usual else 3, name))
