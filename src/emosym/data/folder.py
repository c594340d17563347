"""A folder of pictures as a data set: emotion-named subfolders are labels, anything else is not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emosym.data.emoset import INFO, Dataset, from_rows, load_emoset
from emosym.data.images import find_images
from emosym.data.splits import stratified_split
from emosym.emotions import LabelSpace, label_space
from emosym.errors import UsageError, unknown_name
from emosym.files import read_json, write_json

ALL = "all"
DEFAULT_FRACTIONS: Mapping[str, float] = {"train": 0.8, "val": 0.1, "test": 0.1}


def load_folder(
    root: str | Path,
    split: str = ALL,
    space: str = "mikels8",
    fractions: Mapping[str, float] = DEFAULT_FRACTIONS,
    seed: int = 0,
) -> Dataset:
    """Open a folder of pictures, or one split of it.

    `root/awe/...` gives the label awe; a folder without any emotion-named subfolder is plain, and
    its labels are None. `split="all"` takes every picture. Another split is the subfolder
    `root/{split}` where there is one (`root/train/awe/...`), and else `root/{split}.json`, which
    the first call draws and writes, so that every later run sees the same split.

    Raises:
        UsageError: for a folder without pictures, an unknown split, subfolders of which only some
            are emotions, or a split on disk that was drawn with another seed or other fractions.
    """
    base, labels = Path(root), label_space(space)
    divided = [name for name in fractions if (base / name).is_dir()]
    if divided:
        if split not in divided:
            raise unknown_name(
                f"split of {str(root)!r}, which has folders of splits,", split, divided
            )
        return scan(base / split, labels, split)
    if split == ALL:
        return scan(base, labels)
    if (base / f"{split}.json").is_file():
        _check_drawn(base, fractions, seed)
    elif split in fractions:
        write_splits(base, labels, fractions, seed)
    else:
        raise unknown_name("split", split, [*fractions, ALL])
    return load_emoset(base, split, space)


def scan(root: Path, space: LabelSpace, split: str = ALL) -> Dataset:
    """Return every picture under `root` in path order; ids are relative paths.

    Raises:
        UsageError: as `load_folder`.
    """
    if not root.is_dir():
        raise UsageError(f"There is no data set at {str(root)!r}: no such folder.")
    relative = [path.relative_to(root) for path in find_images([root])]
    tops = {path.parts[0] if len(path.parts) > 1 else None for path in relative}
    named = {top for top in tops if top is not None and top.lower() in space.labels}
    rest = tops - named
    if named and rest:
        other = next((top for top in sorted(filter(None, rest))), None)
        if other is None:
            raise UsageError(
                f"{str(root)!r} holds emotion folders and also loose pictures; move those into "
                "the folder of their emotion."
            )
        raise unknown_name(f"emotion folder in {str(root)!r}", other, space.labels)
    rows = [
        [path.parts[0].lower() if named else None, path.as_posix(), path.as_posix(), None]
        for path in relative
    ]
    return from_rows(rows, root, split, space, root)


def write_splits(
    root: Path, space: LabelSpace, fractions: Mapping[str, float], seed: int
) -> dict[str, int]:
    """Draw stratified splits of a folder, write them in EmoSet's layout, and return their sizes.

    Raises:
        UsageError: when a split would be empty, or as `load_folder`.
        EmoSymError: when the folder cannot be written.
    """
    whole = scan(root, space)
    parts = stratified_split(whole.labels(), fractions, seed)
    empty = [name for name, indices in parts.items() if len(indices) == 0]
    if empty:
        raise UsageError(
            f"{str(root)!r} has {len(whole)} pictures, too few for a split {empty[0]!r}; "
            f"use split {ALL!r} or larger fractions."
        )
    for name, indices in parts.items():
        rows = [
            [_label(whole, index), whole.names[index], whole.images[index], None]
            for index in map(int, indices)
        ]
        write_json(root / f"{name}.json", rows, indent=None)
    # Last, since it says that the splits are complete.
    write_json(root / INFO, _info(root, space, fractions, seed))
    return {name: len(indices) for name, indices in parts.items()}


def _label(dataset: Dataset, index: int) -> str | None:
    code = int(dataset.codes[index])
    return dataset.space.labels[code] if code >= 0 else None


def _info(
    root: Path, space: LabelSpace, fractions: Mapping[str, float], seed: int
) -> dict[str, Any]:
    """Return the folder's description with how its splits were drawn; what was there stays."""
    maps = {
        "label2idx": {label: code for code, label in enumerate(space.labels)},
        "idx2label": {str(code): label for code, label in enumerate(space.labels)},
    }
    drawn = {"seed": seed, "fractions": dict(fractions)}
    return {"emotion": maps, **_described(root), "split": drawn}


def _described(root: Path) -> dict[str, Any]:
    info = read_json(root / INFO, "data set description") if (root / INFO).is_file() else {}
    return info if isinstance(info, dict) else {}


def _check_drawn(root: Path, fractions: Mapping[str, float], seed: int) -> None:
    """Refuse splits on disk that were drawn in another way than asked; hand-made ones pass."""
    drawn = _described(root).get("split")
    if not isinstance(drawn, dict):
        return
    before = drawn.get("fractions")
    same = (
        drawn.get("seed") == seed
        and isinstance(before, dict)
        and list(before) == list(fractions)
        and all(math.isclose(before[name], fractions[name]) for name in fractions)
    )
    if not same:
        raise UsageError(
            f"The splits in {str(root)!r} were drawn with seed {drawn.get('seed')} and fractions "
            f"{before}; ask for those, or delete its split files to draw anew."
        )
