"""What is held out, as a command names it: a list of hashes, or another data set's test."""

from __future__ import annotations

from pathlib import Path

from emosym.data.held_out import HASH, hashes_of, read_hashes
from emosym.data.sources.detect import detect_source, splits_to_check
from emosym.data.sources.hub import NO_OPTIONS
from emosym.data.sources.open import open_dataset
from emosym.data.sources.own_labels import SOURCE_SPACES, space_of_source
from emosym.data.tables import head_text
from emosym.errors import UsageError
from emosym.files import FILE, NOTHING, look


def held_out_hashes(place: Path) -> frozenset[str]:
    """Return the hashes of what stands in a test that `place` names.

    A text file of hashes, one a line; else a data set's folder or file, of which the split "test"
    counts where there is one, else all of it.

    Raises:
        UsageError: when there is nothing at `place`, or no conversations.
    """
    kind = look(place)
    if kind == NOTHING:
        raise UsageError(f"There is nothing held out at {str(place)!r}: no such file or folder.")
    if kind == FILE:
        lines = [line.strip() for line in head_text(place).split("\n")]
        first = next((line for line in lines if line and not line.startswith("#")), "")
        if HASH.fullmatch(first.lower()):
            return read_hashes(place)
    source = detect_source(place)
    if source not in SOURCE_SPACES:
        raise UsageError(
            f"What is held out must be a list of hashes or a data set of conversations or texts "
            f"({', '.join(SOURCE_SPACES)}); {str(place)!r} is neither."
        )
    splits = splits_to_check(source, place, space_of_source(source), NO_OPTIONS)[0]
    chosen = [split for split in splits if split == "test"] or splits
    return hashes_of(open_dataset(source, place, split, notes=[]) for split in chosen)
