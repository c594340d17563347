"""Readings as rows: nested for JSON, flat for CSV and Parquet, the same columns every time."""

from __future__ import annotations

from typing import Any

from emosym.emotions import LabelSpace
from emosym.service.affect_rows import affect_columns, flat_affect
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
    "labels",
    "reason",
    "error",
)
OUTSIDE = "outside what this preset has seen"
UNSURE = "unsure"
BELOW = "below its threshold"


def reading_row(
    source: str, reading: UnderstandingOutput | BadInput, causes: str | None = None
) -> Row:
    """Return one reading, or one input that could not be read, as a row for JSON.

    Every row has the same keys; those of a bad input are None, but for `source` and `error`. Where
    a reading is outside what the model has seen it claims nothing: `emotion`, `polarity` and
    `rationale` are None, and `reason` says so; `probabilities` still tell what is nearest. `causes`
    are of a turn of a conversation: numbers of turns, from 1, "2;3". `labels`, of a model whose
    labels do not exclude each other, are all that reach their thresholds; where none does,
    `emotion` is the most probable one, and `reason` says that it is below its own.
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
        "labels": None if reading.labels is None else list(reading.labels),
        "polarity": reading.polarity,
        "rationale": reading.rationale,
        "causes": causes,
        "reason": reason_of(reading),
    }


def selective(row: Row) -> Row:
    """Return a row that names nothing where its reading abstains; its probabilities stay."""
    if row["error"] is not None or not row["abstains"]:
        return row
    return row | dict.fromkeys(("emotion", "labels", "polarity", "rationale"))


def named_labels(reading: UnderstandingOutput) -> str:
    """Return what a reading says of emotions, "joy, surprise"; of one below its threshold that."""
    if reading.labels == ():
        return f"{reading.emotion} ({BELOW})"
    return ", ".join(reading.labels or (reading.emotion,))


def reason_of(reading: UnderstandingOutput) -> str | None:
    """Return why the emotion of a reading is not to be relied on; None where nothing says so."""
    if reading.labels == ():
        return BELOW
    return UNSURE if reading.abstains else None


def flat_row(row: Row, space: LabelSpace | None) -> Row:
    """Return a row with one column p_<emotion> per label instead of nested probabilities.

    `labels` become "joy;surprise". Without a label space the row is one of `affect_rows`.
    """
    if space is None:
        return flat_affect(row)
    flat = {key: value for key, value in row.items() if key != "probabilities"}
    flat["labels"] = None if row["labels"] is None else ";".join(row["labels"])
    shares = row["probabilities"] or {}
    flat.update({f"p_{label}": shares.get(label) for label in space.labels})
    return flat


def flat_columns(space: LabelSpace | None) -> dict[str, type]:
    """Return the columns of `flat_row` with their types, in order."""
    if space is None:
        return affect_columns()
    numbers: dict[str, type] = dict.fromkeys(("confidence", *NORMS, "in_domain"), float)
    texts: dict[str, type] = dict.fromkeys(
        ("source", "emotion", "labels", "polarity", "rationale", "causes", "reason", "error"), str
    )
    kinds = {**numbers, **texts, "outside": bool, "abstains": bool}
    empty = flat_row(reading_row("", UNREAD), space)
    return {name: kinds.get(name, float) for name in empty}


UNREAD = BadInput("", "")
