"""Rationales for training: from a knowledge base where it knows the picture, else its own."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from emosym.annotate.attributes import blind_attributes, describe_attributes
from emosym.annotate.hashing import hashed
from emosym.annotate.knowledge import read_knowledge
from emosym.errors import UsageError
from emosym.files import printable
from emosym.types import Sample

log = logging.getLogger(__name__)


def say_nothing(texts: Sequence[str]) -> bool:
    """Return whether rationales tell no picture from another: all equal, of two or more."""
    return len(texts) > 1 and len(set(texts)) == 1


def own_rationale(sample: Sample) -> str:
    """Return the sample's rationale, else one written from its attributes."""
    return sample.rationale or describe_attributes(blind_attributes(sample.attributes))


def rationales_of(
    samples: Sequence[Sample], knowledge: Path | None = None, blind: bool = True
) -> list[str]:
    """Return one rationale per sample.

    A row of the knowledge base counts when it has the sample's id and the hash of its picture's
    file as it is now. Elsewhere it is the sample's own rationale, else one from its attributes;
    how many and why is logged once.

    Raises:
        UsageError: when the file is no knowledge base, knows none of the samples, or holds
            label-aware rationales while `blind` is asked for.
    """
    if knowledge is None:
        return [own_rationale(sample) for sample in samples]
    rows = read_knowledge(knowledge).rows
    if blind and not all(row.label_blind for row in rows.values()):
        raise UsageError(
            f"{knowledge} holds label-aware rationales: with them set rationale=label_aware, or "
            "annotate anew without --label-aware."
        )
    known = {name for name, _ in rows}
    texts, why = [], Counter[str]()
    for sample, sha256 in hashed(samples):
        name = printable(sample.id)
        row = rows.get((name, sha256))
        if row is not None and row.rationale is not None:
            texts.append(row.rationale)
            continue
        kind = "no answer" if row else "stale" if name in known else "missing"
        why[kind] += 1
        texts.append(own_rationale(sample))
    if samples and why["missing"] == len(samples):
        raise UsageError(
            f"{knowledge} knows none of the {len(samples)} pictures: it was made from another data "
            "set or split."
        )
    if why:
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(why.items()))
        log.warning(
            "%s has a rationale for %d of %d pictures (%s); the others keep their own, or one from "
            "their attributes. `emosym data annotate` fills what is missing or changed.",
            knowledge,
            len(samples) - sum(why.values()),
            len(samples),
            told,
        )
    return texts
