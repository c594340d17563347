"""Many pictures in parts: found by fsspec in any store, planned alike every time, a file each."""

from __future__ import annotations

import glob
import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emosym.data.file_kinds import picture_suffixes
from emosym.data.images import MAX_BYTES, read_encoded
from emosym.data.walk import GLOB, URL, find_images
from emosym.errors import EmoSymError, UsageError
from emosym.files import told, write_bytes
from emosym.types import BadInput, StoredImage

if TYPE_CHECKING:
    import pyarrow as pa

PLAN, SUMMARY = "plan.json", "summary.json"
FORMAT = "emosym.parts/1"
PART = re.compile(r"part-(\d{6,})\.parquet")
TABLE = ".parquet"
NAMES = ("source", "path", "name", "file_name")
CONTENT = ("bytes", "image")
INSTALL = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}


@dataclass(frozen=True, slots=True)
class Part:
    """Some pictures of a run: files as (name in the rows, address), or rows of one Parquet file."""

    number: int
    files: tuple[tuple[str, str], ...] = ()
    table: str | None = None
    start: int = 0
    stop: int = 0

    @property
    def name(self) -> str:
        """The file that its rows go to."""
        return f"part-{self.number:06d}.parquet"

    @property
    def count(self) -> int:
        """How many pictures it has."""
        return len(self.files) if self.table is None else self.stop - self.start

    def dump(self) -> str:
        """Return the part as text, for `load`."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Part:
        """Return what `dump` wrote."""
        found = json.loads(text)
        return cls(**{**found, "files": tuple((a, b) for a, b in found["files"])})


@contextmanager
def store_errors(address: str) -> Iterator[None]:
    """Turn what a store says into one sentence.

    Raises:
        UsageError: when it is not there, or may not be looked at.
        EmoSymError: when the library of such a store is not installed.
    """
    try:
        yield
    except (ImportError, ValueError) as error:
        protocol = address.split("://", 1)[0]
        package = INSTALL.get(protocol)
        if isinstance(error, ImportError) or package is not None:
            how = f": pip install {package}" if package else f" ({error})"
            raise EmoSymError(
                f"{address} is in a store that needs a library which is not installed{how}"
            ) from error
        raise UsageError(f"{address} cannot be read: {error}.") from error
    except OSError as error:
        raise UsageError(f"{address} cannot be read: {told(error)}.") from error


def file_system(address: str) -> tuple[Any, str]:
    """Return fsspec's file system of an address, and the path in it; errors as `store_errors`."""
    import fsspec

    with store_errors(address):
        system, path = fsspec.core.url_to_fs(address)
    return system, str(path)


def find_files(patterns: Sequence[str]) -> list[tuple[str, str]]:
    """Return (name in the rows, address) of pictures and Parquet files that patterns name.

    Of this machine's files the names are those of `emosym understand`; elsewhere the whole address.
    Folders are searched through. Where a pattern names Parquet files, their rows are the pictures.

    Raises:
        UsageError: when a pattern names nothing that can be read; errors as `store_errors`.
    """
    found: list[tuple[str, str]] = []
    for pattern in patterns:
        some = _remote(pattern) if URL.match(pattern) else _local(pattern)
        if not some:
            raise UsageError(f"{pattern!r} names no picture and no Parquet file.")
        found += some
    return found


def _local(pattern: str) -> list[tuple[str, str]]:
    tables = _tables(pattern)
    if tables:
        return [(str(path), str(path.absolute())) for path in tables]
    paths = find_images([pattern])
    return [
        (str(path), str(path.absolute())) if isinstance(path, Path) else (path.source, path.source)
        for path in paths
    ]


def _tables(pattern: str) -> list[Path]:
    """Return the Parquet files that a path, a glob or a folder of nothing else names."""
    if pattern.endswith(TABLE):
        # Path.glob takes no absolute pattern.
        names = glob.glob(pattern, recursive=True) if GLOB.search(pattern) else [pattern]  # noqa: PTH207
        return sorted(Path(name) for name in names if Path(name).is_file())
    folder = Path(pattern)
    return sorted(folder.glob(f"*{TABLE}")) if folder.is_dir() else []


def _remote(pattern: str) -> list[tuple[str, str]]:
    system, path = file_system(pattern)
    with store_errors(pattern):
        if GLOB.search(path):
            names = system.glob(path)
        else:
            names = system.find(path) if system.isdir(path) else [path]
            if not system.exists(path):
                raise UsageError(f"{pattern} is not there.")
        wanted = (*picture_suffixes(), TABLE)
        kept = sorted(name for name in names if str(name).lower().endswith(wanted))
    tables = [name for name in kept if name.endswith(TABLE)]
    return [(address, address) for address in map(system.unstrip_protocol, tables or kept)]


def plan_parts(files: Sequence[tuple[str, str]], size: int) -> list[Part]:
    """Return the parts of `size` pictures at most, the same for the same files.

    Raises:
        UsageError: for a Parquet file that cannot be opened.
    """
    from pyarrow import ArrowInvalid, parquet

    parts: list[Part] = []
    waiting: list[tuple[str, str]] = []

    def flush() -> None:
        for start in range(0, len(waiting), size):
            parts.append(Part(len(parts), tuple(waiting[start : start + size])))
        waiting.clear()

    for name, address in files:
        if not address.endswith(TABLE):
            waiting.append((name, address))
            continue
        flush()
        system, path = file_system(address)
        with store_errors(address), system.open(path, "rb") as stream:
            try:
                count = parquet.ParquetFile(stream).metadata.num_rows
            except ArrowInvalid as error:
                raise UsageError(f"{address} is no Parquet file: it has no such footer.") from error
        for start in range(0, count, size):
            stop = min(start + size, count)
            parts.append(Part(len(parts), table=address, start=start, stop=stop))
    flush()
    return parts


def pictures_of(part: Part) -> Iterator[tuple[str, StoredImage | BadInput]]:
    """Yield (name in the rows, picture) of a part; what cannot be read is a `BadInput`."""
    if part.table is None:
        for name, address in part.files:
            yield name, StoredImage(name, partial(_content, address))
        return
    try:
        system, path = file_system(part.table)
        with store_errors(part.table), system.open(path, "rb") as stream:
            yield from rows_of(stream, part)
    except (UsageError, EmoSymError) as error:
        for row in range(part.start, part.stop):
            name = f"{part.table}#{row}"
            yield name, BadInput(name, str(error))


def rows_of(stream: Any, part: Part) -> Iterator[tuple[str, StoredImage | BadInput]]:
    """Yield (name, encoded picture) of a part's rows of an open Parquet file."""
    from pyarrow import parquet

    file = parquet.ParquetFile(stream)
    named, content = columns_of(file.schema_arrow.names, str(part.table))
    place = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        begin, end = max(part.start - place, 0), min(part.stop - place, rows)
        if begin < end:
            columns = [name for name in (named, content) if name is not None]
            table = file.read_row_group(group, columns).slice(begin, end - begin)
            names = table[named].to_pylist() if named is not None else [None] * len(table)
            for at, (name, value) in enumerate(
                zip(names, table[content].to_pylist(), strict=True), place + begin
            ):
                called = str(name) if name else f"{part.table}#{at}"
                yield called, encoded(called, value)
        place += rows


def columns_of(names: Sequence[str], where: str) -> tuple[str | None, str]:
    """Return which columns hold a picture's name (None: none does) and its bytes.

    Raises:
        UsageError: when no column holds pictures.
    """
    content = next((name for name in CONTENT if name in names), None)
    if content is None:
        raise UsageError(
            f"{where} has no column {' or '.join(map(repr, CONTENT))} with encoded pictures; it "
            f"has {', '.join(map(repr, names)) or 'none'}."
        )
    return next((name for name in NAMES if name in names), None), content


def encoded(name: str, value: Any) -> StoredImage | BadInput:
    """Return a cell's encoded picture: bytes, or a data set's {"bytes": ..., "path": ...}."""
    if isinstance(value, Mapping):
        value = value.get("bytes")
    if isinstance(value, bytes):
        return StoredImage(name, lambda: value)
    return BadInput(name, f"{name!r} cannot be read as a picture: its cell holds no bytes.")


def _content(address: str) -> bytes:
    """Return a file's bytes, one more than may be at most."""
    if not URL.match(address):
        return read_encoded(address)
    system, path = file_system(address)
    with store_errors(address), system.open(path, "rb") as stream:
        return bytes(stream.read(MAX_BYTES + 1))


class Out:
    """A folder of parts, in any store: the plan, a Parquet file a part, at last the summary."""

    def __init__(self, address: str) -> None:
        """Hold the folder; nothing is made yet."""
        self.address = address
        self.system, self.path = file_system(address)
        self.local = "file" in self.system.protocol

    def begin(self, about: Mapping[str, Any], parts: Sequence[Part], resume: bool) -> None:
        """Write the plan, or go on with the same one.

        Raises:
            UsageError: when there is a run already and `resume` is not given, or it is another.
        """
        plan = {**about, "format": FORMAT, "parts": len(parts), "inputs": digest_of(parts)}
        before = self._read(PLAN)
        if before is None:
            self._write(PLAN, json.dumps(plan, indent=2).encode())
        elif json.loads(before) != json.loads(json.dumps(plan)):
            raise UsageError(
                f"{self.address} holds the parts of another run (other pictures, or another "
                "model): name another folder."
            )
        elif not resume:
            raise UsageError(
                f"{self.address} holds parts of this run: add --resume to go on, or name another "
                "folder."
            )

    def done(self) -> set[int]:
        """Return the numbers of the parts that are there; each was written whole."""
        with store_errors(self.address):
            if not self.system.exists(self.path):
                return set()
            self.system.invalidate_cache()
            names = [str(name).rsplit("/", 1)[-1] for name in self.system.ls(self.path, False)]
        return {int(found[1]) for name in names if (found := PART.fullmatch(name))}

    def write(self, part: Part, table: pa.Table) -> None:
        """Write a part's rows whole, or not at all."""
        from pyarrow import parquet

        stream = io.BytesIO()
        parquet.write_table(table, stream)
        self._write(part.name, stream.getvalue())

    def finish(self, parts: Sequence[Part]) -> dict[str, int]:
        """Count the rows of all parts and write the summary; returns it."""
        from pyarrow import parquet

        counts = {"rows": 0, "read": 0, "bad": 0, "outside": 0}
        for part in parts:
            with store_errors(self.address), self._open(part.name) as stream:
                table = parquet.read_table(stream, columns=["error", "outside"])
            bad = len(table) - table["error"].null_count
            counts["rows"] += len(table)
            counts["bad"] += bad
            counts["read"] += len(table) - bad
            counts["outside"] += sum(value is True for value in table["outside"].to_pylist())
        self._write(SUMMARY, json.dumps(counts, indent=2).encode())
        return counts

    def _open(self, name: str) -> Any:
        return self.system.open(f"{self.path}/{name}", "rb")

    def _read(self, name: str) -> bytes | None:
        with store_errors(self.address):
            if not self.system.exists(f"{self.path}/{name}"):
                return None
            with self._open(name) as stream:
                return bytes(stream.read())

    def _write(self, name: str, content: bytes) -> None:
        if self.local:  # of the other stores a file appears when it is whole
            Path(self.path).mkdir(parents=True, exist_ok=True)
            write_bytes(Path(self.path) / name, content)
            return
        with store_errors(self.address):
            self.system.makedirs(self.path, exist_ok=True)
            self.system.pipe_file(f"{self.path}/{name}", content)


def digest_of(parts: Sequence[Part]) -> str:
    """Return a digest of what parts hold, and in which order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.dump().encode("utf-8", "backslashreplace") + b"\n")
    return digest.hexdigest()
