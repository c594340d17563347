"""The Online Emotional Memory Bank: paintings with readings in one embedded LanceDB table.

One writer, any number of readers, in any processes. Every read sees the latest committed version
(or a fixed one, `Bank.at`). Every write is one commit: all of a batch or nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emosym.emotions import MIKELS8, LabelSpace
from emosym.errors import EmoSymError, UsageError, unknown_name
from emosym.files import disk_errors, read_json, write_json
from emosym.locks import one_writer
from emosym.memory import draw, policies, storage, summary
from emosym.memory.admission import ADMIT_ALL, AdmissionReport, BankRules, screen
from emosym.memory.ledger import Ledger
from emosym.memory.schema import (
    ARRAYS,
    FORMAT,
    BankEntry,
    arrow_schema,
    card_space,
    check_entry,
    column,
    entries_of,
    stored_space,
    to_row,
)

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = "entries"
PATIENCE_SECONDS = 60.0


class Bank:
    """A handle on a bank folder; open one per process with `Bank.open`."""

    def __init__(self, path: Path, space: LabelSpace, at_version: int | None = None) -> None:
        """Use `Bank.open` or `Bank.at`; this opens no file."""
        self.path = path
        self.space = space
        self._at = at_version
        self._handle: Any = None
        self._kept: Ledger | None = None

    @classmethod
    def open(cls, path: Path, create: bool = False, space: LabelSpace | None = None) -> Bank:
        """Open a bank, or make an empty one with `create`.

        `space` (default mikels8) is fixed when the bank is made, the sizes of latents and feature
        by the first batch. A last write damaged by a power loss is set aside with a warning.

        Raises:
            UsageError: when there is no bank, or it has another format or label space.
            EmoSymError: when its files are damaged.
        """
        path = Path(path)
        card = path / "bank.json"
        if not card.exists() and create:
            with disk_errors(path):
                if path.is_file() or (path.is_dir() and _foreign(path)):
                    raise UsageError(f"{path} is not a memory bank, and not an empty folder.")
            write_json(card, {"format": FORMAT, "label_space": card_space(space or MIKELS8)})
        if not card.is_file():
            raise UsageError(f"There is no memory bank at {path}: bank.json is missing.")
        about = read_json(card, "memory bank card")
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise UsageError(f"{card} is not of format {FORMAT}; this version cannot read it.")
        stored = stored_space(about.get("label_space"), card)
        if space is not None and space != stored:
            raise UsageError(f"The bank {path} is in {stored.name}, not in {space.name}.")
        bank = cls(path, stored)
        bank._handle = storage.open_checked(path, TABLE)
        return bank

    def _table(self) -> Any:
        """Return the table handle, or None while no batch was ever written."""
        if self._handle is None:
            with storage.storage_errors(self.path, "read"):
                self._handle = storage.connect(self.path, TABLE)
                if self._at is not None and self._handle is not None:
                    self._handle.checkout(self._at)
        return self._handle

    def at(self, version: int) -> Bank:
        """Return a read-only handle that stays at one version.

        Raises:
            UsageError: when the bank has no such version, or it was reclaimed.
        """
        known = [v.number for v in self.versions()]
        if version not in known:
            raise UsageError(f"The bank has no version {version}; it has {known or 'none yet'}.")
        return Bank(self.path, self.space, version)

    def version(self) -> int:
        """Return the number of the version that reads see now; 0 before the first batch."""
        table = self._table()
        return 0 if table is None else int(table.version)

    def versions(self) -> list[storage.Version]:
        """Return the versions that can still be read, oldest first."""
        table = self._table()
        return [] if table is None else storage.versions_of(table)

    def __len__(self) -> int:
        """Return the number of entries."""
        table = self._table()
        return 0 if table is None else int(table.count_rows())

    def ledger(self) -> Ledger:
        """Return what this handle keeps in memory of the version that reads see now."""
        version = self.version()
        if self._kept is None or self._kept.version != version:
            self._kept = Ledger(version, self.space, self.columns)
        return self._kept

    def _label(self, emotion: str | None) -> str | None:
        return None if emotion is None else self.space.labels[self.space.index(emotion)]

    def _select(
        self, names: Sequence[str] | None, where: str | None, limit: int | None, offset: int = 0
    ) -> pa.Table | None:
        table = self._table()
        if table is None:
            return None
        with storage.storage_errors(self.path, "read"):
            query = table.search()
            if names is not None:
                query = query.select(list(names))
            if where is not None:
                query = query.where(where)
            return query.limit(limit).offset(offset).to_arrow()

    def read(
        self,
        emotion: str | None = None,
        rounds: Sequence[int] | None = None,
        ids: Sequence[str] | None = None,
        min_confidence: float | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[BankEntry]:
        """Return the entries that pass every filter given, in the order they were added.

        Raises:
            UsageError: for an unknown emotion; names the nearest one.
        """
        where = storage.where(self._label(emotion), rounds, ids, min_confidence)
        found = self._select(None, where, limit, offset)
        return [] if found is None else entries_of(found)

    def columns(
        self,
        names: Sequence[str],
        emotion: str | None = None,
        rounds: Sequence[int] | None = None,
        min_confidence: float | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> dict[str, NDArray[Any]]:
        """Return some columns of one version as arrays, (N,) or (N, D), without the pictures.

        Names are those of `BankEntry` and `Provenance`. The same filters and order as `read`.
        """
        where = storage.where(self._label(emotion), rounds, None, min_confidence)
        found = self._select(names, where, limit, offset)
        if found is None:
            return _no_rows(names)
        return {name: column(found, name) for name in names}

    def nearest(
        self, vector: NDArray[Any], k: int = 10, emotion: str | None = None
    ) -> list[tuple[BankEntry, float]]:
        """Return the k entries nearest to a feature (D,), with cosine similarities, best first.

        Raises:
            UsageError: when the vector has another size than the bank's features, or is zero.
        """
        table = self._table()
        if table is None or k < 1:
            return []
        query = np.asarray(vector, dtype=np.float32)
        width = table.schema.field("feature").type.list_size
        if query.shape != (width,) or not np.any(query) or not np.all(np.isfinite(query)):
            raise UsageError(f"nearest needs {width} finite numbers that are not all 0.")
        wanted = None if emotion is None else self.space.index(emotion)
        cosines: list[float] = []

        def nearest_places(ledger: Ledger) -> NDArray[np.int64]:
            places, found = draw.closest(ledger, query, k, wanted)
            cosines[:] = found.tolist()
            return places

        rows = draw.rows_at(self, None, nearest_places)
        return [] if rows is None else list(zip(entries_of(rows), cosines, strict=True))

    def sample(
        self, count: int, seed: int, turn: int = 0, emotion: str | None = None
    ) -> list[BankEntry]:
        """Return random entries, of one emotion or of all: see `emosym.memory.draw`."""
        rows = draw.sample_rows(self, None, count, seed, turn, emotion)
        return [] if rows is None else entries_of(rows)

    def sample_columns(
        self,
        names: Sequence[str],
        count: int,
        seed: int,
        turn: int = 0,
        emotion: str | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Return some columns of the entries that `sample` would draw, as `columns` does.

        The fewer columns, the cheaper: a training batch needs "image" and "intent_weights".
        """
        rows = draw.sample_rows(self, names, count, seed, turn, emotion)
        return _no_rows(names) if rows is None else {name: column(rows, name) for name in names}

    def take(self, places: NDArray[np.int64], names: Sequence[str] | None = None) -> pa.Table:
        """Return columns (None: all) of the rows at places in the order of adding, any order.

        Raises:
            EmoSymError: when there is no such place.
        """
        with storage.storage_errors(self.path, "read"):
            query = self._table().take_offsets(np.sort(places).tolist())
            return (query if names is None else query.select(list(names))).to_arrow()

    def get(self, name: str) -> BankEntry:
        """Return the entry of an id or of its only id that starts so.

        Raises:
            UsageError: when there is none, or more than one.
        """
        held = self.ledger()
        ids: list[str] = held.ids.tolist()
        matches = [name] if name in held.known else [i for i in ids if name and i.startswith(name)]
        if len(matches) > 1:
            raise UsageError(f"{len(matches)} ids start with {name!r}; give more of it.")
        if not matches:
            raise _unknown_id(name, ids)
        return self.read(ids=matches)[0]

    def add(self, entries: Sequence[BankEntry], rules: BankRules = ADMIT_ALL) -> AdmissionReport:
        """Admit what passes the rules, in one commit; then evict down to the capacity in another.

        An id that the bank already holds is refused, so writing a batch again after a crash is
        harmless. Near-duplicates are looked for within an emotion, in the bank and in the batch.

        Raises:
            UsageError: for an unknown policy, an entry that `check_entry` refuses, or sizes other
                than the bank's; nothing is written.
            EmoSymError: for a full disk, a handle from `Bank.at`, or a writer that does not end.
        """
        self._writable()
        policies.chosen("eviction policy", rules.eviction, policies.EVICTION)
        for entry in entries:
            check_entry(entry, self.space)
        with self._writing():
            self._check_sizes(entries)
            order, refused = screen(entries, self.ledger(), rules, self.space)
            kept = [replace(entries[i], policies=rules.names()) for i in order]
            if kept:
                self._append(kept)
            evicted = () if rules.capacity is None else self._evict(rules.capacity, rules.eviction)
            return AdmissionReport(tuple(e.id for e in kept), refused, evicted, self.version())

    def _writable(self) -> None:
        if self._at is not None:
            raise EmoSymError(f"This handle stays at version {self._at}; open the bank to write.")

    def _writing(self) -> AbstractContextManager[None]:
        """Wait for the one writer that a bank has at a time, for as long as a batch takes."""
        return one_writer(self.path, "writing", PATIENCE_SECONDS)

    def _check_sizes(self, entries: Sequence[BankEntry]) -> None:
        table = self._table()
        sizes = {(e.context_latents.shape, e.feature.shape): e for e in entries}
        schemas = [] if table is None else [table.schema]
        schemas += [arrow_schema(entry) for entry in sizes.values()]
        if any(not other.equals(schemas[0], check_metadata=True) for other in schemas[1:]):
            raise UsageError(
                f"Latents or features have other sizes than those in {self.path}, or differ within "
                "the batch; a bank belongs to one model, so use a new folder."
            )

    def _append(self, entries: Sequence[BankEntry]) -> None:
        """Write entries as one commit and flush it to the disk."""
        import lancedb
        import pyarrow as pa

        schema = arrow_schema(entries[0])
        table = self._table()
        rows = pa.Table.from_pylist([to_row(entry) for entry in entries], schema=schema)
        since = time.time_ns()
        with storage.storage_errors(self.path, "write"):
            if table is None:
                lancedb.connect(self.path).create_table(TABLE, data=rows)
                self._handle = storage.connect(self.path, TABLE)
            else:
                table.add(rows)
        self._flush(since)
        if (held := self._follows()) is not None:
            held.extend(entries, held.version + 1)

    def _follows(self) -> Ledger | None:
        """Return what is kept of the version before the latest, for a commit of this handle."""
        if self._kept is not None and self._kept.version + 1 == self.version():
            return self._kept
        return None

    def _flush(self, since_ns: int) -> None:
        with disk_errors(self.path):
            storage.flush(self.path / f"{TABLE}.lance", since_ns)

    def prune(self, capacity: int, policy: str = "oldest") -> tuple[str, ...]:
        """Evict down to `capacity` entries in one commit; return the ids evicted.

        Older versions keep them until `reclaim`.

        Raises:
            UsageError: for an unknown policy or a negative capacity.
        """
        self._writable()
        with self._writing():
            return self._evict(capacity, policy)

    def _evict(self, capacity: int, policy: str) -> tuple[str, ...]:
        """Evict as `prune` does, as the one writer."""
        held = self.ledger()
        # Entries of one moment are told apart by their order in the table.
        age = np.empty(len(held.ids))
        age[np.argsort(held.scalars("created"), kind="stable")] = -np.arange(len(age))
        state = policies.Held(
            held.intents, age, held.scalars("confidence"), held.scalars("informativeness")
        )
        ids = tuple(str(held.ids[i]) for i in policies.evicted(policy, state, capacity))
        if ids:
            since = time.time_ns()
            with storage.storage_errors(self.path, "write"):
                self._table().delete(storage.where(ids=ids))
            self._flush(since)
            if (follower := self._follows()) is not None:
                follower.drop(ids, follower.version + 1)
        return ids

    def reclaim(self, older_than: timedelta = timedelta(hours=1)) -> None:
        """Merge small files and delete versions older than `older_than` with what only they hold.

        A reader that still reads such a version fails, hence the margin.
        """
        self._writable()
        table = self._table()
        if table is None:
            return
        with self._writing():
            since = time.time_ns()
            with storage.storage_errors(self.path, "compact"):
                table.optimize(cleanup_older_than=older_than)
            self._flush(since)

    def stats(self) -> dict[str, Any]:
        """Return counts and means as a JSON value: see `emosym.memory.summary.stats`."""
        return summary.stats(self)

    def export(self, out: Path, emotion: str | None = None) -> int:
        """Write pictures and metadata.jsonl into a new folder: see `summary.export`."""
        return summary.export(self, out, emotion)


def _no_rows(names: Sequence[str]) -> dict[str, NDArray[Any]]:
    return {name: np.zeros((0, 0) if name in ARRAYS else 0, np.float32) for name in names}


def _foreign(folder: Path) -> bool:
    """Tell whether a folder holds anything but what a killed `Bank.open` leaves."""
    return any(not found.name.startswith(".tmp-") for found in folder.iterdir())


def _unknown_id(name: str, ids: Sequence[str]) -> UsageError:
    if len(ids) <= 20:
        return unknown_name("bank entry", name, ids)
    return UsageError(f"The bank has no entry {name!r}; `emosym bank ls` lists its {len(ids)} ids.")
