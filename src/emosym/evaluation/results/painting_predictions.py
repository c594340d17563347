"""One row per painting of an evaluation, in Parquet: what was asked, and what each judge saw.

Columns: `asked`, `index`, `seed`, `read` (the model's own reading, null where it does not read),
`withheld`, `<judge>_<emotion>` (probabilities). The schema's metadata holds under `emosym` a JSON
object: schema, emotions, judges, subject and extractors (as in a result), seed, versions, git,
created.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emosym.errors import UsageError
from emosym.evaluation.measure import Painted
from emosym.evaluation.results.predictions import (
    FROM_RESULT,
    KEY,
    column_of,
    emotions_of,
    open_table,
    shares_of,
)
from emosym.files import write_atomic

PAINTINGS_SCHEMA = "emosym.painting-predictions/1"
ROUNDING = 1e-4  # the judges' probabilities are float32


@dataclass(frozen=True, slots=True)
class PaintingPredictions:
    """A file in memory, sorted by (asked, index).

    `keys` are (emotion, index, seed) of each painting, `asked` class indices (P,) of `emotions`,
    `shares` each judge's probabilities (P, C) with rows that sum to 1, `judges` the SHA-256 of
    each, `about` the metadata.
    """

    emotions: tuple[str, ...]
    keys: tuple[tuple[str, int, int], ...]
    asked: np.ndarray
    shares: Mapping[str, np.ndarray]
    judges: Mapping[str, str]
    about: dict[str, Any]


def write_painting_predictions(path: Path, painted: Painted) -> None:
    """Write what was painted and judged, atomically.

    Raises:
        EmoSymError: when the disk is full or not writable.
    """
    import pyarrow as pa
    from pyarrow import parquet

    rows = [(label, i, o) for label, many in painted.outputs.items() for i, o in enumerate(many)]
    columns: dict[str, Any] = {
        "asked": pa.array([label for label, _, _ in rows], pa.string()),
        "index": pa.array([index for _, index, _ in rows], pa.int64()),
        "seed": pa.array([output.seed for _, _, output in rows], pa.int64()),
        "read": pa.array(
            [None if o.reading is None else o.reading.emotion for _, _, o in rows], pa.string()
        ),
        "withheld": pa.array([output.withheld for _, _, output in rows], pa.bool_()),
    }
    for judge, found in painted.shares.items():
        shares = np.concatenate([found[label] for label in painted.outputs])  # (P, C)
        for column, emotion in zip(shares.T, painted.outputs, strict=True):
            columns[f"{judge}_{emotion}"] = pa.array(column, pa.float32())
    about = {
        "schema": PAINTINGS_SCHEMA,
        "emotions": list(painted.outputs),
        "judges": {judge: painted.result["extractors"][judge] for judge in painted.shares},
        **{field: painted.result.get(field) for field in ("extractors", *FROM_RESULT)},
    }
    table = pa.table(columns).replace_schema_metadata({KEY: json.dumps(about).encode()})
    write_atomic(path, lambda temporary: parquet.write_table(table, temporary))


def is_of_paintings(path: Path) -> bool:
    """Return whether a file is of paintings; errors as in `open_table`."""
    return bool(open_table(path)[1].get("schema") == PAINTINGS_SCHEMA)


def read_painting_predictions(path: Path) -> PaintingPredictions:
    """Read and check a file of paintings.

    Raises:
        UsageError: when it is missing, no such file, empty, names a painting twice, has an emotion
            without a painting or another one, unequal numbers of them, or rows that are no
            probabilities.
    """
    table, about = open_table(path)
    judges = about.get("judges")
    if about.get("schema") != PAINTINGS_SCHEMA or not isinstance(judges, dict) or not judges:
        raise UsageError(
            f"{path} is no file of paintings ({PAINTINGS_SCHEMA}); write one with `emosym evaluate "
            "--suites painting`."
        )
    emotions = emotions_of(about, path)
    found = (("asked", str), ("index", int), ("seed", int))
    asked, indices, seeds = (column_of(table, name, path, kind) for name, kind in found)
    counts = Counter(asked)
    for label in counts:
        if label not in emotions:
            raise UsageError(f"{path}: a painting was asked for the unknown emotion {label!r}.")
    if len({counts[label] for label in emotions}) != 1 or not asked:
        told = ", ".join(f"{label} {counts[label]}" for label in emotions)
        raise UsageError(f"{path} needs as many paintings of each emotion, and has {told}.")
    for (label, index), times in Counter(zip(asked, indices, strict=True)).items():
        if times > 1:
            raise UsageError(f"{path} names painting {index} of {label!r} twice.")
    rows = [f"row {number}" for number in range(1, len(asked) + 1)]
    order = sorted(range(len(asked)), key=lambda row: (asked[row], indices[row]))
    names = [(asked[row], indices[row], seeds[row]) for row in order]
    return PaintingPredictions(
        emotions,
        tuple(names),
        np.array([emotions.index(label) for label, _, _ in names]),
        {judge: shares_of(table, judge, emotions, rows, path, ROUNDING)[order] for judge in judges},
        judges,
        about,
    )
