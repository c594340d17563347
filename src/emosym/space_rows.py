"""Label spaces as JSON objects, as checkpoints and banks keep them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emosym.emotions import LABEL_SPACES, LabelSpace, checked_labels, norm_of
from emosym.errors import UsageError


def space_row(space: LabelSpace) -> dict[str, Any]:
    """Return a label space as a JSON object, with what is known of each label."""
    norms = [space.norm(label) for label in space.labels]
    return {
        "name": space.name,
        "labels": list(space.labels),
        "neutral": space.neutral,
        "polarity": [space.polarity(label) for label in space.labels],
        "norms": [None if norm is None else list(norm) for norm in norms],
        "several": space.several,
    }


def space_of_row(row: Mapping[str, Any]) -> LabelSpace:
    """Return the label space that `space_row` described: the published one, where it is that.

    Raises:
        UsageError: for labels that cannot be, as `own_space`.
    """
    known = LABEL_SPACES.get(str(row["name"]))
    if known is not None and space_row(known) == dict(row):
        return known
    labels = tuple(str(label) for label in row["labels"])
    if known is not None and known.labels != labels:
        raise UsageError(f"The label space {known.name!r} has other labels than {list(labels)}.")
    if checked_labels(labels) != labels:
        raise UsageError(f"The labels of {row['name']!r} are not as they are stored: {labels}.")
    return LabelSpace(
        str(row["name"]),
        labels,
        row["neutral"],
        tuple(row["polarity"]),
        tuple(norm_of(norm) for norm in row["norms"]),
        bool(row.get("several", False)),
    )
