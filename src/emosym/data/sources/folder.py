"""A folder of pictures as a data set: emotion-named subfolders are labels, anything else is not."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emosym.data.dataset import NO_LABEL, Dataset
from emosym.data.notes import Notes, complain
from emosym.data.sources.emoset import INFO, MAX_INFO_BYTES, from_rows, load_emoset
from emosym.data.stored_splits import ALL, DEFAULT_FRACTIONS, check_drawn, draw_parts
from emosym.data.walk import Passed, data_folder, find_images, passed_over
from emosym.emotions import LabelSpace, label_space, normal
from emosym.errors import UsageError, unknown_name
from emosym.files import FILE, FOLDER, NOTHING, look, read_json, write_json
from emosym.types import BadInput

logger = logging.getLogger(__name__)


def load_folder(
    root: str | Path,
    split: str = ALL,
    space: str | LabelSpace = "mikels8",
    notes: Notes | None = None,
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
            are emotions (with `notes` the pictures in the others have no label, and the list tells
            of each), or a split on disk that was drawn with another seed or other fractions.
    """
    base, labels = Path(root), label_space(space)
    divided = split_folders(base, fractions)
    if divided:
        if split not in divided:
            raise unknown_name(
                f"split of {str(root)!r}, which has folders of splits,", split, divided
            )
        return scan(base / split, labels, split, notes)
    if split == ALL:
        return scan(base, labels, notes=notes)
    if look(base / f"{split}.json") != NOTHING:
        check_drawn(described(base).get("split"), fractions, seed, str(base))
    elif split in fractions:
        write_splits(base, labels, fractions, seed)
    else:
        raise unknown_name("split", split, [*fractions, ALL])
    return load_emoset(base, split, space, notes)


def split_folders(root: Path, names: Mapping[str, float] = DEFAULT_FRACTIONS) -> list[str]:
    """Return the splits that a folder has as subfolders."""
    return [name for name in names if look(root / name) == FOLDER]


def scan(root: Path, space: LabelSpace, split: str = ALL, notes: Notes | None = None) -> Dataset:
    """Return every picture under `root` in path order; ids are relative paths.

    Raises:
        UsageError: as `load_folder`.
    """
    passed: Passed = Counter()
    relative = []
    for found in find_images([data_folder(root)], passed):
        if isinstance(found, BadInput):
            complain(notes, "bad_row", found.source, UsageError(found.error))
        else:
            relative.append(found.relative_to(root))
    if passed and notes is None:
        logger.warning("Passed over in %s: %s.", root, "; ".join(passed_over(passed)))
    tops = {path.parts[0] if len(path.parts) > 1 else None for path in relative}
    named = {top for top in tops if top is not None and space.find(top) is not None}
    strange: dict[str | None, UsageError] = {}
    if named:
        strange = {top: _stranger(root, top, space) for top in tops - named}
    for path in relative:
        top = path.parts[0] if len(path.parts) > 1 else None
        if top in strange:
            complain(notes, "unknown_label", path.as_posix(), strange[top], top or "(no folder)")
    rows = [
        [
            normal(path.parts[0]) if path.parts[0] in named else None,
            path.as_posix(),
            path.as_posix(),
            None,
        ]
        for path in relative
    ]
    return from_rows(rows, root, split, space, root)


def _stranger(root: Path, top: str | None, space: LabelSpace) -> UsageError:
    """Return what is wrong with pictures beside emotion folders."""
    if top is not None:
        return unknown_name(f"emotion folder in {str(root)!r}", top, space.labels)
    return UsageError(
        f"{str(root)!r} holds emotion folders and also loose pictures; move those into "
        "the folder of their emotion."
    )


def write_splits(
    root: Path, space: LabelSpace, fractions: Mapping[str, float], seed: int
) -> dict[str, int]:
    """Draw stratified splits of a folder, write them in EmoSet's layout, and return their sizes.

    Raises:
        UsageError: when a split would be empty, or as `load_folder`.
        EmoSymError: when the folder cannot be written.
    """
    whole = scan(root, space)
    parts = draw_parts(whole.labels(), fractions, seed, str(root))
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
    return dataset.space.labels[code] if code != NO_LABEL else None


def _info(
    root: Path, space: LabelSpace, fractions: Mapping[str, float], seed: int
) -> dict[str, Any]:
    """Return the folder's description with how its splits were drawn; what was there stays."""
    maps = {
        "label2idx": {label: code for code, label in enumerate(space.labels)},
        "idx2label": {str(code): label for code, label in enumerate(space.labels)},
    }
    drawn = {"seed": seed, "fractions": dict(fractions)}
    return {"emotion": maps, **described(root), "split": drawn}


def described(root: Path) -> dict[str, Any]:
    """Return a folder's info.json, or nothing where there is none or it is no JSON object."""
    if look(root / INFO) != FILE:
        return {}
    info = read_json(root / INFO, "data set description", MAX_INFO_BYTES)
    return info if isinstance(info, dict) else {}
