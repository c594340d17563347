"""Action units of a face over time, as OpenFace and py-feat write them: the peak, what it shows.

Codes are those of `data.action_units`. OpenFace gives intensities of 0..5 (`AU01_r`) and presence
(`AU01_c`), py-feat one value of 0..1 (`AU01`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emosym.data.action_units import unit_code
from emosym.data.tables import Table, read_table
from emosym.errors import UsageError

TIMES = ("timestamp", "time", "seconds")
SEEN_OPENFACE, SEEN_PYFEAT = 1.0, 0.5  # intensities from which a unit counts as present


@dataclass(frozen=True, slots=True, eq=False)
class ActionUnits:
    """F rows with a face. `intensity` (F, U) is 0..5 or 0..1, or NaN; `present` (F, U) is bool.

    `frames` int64 (F,) counts frames from 0, `seconds` float64 (F,) is NaN where not told.
    """

    units: tuple[str, ...]
    intensity: np.ndarray
    present: np.ndarray
    frames: np.ndarray
    seconds: np.ndarray


@dataclass(frozen=True, slots=True)
class Peak:
    """The frame in which a face moves most: its number from 0, its second or None, its units."""

    frame: int
    seconds: float | None
    units: tuple[str, ...]


def is_action_units(table: Table) -> bool:
    """Tell whether a table has columns of action units."""
    return bool(_unit_columns(table))


def read_action_units(path: Path) -> ActionUnits:
    """Read a CSV of OpenFace or py-feat; rows in which no face was found are left out.

    Raises:
        UsageError: for a file without such columns, or without a face in any row.
    """
    table = read_table(path)
    found = _unit_columns(table)
    if not found:
        raise UsageError(
            f"{path} has no columns of action units (AU01_r and the like of OpenFace, AU01 of "
            "py-feat)."
        )
    units = tuple(sorted({unit for unit, _ in found}))
    cells = np.array(
        [[_number(row, place) for place in range(len(table.header))] for row in table.rows]
    )  # (F, columns)
    nothing = np.full(len(cells), np.nan)

    def column(unit: str, *kinds: str) -> np.ndarray:
        place = next((found[unit, kind] for kind in kinds if (unit, kind) in found), None)
        return nothing if place is None else cells[:, place]

    intensity = np.stack([column(unit, "r", "") for unit in units], axis=1)
    told = np.stack([column(unit, "c") for unit in units], axis=1)
    openface = any(kind for _, kind in found)
    seen = intensity >= (SEEN_OPENFACE if openface else SEEN_PYFEAT)
    present = np.where(np.isnan(told), seen, told >= 0.5)
    success = _column(table, cells, ("success",))
    usable = np.isfinite(np.where(np.isnan(intensity), told, intensity)).any(axis=1)
    usable &= np.isnan(success) | (success > 0)
    if not usable.any():
        raise UsageError(f"{path} tells of no face: no row has action units.")
    frames = _column(table, cells, ("frame",)) - (1 if openface else 0)  # OpenFace counts from 1
    frames = np.where(np.isfinite(frames), frames, np.arange(len(cells))).clip(0)
    seconds = _column(table, cells, TIMES)
    kept = (values[usable] for values in (intensity, present, frames.astype(np.int64), seconds))
    return ActionUnits(units, *kept)


def peak_of(found: ActionUnits) -> Peak:
    """Return the row of the greatest sum of intensities, the first of equal ones."""
    row = int(np.nansum(found.intensity, axis=1).argmax())
    seconds = float(found.seconds[row])
    return Peak(
        int(found.frames[row]),
        None if math.isnan(seconds) else seconds,
        tuple(u for u, seen in zip(found.units, found.present[row].tolist(), strict=True) if seen),
    )


def _unit_columns(table: Table) -> dict[tuple[str, str], int]:
    """Return where each unit stands, by code and kind: "r" intensity, "c" presence, "" neither."""
    found: dict[tuple[str, str], int] = {}
    for place, name in enumerate(table.header):
        word = name.strip().lower()
        code = unit_code(word) if word.startswith("au") else None
        if code is not None:
            found[code, word[-1] if word.endswith(("_r", "_c")) else ""] = place
    return found


def _column(table: Table, cells: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    place = next((table.columns[name] for name in names if name in table.columns), None)
    return np.full(len(cells), np.nan) if place is None else cells[:, place]


def _number(row: tuple[str, ...], place: int) -> float:
    try:
        value = float(row[place])
    except (IndexError, ValueError):
        return math.nan
    return value if math.isfinite(value) else math.nan
