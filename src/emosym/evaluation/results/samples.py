"""Frozen sample lists: which pictures a result is of, and whether they are still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emosym.data.dataset import Dataset
from emosym.errors import UsageError
from emosym.evaluation.results.result import subject_of
from emosym.files import sha256_of
from emosym.types import StoredImage


def picture_sha256(source: Path | StoredImage) -> str:
    """Return the SHA-256 of a picture's file, or of its bytes in a table.

    Raises:
        UsageError: when the file is gone.
    """
    if isinstance(source, StoredImage):
        return hashlib.sha256(source.read()).hexdigest()
    if not source.is_file():
        raise UsageError(f"The picture {source} is gone.")
    return sha256_of(source)


def pictures_sha256(dataset: Dataset) -> str:
    """Return one SHA-256 over those of all pictures, in the data set's order.

    Raises:
        UsageError: when a file is gone.
    """
    digest = hashlib.sha256()
    for index in range(len(dataset)):
        digest.update(bytes.fromhex(picture_sha256(dataset.picture(index))))
    return digest.hexdigest()


def require_same_samples(result: Mapping[str, Any], where: str, dataset: Dataset) -> None:
    """Raise UsageError unless `dataset` holds the very samples that a result was measured on.

    Raises:
        UsageError: for a result that names no samples, other ids, or other pictures.
    """
    subject = result.get("subject")
    if not isinstance(subject, Mapping):
        raise UsageError(f"{where} does not say which samples it is of.")
    own = subject_of(None, dataset.split, dataset.ids())
    if (own["ids"], own["n"]) != (subject["ids"], subject["n"]):
        raise UsageError(
            f"{where} is of {subject['n']:,} samples of {subject['split']!r}, and these are "
            f"{own['n']:,} others of {own['split']!r}. Give the same data, split, limit and seed."
        )
    if "pictures" in subject and subject["pictures"] != pictures_sha256(dataset):
        raise UsageError(
            f"The ids are those of {where}, but their pictures have changed; a file of its "
            "--predictions would tell which."
        )
