"""One row per picture of an evaluation, in Parquet: what `emosym compare` pairs by id.

Columns: `id`, `picture` (SHA-256 of the picture's file), `label`, `p_<emotion>` (calibrated
probabilities), `raw_<emotion>` (before temperature scaling), `vote_<emotion>` (shares of the
annotators, where there are any), `in_domain` (null without a domain). The schema's metadata holds
under `emosym` a JSON object: schema, emotions, subject (as in a result), seed, versions, git,
created.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from emosym.errors import UsageError
from emosym.evaluation.runner import Painted, ReadSplit
from emosym.files import sha256_of, write_atomic
from emosym.types import StoredImage

PREDICTIONS_SCHEMA = "emosym.predictions/1"
PAINTINGS_SCHEMA = "emosym.painting-predictions/1"
KEY = b"emosym"
FROM_RESULT = ("subject", "seed", "versions", "git", "created")
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Predictions:
    """A predictions file in memory, sorted by id.

    `labels` are class indices (N,) of `emotions`, `calibrated`, `raw` and `votes` (N, C) with rows
    that sum to 1, `about` is the metadata.
    """

    emotions: tuple[str, ...]
    ids: tuple[str, ...]
    pictures: tuple[str, ...]
    labels: np.ndarray
    calibrated: np.ndarray
    raw: np.ndarray
    votes: np.ndarray | None
    about: dict[str, Any]


def write_predictions(path: Path, read: ReadSplit, emotions: Sequence[str]) -> None:
    """Write what was read, atomically; every picture file is read again for its SHA-256.

    Raises:
        EmoSymError: when the disk is full or not writable.
    """
    import pyarrow as pa
    from pyarrow import parquet

    columns: dict[str, Any] = {
        "id": pa.array([_text(name) for name in read.names], pa.string()),
        "picture": pa.array([_digest(picture) for picture in read.paths], pa.string()),
        "label": pa.array([emotions[code] for code in read.labels], pa.string()),
    }
    groups = {"p": read.probabilities, "raw": read.raw, "vote": read.votes}
    for prefix, shares in groups.items():
        if shares is not None:
            for index, emotion in enumerate(emotions):
                columns[f"{prefix}_{emotion}"] = pa.array(shares[:, index], pa.float64())
    columns["in_domain"] = pa.array([r.in_domain for r in read.readings], pa.float64())
    about = {
        "schema": PREDICTIONS_SCHEMA,
        "emotions": list(emotions),
        **{field: read.result.get(field) for field in FROM_RESULT},
    }
    table = pa.table(columns).replace_schema_metadata({KEY: json.dumps(about).encode()})
    write_atomic(path, lambda temporary: parquet.write_table(table, temporary))


def write_painting_predictions(path: Path, painted: Painted) -> None:
    """Write one row a painting, atomically: what was asked, and each judge's probabilities.

    Columns: `asked`, `index`, `seed`, `read` (the model's own reading, null where it does not
    read), `withheld`, `<judge>_<emotion>`.
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
    about = {"schema": PAINTINGS_SCHEMA, **{f: painted.result.get(f) for f in FROM_RESULT}}
    table = pa.table(columns).replace_schema_metadata({KEY: json.dumps(about).encode()})
    write_atomic(path, lambda temporary: parquet.write_table(table, temporary))


def _digest(picture: Path | StoredImage) -> str:
    if isinstance(picture, StoredImage):
        return hashlib.sha256(picture.read()).hexdigest()
    return sha256_of(picture)


def _text(name: str) -> str:
    """Replace what UTF-8 cannot hold: file names may be any bytes."""
    return name.encode("utf-8", "replace").decode("utf-8")


def read_predictions(path: Path) -> Predictions:
    """Read and check a predictions file.

    Raises:
        UsageError: when it is missing, no predictions file, empty, names an id twice, or holds an
            unknown label, NaN or rows that are no probabilities; names the first such id.
    """
    import pyarrow as pa
    from pyarrow import parquet

    if not path.is_file():
        raise UsageError(f"There is no predictions file {path}.")
    try:
        table = parquet.read_table(path)
        about = json.loads((table.schema.metadata or {}).get(KEY, b"null"))
    except (pa.ArrowInvalid, ValueError) as error:
        raise UsageError(f"{path} is not a Parquet file: {error}") from error
    if not isinstance(about, dict) or about.get("schema") != PREDICTIONS_SCHEMA:
        raise UsageError(
            f"{path} is no predictions file ({PREDICTIONS_SCHEMA}); write one with "
            "`emosym evaluate --predictions`."
        )
    emotions = tuple(about["emotions"])
    table = table.sort_by("id") if "id" in table.column_names else table
    ids = tuple(_column(table, "id", path))
    if not ids:
        raise UsageError(f"{path} holds no picture.")
    for name, following in pairwise(ids):
        if name == following:
            raise UsageError(f"{path} names {name!r} twice.")
    spoken = _column(table, "label", path)
    for name, label in zip(ids, spoken, strict=True):
        if label not in emotions:
            raise UsageError(f"{path}: {name!r} has the unknown label {label!r}.")
    voted = any(column.startswith("vote_") for column in table.column_names)
    return Predictions(
        emotions,
        ids,
        tuple(_column(table, "picture", path)),
        np.array([emotions.index(label) for label in spoken]),
        _shares(table, "p", emotions, ids, path),
        _shares(table, "raw", emotions, ids, path),
        _shares(table, "vote", emotions, ids, path) if voted else None,
        about,
    )


def _column(table: Any, name: str, path: Path) -> list[Any]:
    if name not in table.column_names:
        raise UsageError(f"{path} lacks the column {name!r}.")
    return list(table.column(name).to_pylist())


def _shares(
    table: Any, prefix: str, emotions: Sequence[str], ids: Sequence[str], path: Path
) -> np.ndarray:
    columns = [_column(table, f"{prefix}_{emotion}", path) for emotion in emotions]
    shares = np.array(columns, dtype=np.float64).T  # (N, C), null becomes NaN
    good = (shares >= 0.0).all(axis=1) & (np.abs(shares.sum(axis=1) - 1.0) < ROUNDING)  # (N,)
    if not good.all():
        raise UsageError(
            f"{path}: the {prefix}_ columns of {ids[int(good.argmin())]!r} are no probabilities "
            "(NaN, negative, or not summing to 1)."
        )
    return shares


def check_same_samples(first: Predictions, second: Predictions) -> None:
    """Refuse to compare predictions of different samples.

    Raises:
        UsageError: for other emotions, and naming the first id that only one side has, or whose
            picture, label or votes differ.
    """
    if first.emotions != second.emotions:
        raise UsageError(
            f"The label spaces differ: {', '.join(first.emotions)} against "
            f"{', '.join(second.emotions)}."
        )
    sides = (("second", first.ids, second.ids), ("first", second.ids, first.ids))
    for side, names, others in sides:
        known = set(others)
        lost = [name for name in names if name not in known]
        if lost:
            raise UsageError(
                f"The {side} file lacks {lost[0]!r} ({len(lost)} such); compare predictions of "
                "the same pictures."
            )
    for index, name in enumerate(first.ids):
        if first.pictures[index] != second.pictures[index]:
            raise UsageError(f"{name!r} is another picture in the second file (other SHA-256).")
        if first.labels[index] != second.labels[index]:
            told = [first.emotions[side.labels[index]] for side in (first, second)]
            raise UsageError(f"{name!r} is labelled {told[0]} in one file, {told[1]} in the other.")
    if (first.votes is None) != (second.votes is None):
        raise UsageError("Only one of the files has votes.")
    if first.votes is not None and second.votes is not None:
        apart = np.abs(first.votes - second.votes).max(axis=1) > ROUNDING  # (N,)
        if apart.any():
            raise UsageError(f"{first.ids[int(apart.argmax())]!r} has other votes in each file.")
