"""Which errors are a user's to mend, and the sentence that says how: for shell and page alike."""

from __future__ import annotations

import errno

from emosym.errors import EmoSymError


def sentence_of(error: BaseException) -> tuple[str, int] | None:
    """Return (sentence, exit code) for an error the user can act on, None for a bug of ours."""
    if isinstance(error, EmoSymError):
        return str(error), error.exit_code
    if isinstance(error, MemoryError):
        return "Out of memory. Use a smaller batch or preset; `emosym doctor` says what fits.", 1
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"The disk is full{where}. Free some space and start again.", 1
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return f"No permission for this file or folder{where}.", 1
    return None
