"""Files that are whole or absent: atomic writes, checksums, and paths that stay inside a root."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from emosym.errors import EmoSymError, UsageError

MAX_JSON_BYTES = 512 * 1024 * 1024


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or a missing permission into one clear sentence.

    Raises:
        EmoSymError: when the disk that holds `path` is full or not writable.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        # safetensors gives the system's error number as text only
        told = re.search(r"os error (\d+)", str(error))
        number = error.errno if isinstance(error, OSError) else told and int(told[1])
        if number in (errno.ENOSPC, errno.EDQUOT):
            raise EmoSymError(
                f"The disk is full: could not write {path}. Free some space and start again; "
                "nothing half-written was left behind."
            ) from error
        if number in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise EmoSymError(f"No permission to write {path}. Choose another folder.") from error
        raise


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it into place.

    The temporary name keeps the suffix of `path`, since many writers choose a format by it.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".tmp-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            write(temporary)
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk: a power cut then keeps them."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # not every file system can
            raise
    finally:
        os.close(handle)


def is_writable(folder: Path) -> bool:
    """Return whether a file can be made in a folder, which is made if need be; it is tried."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes atomically."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_atomic(path, write)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, content.encode())


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Write JSON atomically; NaN and infinity are refused rather than written."""
    write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")


def read_json(path: Path, what: str = "JSON file") -> Any:
    """Read a JSON file.

    Raises:
        UsageError: when the file is missing, too large, or not JSON.
    """
    if not path.is_file():
        raise UsageError(f"Missing {what}: {path} does not exist.")
    if path.stat().st_size > MAX_JSON_BYTES:
        raise UsageError(f"{what} {path} is larger than {MAX_JSON_BYTES} bytes.")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{what} {path} is not valid JSON: {error}") from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def inside(root: Path, relative: str, what: str = "path") -> Path:
    """Return root/relative, which must stay inside `root`.

    Raises:
        UsageError: when the path is absolute or leaves the root.
    """
    base = root.resolve()
    whole = "\0" not in relative  # no file system takes it
    resolved = (base / relative).resolve() if whole else base
    if not whole or Path(relative).is_absolute() or not resolved.is_relative_to(base):
        raise UsageError(f"{what} {relative!r} leaves its folder {root}; use a path inside it.")
    return resolved
