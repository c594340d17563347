"""One writer of a folder at a time, over all processes of a machine; the dead hold nothing."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from emosym.errors import EmoSymError
from emosym.files import disk_errors

LOCK = ".lock"
WITHOUT_LOCKS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
SECONDS_BETWEEN_TRIES = 0.05


@contextmanager
def one_writer(folder: Path, doing: str, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock of a folder, which is made if need be, while a block runs.

    `doing` says to others what this process does there ("training"); `patience` is how many seconds
    to wait for them. The operating system lets go of the lock when its process ends, however it
    ends. Where a folder cannot be written or its file system has no locks, none is held.

    Raises:
        EmoSymError: when another process holds it: which one, on which machine, and since when.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    handle = _taken(folder / LOCK, doing, time.monotonic() + patience)
    try:
        yield
    finally:
        if handle is not None:
            (folder / LOCK).unlink(missing_ok=True)  # while it is held: it is surely this one
            os.close(handle)


def _taken(path: Path, doing: str, until: float) -> int | None:
    """Return a handle that holds the lock in the file `path`; None where there are no locks."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            if error.errno in WITHOUT_LOCKS:
                return None
            raise
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            if time.monotonic() < until:
                time.sleep(SECONDS_BETWEEN_TRIES)
                continue
            raise EmoSymError(_told(path)) from None
        except OSError as error:
            os.close(handle)
            if error.errno in WITHOUT_LOCKS:
                return None
            raise
        # Its last holder may have removed it between our two calls.
        if path.exists() and path.stat().st_ino == os.fstat(handle).st_ino:
            about = {
                "process": os.getpid(),
                "machine": socket.gethostname(),
                "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "doing": doing,
            }
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(about).encode(), 0)
            return handle
        os.close(handle)


def _told(path: Path) -> str:
    """Return the sentence on who holds a lock, as far as its file says."""
    try:
        about = json.loads(path.read_bytes())
        who = (
            f"process {int(about['process'])} on {about['machine']} has been {about['doing']} "
            f"there since {about['since']}"
        )
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process is writing there"
    return (
        f"{path.parent} is in use: {who}. Wait for it, stop it, or choose another folder; what it "
        "has done is kept."
    )
