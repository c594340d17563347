"""A random handful of a bank, of which only the chosen rows are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emosym.errors import EmoSymError
from emosym.memory.schema import BankEntry
from emosym.seeds import numpy_rng

if TYPE_CHECKING:
    from emosym.memory.bank import Bank

STREAM = "bank-sample"


def sample(
    bank: Bank, count: int, seed: int, turn: int = 0, emotion: str | None = None
) -> list[BankEntry]:
    """Return `count` entries drawn without replacement, or all where there are fewer.

    The draw is that of the stream "bank-sample" of (seed, turn), over the entries of one emotion
    or of all.

    Raises:
        UsageError: for an unknown emotion; names the nearest one.
    """
    wanted = None if emotion is None else bank.space.index(emotion)
    while True:
        ledger = bank.ledger()
        places = np.arange(len(ledger.ids))
        if wanted is not None:
            places = np.flatnonzero(ledger.intents == wanted)
        drawn = numpy_rng(seed, STREAM, turn).permutation(places)[: max(0, count)]
        names = [str(name) for name in ledger.ids[drawn]]
        try:
            found = {entry.id: entry for entry in bank.take(drawn)}
        except EmoSymError:
            if bank.version() == ledger.version:
                raise
            continue
        if found.keys() == set(names):
            return [found[name] for name in names]
        # A writer committed between the draw and the read: draw from what there is now.
