"""What of a frozen sample list is no longer as it was: told from a predictions file, id by id."""

from __future__ import annotations

from dataclasses import dataclass

from emosym.data.dataset import Dataset
from emosym.errors import UsageError
from emosym.evaluation.results.predictions import Predictions
from emosym.evaluation.results.samples import picture_sha256
from emosym.files import printable

SHOWN = 3


@dataclass(frozen=True, slots=True)
class Moved:
    """Ids of a list that a data set lacks, that it has besides, with another picture or label."""

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    changed: tuple[str, ...]
    relabelled: tuple[str, ...]

    def told(self) -> str:
        """Return what moved in words, each with its first ids; empty where nothing did."""
        groups = (
            ("missing", self.missing),
            ("not in the list", self.extra),
            ("other pictures", self.changed),
            ("other labels", self.relabelled),
        )
        return "; ".join(
            f"{words}: {len(ids):,} ({', '.join(ids[:SHOWN])}{', ...' if len(ids) > SHOWN else ''})"
            for words, ids in groups
            if ids
        )


def moved_samples(listed: Predictions, dataset: Dataset) -> Moved:
    """Return how `dataset` differs from the samples `listed` in a predictions file.

    Raises:
        UsageError: when a picture's file is gone.
    """
    rows = {printable(name): row for row, name in enumerate(dataset.ids())}
    known = set(listed.ids)
    labels = dataset.labels()
    changed, relabelled = [], []
    for place, name in enumerate(listed.ids):
        if name not in rows:
            continue
        if picture_sha256(dataset.picture(rows[name])) != listed.pictures[place]:
            changed.append(name)
        code = labels[rows[name]]
        label = dataset.space.labels[code] if code >= 0 else None
        if label != listed.emotions[listed.labels[place]]:
            relabelled.append(name)
    return Moved(
        tuple(name for name in listed.ids if name not in rows),
        tuple(name for name in rows if name not in known),
        tuple(changed),
        tuple(relabelled),
    )


def require_unmoved(listed: Predictions, where: str, dataset: Dataset) -> None:
    """Raise UsageError unless `dataset` holds the samples of a predictions file, all as they were.

    Raises:
        UsageError: saying what moved.
    """
    told = moved_samples(listed, dataset).told()
    if told:
        raise UsageError(
            f"These are not the samples of {where}. {told[0].upper()}{told[1:]}. Give the same "
            "data, split, limit and seed."
        )
