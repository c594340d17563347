"""Readings of valence and arousal as rows: nested for JSON, flat for CSV and Parquet."""

from __future__ import annotations

from typing import Any

from emosym.types import AffectOutput, BadInput

Row = dict[str, Any]
NUMBERS = (
    "valence",
    "valence_low",
    "valence_high",
    "arousal",
    "arousal_low",
    "arousal_high",
    "valence_9",
    "arousal_9",
    "coverage",
    "in_domain",
)
KEYS = ("source", *NUMBERS, "outside", "nearest", "error")


def to_nine(rating: float) -> float:
    """Return a rating of 1..7 on the scale of 1..9, linearly."""
    return 1.0 + (rating - 1.0) * 8.0 / 6.0


def no_words(model: str, option: str) -> str:
    """Say that a model of photographs has no words for why, which `option` asks for."""
    return f"{model} tells valence and arousal, without words for why: leave out {option}."


def affect_row(source: str, reading: AffectOutput | BadInput) -> Row:
    """Return one reading, or one picture that could not be read, as a row for JSON.

    Every row has the same keys; those of a bad input are None, but for `source` and `error`.
    Ratings are of 1..7, as people gave them; `valence_9` and `arousal_9` the same on 1..9.
    """
    row: Row = dict.fromkeys(KEYS)
    row["source"] = source
    if isinstance(reading, BadInput):
        return row | {"error": reading.error}
    return row | {
        **reading.to_dict(),
        "valence_9": to_nine(reading.valence),
        "arousal_9": to_nine(reading.arousal),
        "nearest": [rated.name for rated in reading.nearest],
    }


def flat_affect(row: Row) -> Row:
    """Return a row with the names of the nearest pictures in one cell: "Fire 5;Fire 9"."""
    near = row["nearest"]
    return {**row, "nearest": None if near is None else ";".join(near)}


def affect_columns() -> dict[str, type]:
    """Return the columns of `flat_affect` with their types, in order."""
    kinds: dict[str, type] = {**dict.fromkeys(NUMBERS, float), "outside": bool}
    return {key: kinds.get(key, str) for key in KEYS}
