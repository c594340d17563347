"""Readings as rows: nested for JSON, flat for CSV and Parquet, the same columns every time."""

from __future__ import annotations

from typing import Any

from emosym.emotions import LabelSpace
from emosym.types import BadInput, UnderstandingOutput

Row = dict[str, Any]
NORMS = ("valence_norm", "arousal_norm", "dominance_norm")
KEYS = (
    "source",
    "emotion",
    "confidence",
    "polarity",
    *NORMS,
    "in_domain",
    "outside",
    "abstains",
    "probabilities",
    "rationale",
    "causes",
    "reason",
    "error",
)
OUTSIDE = "outside what this preset has seen"
UNSURE = "unsure"


def reading_row(
    source: str, reading: UnderstandingOutput | BadInput, causes: str | None = None
) -> Row:
    """Return one reading, or one input that could not be read, as a row for JSON.

    Every row has the same keys; those of a bad input are None, but for `source` and `error`. Where
    a reading is outside what the model has seen it claims nothing: `emotion`, `polarity` and
    `rationale` are None, and `reason` says so; `probabilities` still tell what is nearest. `causes`
    are of a turn of a conversation: numbers of turns, from 1, "2;3".
    """
    row: Row = dict.fromkeys(KEYS)
    row["source"] = source
    if isinstance(reading, BadInput):
        return row | {"error": reading.error}
    row |= {
        "confidence": reading.confidence,
        **{name: getattr(reading, name) for name in NORMS},
        "in_domain": reading.in_domain,
        "outside": reading.outside,
        "abstains": reading.abstains,
        "probabilities": dict(reading.probabilities),
    }
    if reading.outside:
        return row | {"reason": OUTSIDE}
    return row | {
        "emotion": reading.emotion,
        "polarity": reading.polarity,
        "rationale": reading.rationale,
        "causes": causes,
        "reason": UNSURE if reading.abstains else None,
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
    texts: dict[str, type] = dict.fromkeys(
        ("source", "emotion", "polarity", "rationale", "causes", "reason", "error"), str
    )
    kinds = {**numbers, **texts, "outside": bool, "abstains": bool}
    empty = flat_row(reading_row("", UNREAD), space)
    return {name: kinds.get(name, float) for name in empty}


UNREAD = BadInput("", "")
