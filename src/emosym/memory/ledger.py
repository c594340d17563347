"""What a handle keeps in memory of its table, so that a batch costs no read of all entries.

A `Ledger` belongs to one version. The handle carries it over its own commits; after a commit by
another it is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emosym.emotions import LabelSpace
from emosym.errors import EmoSymError
from emosym.memory.duplicates import Kin
from emosym.memory.policies import Ints
from emosym.memory.schema import BankEntry, utc

Read = Callable[[Sequence[str]], Mapping[str, NDArray[Any]]]
SCALARS = ("created", "confidence", "informativeness")
UTC_SUFFIX = "+00:00"  # every stored time ends so; numpy's times have no offset


class Column:
    """Rows that grow in place: appending costs what is appended, not what is there."""

    def __init__(self, rows: NDArray[Any]) -> None:
        """Hold rows (N, ...)."""
        self._buffer, self._count = rows, len(rows)

    @property
    def rows(self) -> NDArray[Any]:
        """The rows (N, ...), as a view that the next change may invalidate."""
        return self._buffer[: self._count]

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows at the end."""
        count = self._count + len(rows)
        if count > len(self._buffer):
            room = max(count, self._count * 5 // 4 + 64)
            grown = np.empty((room, *rows.shape[1:]), self._buffer.dtype)
            grown[: self._count] = self.rows
            self._buffer = grown
        self._buffer[self._count : count] = rows
        self._count = count

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Drop the rows where `kept` (N,) is False."""
        self._buffer = self.rows[kept]
        self._count = len(self._buffer)


class Ledger:
    """Ids and intents of one version of a table, and more of it once that is asked for."""

    def __init__(self, version: int, space: LabelSpace, read: Read) -> None:
        """Read ids and intents; `read` returns columns of this version by name."""
        self.version = version
        self._space, self._read = space, read
        found = read(["id", "intent"])
        self._ids = Column(found["id"].astype(object))
        self.known: set[str] = set(found["id"].tolist())
        self._intents = Column(self._indices(found["intent"]))
        self._scalars: dict[str, Column] = {}
        self._features: dict[int, Column] | None = None
        self._norms: dict[int, Column] = {}

    @property
    def ids(self) -> NDArray[Any]:
        """The ids (M,), in the order they were added."""
        return self._ids.rows

    @property
    def intents(self) -> Ints:
        """The class indices (M,) asked for."""
        return self._intents.rows

    def _more(self, names: Sequence[str]) -> Mapping[str, NDArray[Any]]:
        """Read further columns of the same entries; EmoSymError where there are others by now."""
        found = self._read(["id", *names])
        if found["id"].tolist() != self.ids.tolist():
            raise EmoSymError("The memory bank was changed meanwhile by another; start again.")
        return found

    def scalars(self, name: str) -> NDArray[Any]:
        """Return one of SCALARS (M,); times are microseconds since 1970."""
        if not self._scalars:
            found = self._more(SCALARS)
            self._scalars = {key: Column(_numbers(key, found[key])) for key in SCALARS}
        return self._scalars[name].rows

    def kin(self) -> dict[int, Kin]:
        """Return the features by class index, for `duplicates.twins_among`."""
        if self._features is None:
            rows = self._more(["feature"])["feature"]
            here = {e: self.intents == e for e in np.unique(self.intents).tolist()}
            self._features = {e: Column(rows[mine]) for e, mine in here.items()}
            self._norms = {e: Column(_lengths(c.rows)) for e, c in self._features.items()}
        return {
            emotion: Kin(
                column.rows, self._norms[emotion].rows, np.flatnonzero(self.intents == emotion)
            )
            for emotion, column in self._features.items()
        }

    def extend(self, entries: Sequence[BankEntry], version: int) -> None:
        """Follow an append of `entries` that made `version`."""
        self.version = version
        ids, intents = [e.id for e in entries], self._indices([e.intent for e in entries])
        self.known.update(ids)
        self._ids.append(np.asarray(ids, dtype=object))
        self._intents.append(intents)
        for name, column in self._scalars.items():
            values = [
                utc(e.provenance.created) if name == "created" else getattr(e, name)
                for e in entries
            ]
            column.append(_numbers(name, np.asarray(values)))
        if self._features is None:
            return
        for emotion in np.unique(intents).tolist():
            mine = np.flatnonzero(intents == emotion).tolist()
            rows = np.stack([entries[i].feature for i in mine])
            if emotion in self._features:
                self._features[emotion].append(rows)
                self._norms[emotion].append(_lengths(rows))
            else:
                self._features[emotion] = Column(rows)
                self._norms[emotion] = Column(_lengths(rows))

    def drop(self, ids: Collection[str], version: int) -> None:
        """Follow a deletion of `ids` that made `version`."""
        self.version = version
        gone = set(ids)
        kept = np.fromiter((name not in gone for name in self.ids), bool, len(self.ids))
        for emotion, column in (self._features or {}).items():
            mine = kept[self.intents == emotion]
            column.keep(mine)
            self._norms[emotion].keep(mine)
        for column in (self._ids, self._intents, *self._scalars.values()):
            column.keep(kept)
        self.known -= gone

    def _indices(self, names: Sequence[str] | NDArray[Any]) -> Ints:
        """Return the class indices of names, each name looked up once."""
        if not len(names):
            return np.zeros(0, dtype=np.int64)
        distinct, places = np.unique(np.asarray(names, dtype=str), return_inverse=True)
        known = np.asarray([self._space.index(str(name)) for name in distinct], dtype=np.int64)
        indices: Ints = known[places.reshape(-1)]
        return indices


def _numbers(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """Return a scalar column as numbers: float64, or for times int64 microseconds."""
    if name != "created":
        return values.astype(np.float64)
    plain = [str(time).removesuffix(UTC_SUFFIX) for time in values]
    return np.asarray(plain, dtype="datetime64[us]").astype(np.int64)


def _lengths(rows: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.linalg.norm(rows, axis=1))
