"""The reasoning knowledge base: a Parquet file with one rationale per picture, safe to interrupt.

A row is keyed by image id and content hash (SHA-256 of the picture's file). While answers come in
they are appended to a journal beside the file, each as one line; at the end, at an error and at an
interrupt the journal is merged into the Parquet, which is replaced by a rename. After a kill the
next writer finds the journal and goes on from it.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from emosym.annotate.answers import Status
from emosym.errors import EmoSymError, UsageError
from emosym.files import disk_errors, printable, write_atomic, write_bytes

log = logging.getLogger(__name__)
FORMAT = 1
METADATA = b"emosym"
FSYNC_SECONDS = 1.0
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One rationale, or why there is none.

    `id` is the sample's, as `files.printable` gives it: a file's name may be any bytes.
    `rationale` is None unless `status` is "ok"; `reason` says why. Tokens count every request made
    for the picture, and are None where nobody counts them; `cost` is in the price's currency, None
    without a price. `created` is ISO 8601 in UTC.
    """

    id: str
    sha256: str
    rationale: str | None
    status: Status
    reason: str | None
    annotator: str
    model: str
    prompt_version: str
    label_blind: bool
    tokens_in: int | None
    tokens_out: int | None
    cost: float | None
    created: str

    @property
    def key(self) -> Key:
        """The picture it is about."""
        return self.id, self.sha256


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Rows by key, and the text of every prompt by its version."""

    rows: dict[Key, Row] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Journal:
    """An open knowledge base: what it holds, and how to add to it."""

    path: Path
    knowledge: Knowledge
    handle: int
    synced: list[float]

    def add(self, rows: Iterable[Row]) -> None:
        """Keep rows: they are on disk, whole, when this returns."""
        rows = [row_of(asdict(row)) for row in rows]
        self._append([asdict(row) for row in rows])
        self.knowledge.rows.update((row.key, row) for row in rows)

    def name_prompt(self, version: str, prompt: str) -> None:
        """Keep the text that a prompt version stands for."""
        prompt = printable(prompt)
        if self.knowledge.prompts.get(version) != prompt:
            self._append([{"prompts": {version: prompt}}])
            self.knowledge.prompts[version] = prompt

    def _append(self, objects: Iterable[Mapping[str, Any]]) -> None:
        with disk_errors(self.path):
            left = "".join(json.dumps(value) + "\n" for value in objects).encode()
            while left:
                left = left[os.write(self.handle, left) :]
            if time.monotonic() - self.synced[0] > FSYNC_SECONDS:
                os.fsync(self.handle)
                self.synced[0] = time.monotonic()


def journal_path(path: Path) -> Path:
    """Return where the answers of an unfinished run are."""
    return path.with_name(f".{path.name}.journal")


@contextmanager
def open_knowledge(path: Path) -> Iterator[Journal]:
    """Open a knowledge base for writing, and merge what was added at the end, however it comes.

    Raises:
        UsageError: when `path` is not a knowledge base.
        EmoSymError: when another process is writing to it, or the disk is full.
    """
    beside = journal_path(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _locked(beside)
    try:
        knowledge = read_knowledge(path) if path.exists() else Knowledge()
        _replay(beside, handle, knowledge)
        try:
            yield Journal(path, knowledge, handle, [time.monotonic()])
        finally:
            _merge(path, beside, handle, knowledge)
    finally:
        os.close(handle)


def _merge(path: Path, beside: Path, handle: int, knowledge: Knowledge) -> None:
    """Write everything into the Parquet, and only then forget the journal."""
    if os.fstat(handle).st_size and knowledge.rows:
        write_knowledge(path, knowledge)
    beside.unlink(missing_ok=True)


def _locked(path: Path) -> int:
    """Open a journal that no other process has open; a killed process holds no lock."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise EmoSymError(
                f"Another run is writing to {path.parent / path.name[1:-8]}. Wait for it, or "
                "choose another --out."
            ) from None
        # Its last owner may have merged and removed it between our two calls.
        if path.exists() and path.stat().st_ino == os.fstat(handle).st_ino:
            return handle
        os.close(handle)


def _replay(path: Path, handle: int, knowledge: Knowledge) -> None:
    """Take over the lines of a journal; the end of one that was cut off is dropped.

    A line that is no answer is stepped over. The journal is then kept beside the file under
    another name, since it may hold what was paid for.
    """
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.ftruncate(handle, whole)
    bad = 0
    for line in content[:whole].split(b"\n")[:-1]:
        try:
            value = json.loads(line)
            if "prompts" in value:
                knowledge.prompts.update(_texts(value["prompts"]))
            else:
                row = row_of(value)
                knowledge.rows[row.key] = row
        except (ValueError, TypeError, AttributeError):
            bad += 1
    if bad:
        kept = path.with_name(f"{path.name}.unread")
        write_bytes(kept, content)
        log.warning(
            "%d line(s) of the journal %s are no answers and were stepped over; it is kept as %s.",
            bad,
            path,
            kept,
        )


def row_of(value: Mapping[str, Any]) -> Row:
    """Return the row that a journal's line tells, its texts such as UTF-8 can hold.

    Raises:
        ValueError, TypeError: when it tells none.
    """
    row = Row(**_texts(value))
    texts = (row.id, row.sha256, row.annotator, row.model, row.prompt_version, row.created)
    maybe = (row.rationale, row.reason)
    counts = (row.tokens_in, row.tokens_out)
    if (
        not all(isinstance(text, str) for text in texts)
        or not all(text is None or isinstance(text, str) for text in maybe)
        or not all(count is None or type(count) is int for count in counts)
        or not (row.cost is None or isinstance(row.cost, (int, float)))
        or not isinstance(row.label_blind, bool)
        or row.status not in get_args(Status)
    ):
        raise ValueError("this is no row")
    datetime.fromisoformat(row.created)
    return row


def _texts(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        printable(name): printable(value) if isinstance(value, str) else value
        for name, value in values.items()
    }


def write_knowledge(path: Path, knowledge: Knowledge) -> None:
    """Write a knowledge base as Parquet, sorted by id, by a rename."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        "label_blind": pa.bool_(),
        "tokens_in": pa.int64(),
        "tokens_out": pa.int64(),
        "cost": pa.float64(),
        "created": pa.timestamp("us", tz="UTC"),
    }
    rows = [asdict(row) for _, row in sorted(knowledge.rows.items())]
    for row in rows:
        row["created"] = datetime.fromisoformat(row["created"])
    told = {"format": FORMAT, "prompts": knowledge.prompts}
    schema = pa.schema([(f.name, kinds.get(f.name, pa.string())) for f in fields(Row)])
    schema = schema.with_metadata({METADATA: json.dumps(told).encode()})
    table = pa.Table.from_pylist(rows, schema=schema)
    write_atomic(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))


def read_knowledge(path: Path) -> Knowledge:
    """Read a knowledge base.

    Raises:
        UsageError: when the file is missing, or is not a knowledge base of this format.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        unfinished = journal_path(path).is_file()
        advice = (
            "its run was stopped before the end: start it again"
            if unfinished
            else "write it with `emosym data annotate`"
        )
        raise UsageError(f"There is no knowledge base at {str(path)!r}; {advice}.")
    try:
        table = pq.read_table(path)
        told = json.loads((table.schema.metadata or {}).get(METADATA, b"null"))
    except (pa.ArrowInvalid, ValueError, OSError) as error:
        said = str(error).split("\n", 1)[0]
        raise UsageError(f"{str(path)!r} is not a knowledge base: {said}") from error
    names = [f.name for f in fields(Row)]
    if not isinstance(told, dict) or not set(names) <= set(table.column_names):
        raise UsageError(
            f"{str(path)!r} is a Parquet file but not a knowledge base: write one with "
            "`emosym data annotate`."
        )
    if told.get("format") != FORMAT:
        raise UsageError(
            f"{str(path)!r} has format {told.get('format')!r}; this version reads {FORMAT}."
        )
    knowledge = Knowledge(prompts=dict(told.get("prompts", {})))
    for values in table.select(names).to_pylist():
        values["created"] = values["created"].isoformat()
        row = Row(**values)
        knowledge.rows[row.key] = row
    return knowledge
