"""Splits of a data set that brings none: drawn once, seeded, and written beside the pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emosym.data.dataset import Dataset
from emosym.data.splits import stratified_split
from emosym.errors import UsageError, unknown_name
from emosym.files import NOTHING, look, read_json, write_json

ALL = "all"
DEFAULT_FRACTIONS: Mapping[str, float] = {"train": 0.8, "val": 0.1, "test": 0.1}
SPLITS = "splits.json"
FORMAT = "emosym.splits/1"


def drawn_split(
    whole: Dataset,
    split: str,
    strata: np.ndarray,
    fractions: Mapping[str, float] = DEFAULT_FRACTIONS,
    seed: int = 0,
) -> Dataset:
    """Return a split of `whole`; the first call for any of them draws all and writes splits.json.

    `strata` (N,) are classes that every split shall hold alike. Later calls read the file, so
    samples that are added afterwards do not move others (they are in no split). "all" is `whole`.

    Raises:
        UsageError: for an unknown split, too few samples, splits on disk that were drawn in
            another way, or that name a sample that is gone.
        EmoSymError: when the folder cannot be written.
    """
    if split == ALL:
        return whole
    if split not in fractions:
        raise unknown_name("split", split, [*fractions, ALL])
    path = whole.root / SPLITS
    if look(path) == NOTHING:
        write_json(path, _draw(whole, strata, fractions, seed), indent=None)
    stored = read_json(path, "list of splits")
    names = _names_of(stored, split, path)
    check_drawn(stored, fractions, seed, str(whole.root))
    rows = {name: row for row, name in enumerate(whole.ids())}
    gone = next((name for name in names if name not in rows), None)
    if gone is not None:
        raise UsageError(
            f"{path} puts {gone!r} into the split {split!r}, but the data set no longer has it; "
            "bring it back, or delete that file to draw anew."
        )
    return whole.subset([rows[name] for name in names], split)


def draw_parts(
    labels: np.ndarray, fractions: Mapping[str, float], seed: int, where: str
) -> dict[str, np.ndarray]:
    """Return stratified, seeded row numbers of every split, none of them empty.

    Raises:
        UsageError: when there are too few samples for one of the splits.
    """
    parts = stratified_split(labels, fractions, seed)
    empty = next((name for name, indices in parts.items() if len(indices) == 0), None)
    if empty is not None:
        raise UsageError(
            f"{where!r} has {len(labels)} pictures, too few for a split {empty!r}; "
            f"use split {ALL!r} or larger fractions."
        )
    return parts


def check_drawn(drawn: object, fractions: Mapping[str, float], seed: int, where: str) -> None:
    """Refuse a description of splits drawn in another way than asked; hand-made ones pass.

    Raises:
        UsageError: when `drawn` names another seed or other fractions.
    """
    if not isinstance(drawn, dict) or "seed" not in drawn:
        return
    before = drawn.get("fractions")
    same = (
        drawn.get("seed") == seed
        and isinstance(before, dict)
        and list(before) == list(fractions)
        and all(_is_close(before[name], fractions[name]) for name in fractions)
    )
    if not same:
        raise UsageError(
            f"The splits in {where!r} were drawn with seed {drawn.get('seed')} and fractions "
            f"{before}; ask for those, or delete its split files to draw anew."
        )


def _is_close(value: object, fraction: float) -> bool:
    return isinstance(value, (int, float)) and math.isclose(value, fraction)


def _draw(
    whole: Dataset, strata: np.ndarray, fractions: Mapping[str, float], seed: int
) -> dict[str, Any]:
    parts = draw_parts(strata, fractions, seed, str(whole.root))
    names = whole.ids()
    return {
        "format": FORMAT,
        "seed": seed,
        "fractions": dict(fractions),
        "splits": {split: [names[row] for row in rows] for split, rows in parts.items()},
    }


def _names_of(stored: Any, split: str, path: Path) -> list[str]:
    splits = stored.get("splits") if isinstance(stored, dict) else None
    names = splits.get(split) if isinstance(splits, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{path} must hold a list of sample ids under splits.{split}.")
    return names
