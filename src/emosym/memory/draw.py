"""Random entries and nearest ones: chosen in memory, and only the chosen rows are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emosym.errors import EmoSymError
from emosym.memory.policies import Ints
from emosym.memory.schema import column
from emosym.seeds import numpy_rng

if TYPE_CHECKING:
    import pyarrow as pa

    from emosym.memory.bank import Bank
    from emosym.memory.ledger import Ledger

STREAM = "bank-sample"


def sample_rows(
    bank: Bank,
    names: Sequence[str] | None,
    count: int,
    seed: int,
    turn: int,
    emotion: str | None,
) -> pa.Table | None:
    """Return columns (None: all) of `count` rows drawn without replacement, in drawn order.

    All where there are fewer, None where there are none. The draw is that of the stream
    "bank-sample" of (seed, turn), over the entries of one emotion or of all.

    Raises:
        UsageError: for an unknown emotion; names the nearest one.
    """
    wanted = None if emotion is None else bank.space.index(emotion)

    def drawn(ledger: Ledger) -> Ints:
        places = np.arange(len(ledger.ids))
        if wanted is not None:
            places = np.flatnonzero(ledger.intents == wanted)
        rng = numpy_rng(seed, STREAM, turn)
        chosen: Ints = rng.choice(places, min(max(0, count), len(places)), replace=False)
        return chosen

    return rows_at(bank, names, drawn)


def rows_at(
    bank: Bank, names: Sequence[str] | None, choose: Callable[[Ledger], Ints]
) -> pa.Table | None:
    """Return the rows at the places that `choose` finds in a ledger, in its order.

    A writer may commit between the choice and the read: then it is made again.
    """
    asked = None if names is None else list(dict.fromkeys(("id", *names)))
    while True:
        ledger = bank.ledger()
        try:
            places = choose(ledger)
            if not len(places):
                return None
            rows = bank.take(places, asked)
        except EmoSymError:
            if bank.version() == ledger.version:
                raise
            continue
        found = {str(name): row for row, name in enumerate(column(rows, "id"))}
        ids = [str(name) for name in ledger.ids[places]]
        if found.keys() == set(ids):
            return rows.take([found[name] for name in ids])


def closest(
    ledger: Ledger, vector: NDArray[Any], k: int, wanted: int | None
) -> tuple[Ints, NDArray[Any]]:
    """Return the places (<= k,) of the features nearest to a vector (D,), and their cosines.

    Best first, equal ones in the order they were added; a zero feature has cosine 0.
    """
    unit = vector / np.linalg.norm(vector)
    places, cosines = [], []
    for emotion, kin in ledger.kin().items():
        if wanted in (None, emotion) and len(kin.rows):
            cosine = kin.rows @ unit / np.where(kin.norms > 0.0, kin.norms, np.inf)  # (m,)
            best = np.arange(len(cosine)) if len(cosine) <= k else np.argpartition(-cosine, k)[:k]
            places.append(kin.places[best])
            cosines.append(cosine[best])
    if not places:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    place, cosine = np.concatenate(places), np.concatenate(cosines)
    order = np.lexsort((place, -cosine))[:k]
    return place[order], cosine[order]
