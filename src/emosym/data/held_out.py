"""Dialogues that stand in another set's test: found by hashes of what is said, and dropped.

Sets that are cut from one series share dialogues, with words and times edited. A dialogue with
three or more utterances of a test is not to be trained on.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from emosym.data.dataset import Dataset
from emosym.data.text import compared
from emosym.errors import UsageError
from emosym.files import read_text
from emosym.types import Turn

FEWEST_WORDS = 5  # shorter ones ("Oh my God!") are said everywhere
SHARED = 3  # so many shared utterances make a dialogue another set's
HASH = re.compile(r"[0-9a-f]{16}")
NOTHING_HELD: frozenset[str] = frozenset()
logger = logging.getLogger(__name__)


def utterance_hash(text: str) -> str:
    """Return the first 16 hex digits of the SHA-256 of the letters a-z and digits of a text."""
    return hashlib.sha256(compared(text).encode()).hexdigest()[:16]


def read_hashes(path: Path) -> frozenset[str]:
    """Read a list of hashes, one a line; blank lines and those that begin with # are passed over.

    Raises:
        UsageError: when the file is missing, or a line is no hash.
    """
    found = set()
    for number, line in enumerate(read_text(path, "list of held-out utterances").split("\n"), 1):
        word = line.strip().lower()
        if not word or word.startswith("#"):
            continue
        if not HASH.fullmatch(word):
            raise UsageError(
                f"{path}, line {number}: {line!r:.60} is no hash of 16 hexadecimal digits."
            )
        found.add(word)
    return frozenset(found)


def hashes_of(datasets: Iterable[Dataset]) -> frozenset[str]:
    """Return the hashes of all utterances of five words or more in some data sets.

    A word without a letter a-z or a digit does not count: nothing of it is in the hash.
    """
    return frozenset(
        utterance_hash(turn.text)
        for dataset in datasets
        for turns in conversations_of(dataset).values()
        for turn in turns
        if turn.text and sum(bool(compared(word)) for word in turn.text.split()) >= FEWEST_WORDS
    )


def shared_utterances(dataset: Dataset, hashes: frozenset[str]) -> dict[int, int]:
    """Return how many turns of each conversation are among `hashes`, where any are."""
    counts = {
        number: sum(bool(turn.text) and utterance_hash(str(turn.text)) in hashes for turn in turns)
        for number, turns in conversations_of(dataset).items()
    }
    return {number: count for number, count in counts.items() if count}


def without_held_out(dataset: Dataset, hashes: frozenset[str], shared: int = SHARED) -> Dataset:
    """Return a data set without the conversations that share so many utterances with a test.

    Raises:
        UsageError: for pictures, or when none is left.
    """
    if dataset.places is None:
        raise UsageError("held_out is for conversations; this data set holds pictures.")
    counts = shared_utterances(dataset, hashes)
    dropped = [number for number, count in counts.items() if count >= shared]
    kept = ~np.isin(dataset.places[:, 0], dropped)
    if not kept.any():
        raise UsageError(
            f"Every conversation of {str(dataset.root)!r} ({dataset.split}) stands in the held-out "
            "test; train on another split."
        )
    if dropped:
        logger.warning(
            "Dropped %d conversations (%d samples) of %s that stand in the held-out test.",
            len(dropped),
            int((~kept).sum()),
            dataset.split,
        )
    return dataset.subset(np.flatnonzero(kept))


def conversations_of(dataset: Dataset) -> dict[int, tuple[Turn, ...]]:
    """Return the turns of each conversation that has a sample, by its number."""
    places = np.unique(dataset.places[:, 0]).tolist() if dataset.places is not None else []
    return {number: dataset.conversations[number] for number in places}
