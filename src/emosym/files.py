"""Files that are whole or absent: atomic writes, one reader of text, paths inside a root."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import posixpath
import re
import secrets
import shutil
import stat
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from emosym.errors import EmoSymError, UsageError

MAX_JSON_BYTES = 512 * 1024 * 1024  # an index of millions of rows
MAX_TEXT_BYTES = 64 * 1024 * 1024
FILE, FOLDER, OTHER, NOTHING = "file", "folder", "other", "nothing"


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

    The temporary name keeps the suffix of `path`, since many writers choose a format by it. The
    file gets the permissions of the one it replaces, or those that the process gives new files. A
    link stays one: what it points to is written. A pipe or device is written to, not replaced.
    """
    with disk_errors(path):
        place = Path(os.path.realpath(path)) if path.is_symlink() else path
        place.parent.mkdir(parents=True, exist_ok=True)
        before = _mode_of(place)
        through = before is not None and not stat.S_ISREG(before) and not stat.S_ISDIR(before)
        folder = Path(tempfile.gettempdir()) if through else place.parent
        temporary = folder / f".tmp-{secrets.token_hex(8)}{path.suffix}"
        # the system takes the umask off; Python could only ask for it by changing it
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            write(temporary)
            if through:
                with temporary.open("rb") as filled, place.open("wb") as target:
                    shutil.copyfileobj(filled, target)
                return
            if before is not None:
                temporary.chmod(stat.S_IMODE(before) & 0o777)
            temporary.replace(place)
        finally:
            temporary.unlink(missing_ok=True)


def _mode_of(path: Path) -> int | None:
    """Return a file's kind and permissions, None where there is none."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


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


def printable(text: str) -> str:
    """Return text that UTF-8 can hold: bytes of a name that are none are written as escapes.

    Python keeps such bytes as lone surrogates. Names that differ stay apart, and other text is
    returned as it is.
    """
    return text.encode("utf-8", "backslashreplace").decode()


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


def look(path: Path) -> str:
    """Return what is at a path, links followed: FILE, FOLDER, OTHER (a pipe, a device) or NOTHING.

    Raises:
        UsageError: when it cannot be told: no permission, a name too long for the disk, links
            that lead in a circle or to nothing.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise UsageError(
                f"{str(path)!r} cannot be read: it is a link to {str(path.readlink())!r}, which is "
                "not there."
            ) from None
        return NOTHING
    except (OSError, ValueError) as error:
        raise UsageError(f"{str(path)!r} cannot be read: {told(error)}.") from error
    if stat.S_ISREG(mode):
        return FILE
    return FOLDER if stat.S_ISDIR(mode) else OTHER


def told(error: OSError | ValueError) -> str:
    """Return what the system says about a path, as the rest of a sentence."""
    number = error.errno if isinstance(error, OSError) else None
    known = {
        errno.EACCES: "there is no permission to open it",
        errno.EPERM: "there is no permission to open it",
        errno.ENAMETOOLONG: "its name is too long for this disk",
        errno.ELOOP: "its links lead in a circle",
        errno.ENOENT: "there is no such file",
        errno.ENOTDIR: "there is no such file",
    }
    if number in known:
        return known[number]
    said = error.strerror if isinstance(error, OSError) else str(error)
    return f"the system says {str(said or error).rstrip('.')!r}"


def decoded(data: bytes, name: str) -> str:
    """Return the text in a file's bytes: UTF-8, UTF-16 or UTF-32, with a byte-order mark or not.

    Line ends (LF, CRLF, CR) become LF; the mark is no part of the text.

    Raises:
        UsageError: when the bytes are none of these; `name` stands for the file.
    """
    try:
        text = data.decode(json.detect_encoding(data))
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{name} is not text in UTF-8 or UTF-16 (byte {error.start} fits neither); save it as "
            "UTF-8."
        ) from error
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def read_text(path: Path, what: str = "text file", max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Read a text file as `decoded` does.

    Raises:
        UsageError: when the file is missing, cannot be opened, is too large, or is not text.
    """
    return decoded(read_file(path, what, max_bytes), f"The {what} {path}")


def read_file(path: Path, what: str, max_bytes: int) -> bytes:
    """Return the bytes of a regular file of at most `max_bytes`.

    Raises:
        UsageError: when there is none, it cannot be opened, or it is larger.
    """
    kind = look(path)
    if kind == NOTHING:
        raise UsageError(f"Missing {what}: {path} does not exist.")
    if kind != FILE:
        raise UsageError(f"The {what} {path} is no regular file.")
    try:
        with path.open("rb") as stream:
            data = stream.read(max_bytes + 1)
    except OSError as error:
        raise UsageError(f"The {what} {path} cannot be opened: {told(error)}.") from error
    if len(data) > max_bytes:
        raise UsageError(f"The {what} {path} is larger than {max_bytes} bytes.")
    return data


def read_json(path: Path, what: str = "JSON file", max_bytes: int | None = None) -> Any:
    """Read a JSON file, in any encoding that `decoded` takes.

    Raises:
        UsageError: when the file is missing, too large, or not JSON.
    """
    data = read_file(path, what, MAX_JSON_BYTES if max_bytes is None else max_bytes)
    if not data.strip(b"\0 \t\r\n\xef\xbb\xbf\xfe\xff"):
        raise UsageError(f"The {what} {path} is not valid JSON: it is empty.")
    try:
        return json.loads(decoded(data, f"The {what} {path}"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The {what} {path} is not valid JSON: {error}.") from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def inside(root: Path, relative: str, what: str = "path") -> Path:
    """Return root/relative, which as written must stay inside `root`.

    Only what is written counts: links in the folder lead wherever whoever made it wanted, such as
    to the blobs of a hub cache. A name that the disk holds in another Unicode form (Macs write
    accents as signs of their own) is that file's.

    Raises:
        UsageError: when the path is absolute, leaves the root, or is no name that a disk takes.
    """
    plain = posixpath.normpath(relative.replace(os.sep, "/"))
    if "\0" in relative or Path(relative).is_absolute() or plain.split("/", 1)[0] == "..":
        raise UsageError(f"{what} {relative!r} leaves its folder {root}; use a path inside it.")
    try:
        os.fsencode(plain)
    except UnicodeEncodeError:
        raise UsageError(f"{what} {relative!r} holds characters that no file's name has.") from None
    return root / plain if plain.isascii() else _as_stored(root, plain)


def _as_stored(root: Path, name: str) -> Path:
    for form in (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)):
        if os.path.lexists(root / form):
            return root / form
    return root / name


def user_cache() -> Path:
    """Return the folder for what can be made or fetched again; nothing is created.

    EMOSYM_CACHE where it is set, else emosym/ in XDG_CACHE_HOME or ~/.cache.
    """
    own = os.environ.get("EMOSYM_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "emosym"
