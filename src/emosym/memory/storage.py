"""What LanceDB leaves open on a local disk: flushing after a commit, and stepping over damage.

A commit is one new manifest, put in place whole, so a killed process loses at most its batch. A
machine that loses power can still keep the *name* of a manifest or data file without its bytes:
hence every commit is flushed, and a manifest without bytes is set aside on opening.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

from emosym.errors import EmoSymError

LOG = logging.getLogger(__name__)
FOLDERS = ("data", "_deletions", "_transactions", "_versions")
# File times come from a clock that may lag the one that is read here by a few milliseconds.
CLOCK_SLACK_NS = 1_000_000_000
FLUSHERS = 16


@dataclass(frozen=True, slots=True)
class Version:
    """One committed version: its number, its time (ISO 8601, UTC) and how many entries it has."""

    number: int
    created: str
    entries: int


def versions_of(table: Any) -> list[Version]:
    """Return the versions of a table handle that can still be read, oldest first."""
    found = []
    for row in table.list_versions():
        about = row["metadata"]
        gone = int(about.get("total_deletion_file_rows", 0))
        entries = int(about["total_data_file_rows"]) - gone
        created = row["timestamp"].astimezone(timezone.utc).isoformat()
        found.append(Version(int(row["version"]), created, entries))
    return found


def flush(table: Path, since_ns: int) -> None:
    """Force the files of a table that changed since a time (ns) onto the disk, and their names.

    All at once: a journalling file system then writes its journal once or twice, not for each.
    """
    waiting: list[Path] = []
    for folder in (*(table / name for name in FOLDERS), table):
        if not folder.is_dir():
            continue
        with os.scandir(folder) as found:
            files = [entry for entry in found if entry.is_file()]
        since = since_ns - CLOCK_SLACK_NS
        waiting += [Path(f.path) for f in files if f.stat().st_mtime_ns >= since]
        waiting.append(folder)
    with ThreadPoolExecutor(FLUSHERS, thread_name_prefix="flush") as pool:
        list(pool.map(_flush_one, waiting))


def _flush_one(path: Path) -> None:
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # a cleanup by another handle
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def newest_manifest(table: Path) -> Path | None:
    """Return the manifest of the latest version; names count down, so it sorts first."""
    return min((table / "_versions").glob("*.manifest"), default=None)


def set_aside(table: Path, manifest: Path) -> Path:
    """Move a manifest out of its table, so that the version before it becomes the latest."""
    kept = table.parent / "damaged" / manifest.name
    kept.parent.mkdir(exist_ok=True)
    manifest.replace(kept)
    LOG.warning("The memory bank %s lost its last write; set aside as %s.", table.parent, kept)
    return kept


def step_over_empty_manifests(table: Path) -> int:
    """Set aside newest manifests of zero bytes, which only a power loss leaves; return how many."""
    count = 0
    while (newest := newest_manifest(table)) is not None and newest.stat().st_size == 0:
        set_aside(table, newest)
        count += 1
    return count


def has_empty_data(table: Path) -> bool:
    """Tell whether a data file has no bytes: its write was lost with the power."""
    return any(path.stat().st_size == 0 for path in (table / "data").glob("*.lance"))


def connect(bank: Path, table: str) -> Any:
    """Return the table of a bank as it is on disk now, or None before the first batch.

    Every read through it first looks for a newer version.
    """
    import lancedb

    database = lancedb.connect(bank, read_consistency_interval=timedelta(0))
    try:
        return database.open_table(table)
    except ValueError as error:
        # A folder without a manifest is a first batch that never ended; it will be overwritten.
        if "not found" in str(error):
            return None
        raise EmoSymError(f"Could not open the memory bank {bank}: {error}") from error


def open_checked(bank: Path, table: str) -> Any:
    """Open the table of a bank; step back over one write that a power loss left half on disk.

    Raises:
        EmoSymError: when more than the last write is damaged; nothing is changed then.
    """
    files = bank / f"{table}.lance"
    step_over_empty_manifests(files)
    newest = newest_manifest(files)
    try:
        return _read_ids(connect(bank, table))
    except (OSError, RuntimeError) as error:
        first = error
    if newest is not None and has_empty_data(files):
        kept = set_aside(files, newest)
        try:
            return _read_ids(connect(bank, table))
        except (OSError, RuntimeError):
            # Stepping back further would discard good data: leave it as it was found.
            kept.replace(newest)
    raise EmoSymError(f"The memory bank {bank} is damaged: {str(first).splitlines()[0]}") from first


def _read_ids(handle: Any) -> Any:
    """Read the smallest column through, which touches every data file."""
    if handle is not None:
        handle.search().select(["id"]).limit(None).to_arrow()
    return handle


def where(
    intent: str | None = None,
    rounds: Sequence[int] | None = None,
    ids: Sequence[str] | None = None,
    min_confidence: float | None = None,
) -> str | None:
    """Return the filter as SQL; text is quoted, so an odd id matches nothing."""
    clauses = []
    if intent is not None:
        clauses.append(f"intent = '{intent}'")
    if rounds is not None:
        clauses.append(f"round IN ({', '.join(str(int(r)) for r in rounds) or 'NULL'})")
    if ids is not None:
        quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in ids)
        clauses.append(f"id IN ({quoted or 'NULL'})")
    if min_confidence is not None:
        clauses.append(f"confidence >= {float(min_confidence)!r}")
    return " AND ".join(clauses) or None


@contextmanager
def storage_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn an error of the database into one clear sentence.

    Raises:
        EmoSymError: for a full disk, a missing permission, or damage.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        text = str(error)
        if "No space left" in text or getattr(error, "errno", None) == errno.ENOSPC:
            raise EmoSymError(
                f"The disk is full: could not {doing} the memory bank {path}. Free some space and "
                "start again; what it held is intact."
            ) from error
        if "ermission denied" in text or "Read-only file system" in text:
            raise EmoSymError(f"No permission to {doing} the memory bank {path}.") from error
        first = text.splitlines()[0][:200] if text else type(error).__name__
        raise EmoSymError(f"Could not {doing} the memory bank {path}: {first}") from error
