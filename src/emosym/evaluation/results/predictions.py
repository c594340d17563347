"""One row per picture of an evaluation, in Parquet: what `emosym compare` pairs by id.

Columns: `id`, `picture` (SHA-256 of the picture's file), `label`, `p_<emotion>` (calibrated
probabilities), `raw_<emotion>` (before temperature scaling), `vote_<emotion>` (shares of the
annotators, where there are any), `in_domain` (null without a domain). The schema's metadata holds
under `emosym` a JSON object: schema, emotions, subject (as in a result), seed, versions, git,
created.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from emosym.errors import UsageError
from emosym.evaluation.measure import ReadSplit
from emosym.evaluation.results.samples import picture_sha256
from emosym.files import printable, write_atomic

PREDICTIONS_SCHEMA = "emosym.predictions/1"
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
        "id": pa.array([printable(name) for name in read.names], pa.string()),
        "picture": pa.array([picture_sha256(picture) for picture in read.paths], pa.string()),
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


def read_predictions(path: Path) -> Predictions:
    """Read and check a predictions file.

    Raises:
        UsageError: when it is missing, no predictions file, empty, names an id twice or not at
            all, or holds an unknown label, NaN or rows that are no probabilities; names the first
            such id.
    """
    table, about = open_table(path)
    if about.get("schema") != PREDICTIONS_SCHEMA:
        raise UsageError(
            f"{path} is no predictions file ({PREDICTIONS_SCHEMA}); write one with "
            "`emosym evaluate --predictions`."
        )
    emotions = emotions_of(about, path)
    ids = tuple(column_of(table, "id", path, str))
    if not ids:
        raise UsageError(f"{path} holds no picture.")
    table = table.sort_by("id")
    ids = tuple(column_of(table, "id", path, str))
    for name, following in pairwise(ids):
        if name == following:
            raise UsageError(f"{path} names {name!r} twice.")
    spoken = column_of(table, "label", path)
    for name, label in zip(ids, spoken, strict=True):
        if label not in emotions:
            raise UsageError(f"{path}: {name!r} has the unknown label {label!r}.")
    voted = any(column.startswith("vote_") for column in table.column_names)
    return Predictions(
        emotions,
        ids,
        tuple(column_of(table, "picture", path, str)),
        np.array([emotions.index(label) for label in spoken]),
        shares_of(table, "p", emotions, [repr(name) for name in ids], path),
        shares_of(table, "raw", emotions, [repr(name) for name in ids], path),
        shares_of(table, "vote", emotions, [repr(name) for name in ids], path) if voted else None,
        about,
    )


def open_table(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return a Parquet table and what its metadata says under `emosym` (nothing for others').

    Raises:
        UsageError: when the file is missing, or no Parquet file.
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
    return table, about if isinstance(about, dict) else {}


def emotions_of(about: dict[str, Any], path: Path) -> tuple[str, ...]:
    """Return the label space that a file's metadata names; a UsageError when it names none."""
    named = about.get("emotions")
    if not isinstance(named, list) or not named or not all(isinstance(n, str) for n in named):
        raise UsageError(f"{path} does not say which emotions it is of; write it again.")
    return tuple(named)


def column_of(
    table: Any, name: str, path: Path, kind: type | tuple[type, ...] = object
) -> list[Any]:
    """Return a column's values; a UsageError when it is missing or one is not of `kind`."""
    if name not in table.column_names:
        raise UsageError(f"{path} lacks the column {name!r}.")
    values = list(table.column(name).to_pylist())
    for row, value in enumerate(values, start=1):
        if not isinstance(value, kind):
            raise UsageError(f"{path}: the column {name!r} of row {row} holds {value!r}.")
    return values


def shares_of(
    table: Any,
    prefix: str,
    emotions: Sequence[str],
    names: Sequence[str],
    path: Path,
    rounding: float = ROUNDING,
) -> np.ndarray:
    """Return the columns `prefix`_<emotion> (N, C); a UsageError names the first bad row.

    A row is bad whose numbers are no probabilities: null, NaN, negative, or not summing to 1.
    """
    kinds = (float, int, type(None))
    columns = [column_of(table, f"{prefix}_{emotion}", path, kinds) for emotion in emotions]
    shares = np.array(columns, dtype=np.float64).T  # (N, C), null becomes NaN
    good = (shares >= 0.0).all(axis=1) & (np.abs(shares.sum(axis=1) - 1.0) < rounding)  # (N,)
    if not good.all():
        raise UsageError(
            f"{path}: the {prefix}_ columns of {names[int(good.argmin())]} are no probabilities "
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
