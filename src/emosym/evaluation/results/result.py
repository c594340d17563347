"""The one result file: what was measured, on how much, with which seed, judges and versions.

    {"schema": "emosym.result/1", "name", "mode": "corrected" | "compat" | "semeval",
     "values": {metric: number | null | list}, "n", "seed", "extractors": {name: sha256},
     "versions": {package: version}, "git": commit or null, "created": ISO time,
     "subject": {"model": sha256 or null, "split", "ids": sha256, "n", "pictures": sha256,
     "zero_shot": {...}}, "hardware": {"processor", "cores", "gpu"},
     "labels": [class, ...]}

`subject`, which may be missing, says which model met which pictures (`subject_of`); `hardware`,
which older results lack, what it was computed on; `labels`, which others lack, the classes of a
confusion matrix and of lists with one entry a class. A `null`
value is one that is undefined on these samples (such as the AUC of readings that are all
right), never a missing measurement.

`subject.zero_shot` is there where nothing was trained: the preset, and what it was asked; `model`
is then a fingerprint of the weights (`snapshots.fingerprint`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from emosym.device import hardware
from emosym.errors import UsageError
from emosym.files import read_json, write_json
from emosym.provenance import git_hash, package_versions

RESULT_SCHEMA = "emosym.result/1"
MODES = ("corrected", "compat", "semeval")
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "schema": str,
    "name": str,
    "mode": str,
    "values": dict,
    "n": int,
    "seed": int,
    "extractors": dict,
    "versions": dict,
    "git": (str, type(None)),
    "created": str,
}
_OPTIONAL: dict[str, type | tuple[type, ...]] = {"subject": dict, "hardware": dict, "labels": list}
_SUBJECT: dict[str, type | tuple[type, ...]] = {
    "model": (str, type(None)),
    "split": str,
    "ids": str,
    "n": int,
}
_SUBJECT_OPTIONAL: dict[str, type | tuple[type, ...]] = {"zero_shot": dict, "pictures": str}


def make_result(
    name: str,
    values: Mapping[str, Any],
    n: int,
    seed: int,
    mode: str = "corrected",
    extractors: Mapping[str, str] | None = None,
    subject: Mapping[str, Any] | None = None,
    labels: Sequence[str] = (),
) -> dict[str, Any]:
    """Return a validated result with versions, commit and time filled in.

    `extractors` maps each judge or feature network that was asked to its SHA-256; `subject` is
    from `subject_of`, `labels` name the classes of values that have one entry a class.

    Raises:
        UsageError: for a mode, name or value that the schema does not allow.
    """
    result: dict[str, Any] = {
        "schema": RESULT_SCHEMA,
        "name": name,
        "mode": mode,
        "values": dict(values),
        "n": int(n),
        "seed": int(seed),
        "extractors": dict(extractors or {}),
        "versions": package_versions(),
        "git": git_hash(),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "hardware": hardware(),
    }
    if labels:
        result["labels"] = list(labels)
    if subject is not None:
        result["subject"] = dict(subject)
    return validate_result(result, f"the result {name!r}")


def subject_of(
    model: str | None,
    split: str,
    ids: Sequence[str],
    zero_shot: Mapping[str, Any] | None = None,
    pictures: str | None = None,
) -> dict[str, Any]:
    """Return what was measured: a model's SHA-256 on the samples `ids` of a split, in this order.

    `model` is the SHA-256 of the checkpoint's emosym.json, which names its files' checksums.
    `zero_shot` says how a model without our training was asked. The one of `ids` is over the ids in
    UTF-8, each ended by a newline; `pictures` is of their files (`samples.pictures_sha256`).
    """
    digest = hashlib.sha256()
    for name in ids:
        digest.update(name.encode("utf-8", "surrogatepass") + b"\n")
    asked: dict[str, Any] = {}
    if zero_shot is not None:
        asked["zero_shot"] = dict(zero_shot)
    if pictures is not None:
        asked["pictures"] = pictures
    return {"model": model, "split": split, "ids": digest.hexdigest(), "n": len(ids), **asked}


def _is_value(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return math.isfinite(value)
    return isinstance(value, list) and all(_is_value(item) for item in value)


def validate_result(found: Any, where: str) -> dict[str, Any]:
    """Return `found` if it follows the schema.

    Raises:
        UsageError: naming `where` and the first field that is missing, unknown or wrong.
    """
    if not isinstance(found, dict):
        raise UsageError(f"{where} is not a JSON object.")
    if found.get("schema") != RESULT_SCHEMA:
        raise UsageError(
            f"{where} has schema {found.get('schema')!r}; this version reads {RESULT_SCHEMA!r}."
        )
    _check_fields(found, _FIELDS, _OPTIONAL, where)
    if "subject" in found:
        _check_fields(found["subject"], _SUBJECT, _SUBJECT_OPTIONAL, f"{where}, 'subject'")
    if found["mode"] not in MODES:
        raise UsageError(f"{where}: mode must be one of {', '.join(MODES)}, not {found['mode']!r}.")
    if found["n"] < 0:
        raise UsageError(f"{where}: n is {found['n']}, but must be 0 or more.")
    for metric, value in found["values"].items():
        if not isinstance(metric, str) or not _is_value(value):
            raise UsageError(
                f"{where}: {metric!r} must be a finite number, null or a list of them, "
                f"got {value!r}."
            )
    for group in ("extractors", "versions"):
        if not all(isinstance(text, str) for text in found[group].values()):
            raise UsageError(f"{where}: {group!r} must map names to text.")
    return found


def _check_fields(
    found: Mapping[str, Any],
    needed: Mapping[str, type | tuple[type, ...]],
    optional: Mapping[str, type | tuple[type, ...]],
    where: str,
) -> None:
    for field, kind in {**needed, **optional}.items():
        if field not in found:
            if field in optional:
                continue
            raise UsageError(f"{where} lacks {field!r}.")
        if not isinstance(found[field], kind) or isinstance(found[field], bool):
            raise UsageError(f"{where}: {field!r} has the wrong type, got {found[field]!r}.")
    unknown = sorted(set(found) - set(needed) - set(optional))
    if unknown:
        raise UsageError(f"{where} has the unknown field {unknown[0]!r}.")


def write_result(path: Path, result: Mapping[str, Any]) -> None:
    """Validate a result and write it atomically as JSON.

    Raises:
        UsageError: when it does not follow the schema; nothing is written then.
    """
    write_json(path, validate_result(dict(result), str(path)))


def read_result(path: Path) -> dict[str, Any]:
    """Read and validate a result file.

    Raises:
        UsageError: when it is missing, not JSON, or does not follow the schema.
    """
    return validate_result(read_json(path, "result file"), str(path))
