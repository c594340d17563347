"""Readings as rows: nested for JSON, flat for CSV and Parquet, the same columns every time."""

from __future__ import annotations

from typing import Any

from emosym.emotions import LabelSpace
from emosym.types import BadInput, UnderstandingOutput

Row = dict[str, Any]
NORMS = ("valence_norm", "arousal_norm", "dominance_norm")


def reading_row(source: str, reading: UnderstandingOutput | BadInput) -> Row:
    """Return one reading, or one file that could not be read, as a row for JSON.

    Every row has the same keys; those of a bad file are None, but for `source` and `error`.
    """
    row: Row = dict.fromkeys(
        ("source", "emotion", "confidence", "polarity", *NORMS, "in_domain", "outside"), None
    )
    row |= dict.fromkeys(("abstains", "probabilities", "rationale", "error"), None)
    row |= {"source": source}
    if isinstance(reading, BadInput):
        return row | {"error": reading.error}
    return row | {
        "emotion": reading.emotion,
        "confidence": reading.confidence,
        "polarity": reading.polarity,
        **{name: getattr(reading, name) for name in NORMS},
        "in_domain": reading.in_domain,
        "outside": reading.outside,
        "abstains": reading.abstains,
        "probabilities": dict(reading.probabilities),
        "rationale": reading.rationale,
    }


def flat_row(row: Row, space: LabelSpace) -> Row:
    """Return a row with one column p_<emotion> per label instead of nested probabilities."""
    flat = {key: value for key, value in row.items() if key != "probabilities"}
    shares = row["probabilities"] or {}
    flat.update({f"p_{label}": shares.get(label) for label in space.labels})
    return flat


def flat_columns(space: LabelSpace) -> dict[str, type]:
    """Return the columns of `flat_row` with their types, in order."""
    numbers: dict[str, type] = dict.fromkeys(("confidence", *NORMS, "in_domain"), float)
    texts: dict[str, type] = dict.fromkeys(("source", "emotion", "polarity", "rationale"), str)
    kinds = {**numbers, **texts, "outside": bool, "abstains": bool, "error": str}
    empty = flat_row(reading_row("", UNREAD), space)
    return {name: kinds.get(name, float) for name in empty}


UNREAD = BadInput("", "")
