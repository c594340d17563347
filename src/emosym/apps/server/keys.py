"""Who may ask: API keys from a file or the environment, compared in constant time, never shown."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emosym.apps.listening import is_loopback
from emosym.errors import UsageError
from emosym.files import read_text

VARIABLE = "EMOSYM_API_KEY"
SHORTEST = 16
MOST_BYTES = 1024 * 1024
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
NOBODY = "anyone"


@dataclass(frozen=True, slots=True)
class Keys:
    """The SHA-256 of every key that opens the server; none where it is open to all who reach it."""

    digests: tuple[bytes, ...] = field(default=(), repr=False)

    def owner_of(self, authorization: str | None) -> str | None:
        """Return who sends `Authorization: Bearer KEY`, as a name of no use to others; else None.

        Every key is compared, and digests are of one length: the time tells nothing of a key.
        """
        if not self.digests:
            return NOBODY
        scheme, _, key = (authorization or "").partition(" ")
        given = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).digest()
        found = [hmac.compare_digest(given, digest) for digest in self.digests]
        if scheme.lower() != "bearer" or not any(found):
            return None
        return f"key {found.index(True) + 1}"


def read_keys(file: Path | None, environment: Mapping[str, str]) -> Keys:
    """Return the keys of a file, one a line (# begins a comment), and of EMOSYM_API_KEY.

    Raises:
        UsageError: when the file cannot be read or holds no key, or a key is too short to be safe;
            the key is not shown.
    """
    named: list[tuple[str, str]] = []
    if file is not None:
        for number, line in enumerate(read_text(file, "file of keys", MOST_BYTES).splitlines(), 1):
            key = line.split("#", 1)[0].strip()
            if key:
                named.append((f"{file}, line {number}", key))
        if not named:
            raise UsageError(f"{file} holds no key: write one a line.")
    if environment.get(VARIABLE, "").strip():
        named.append((VARIABLE, environment[VARIABLE].strip()))
    for place, key in named:
        if len(key) < SHORTEST or any(sign.isspace() for sign in key):
            raise UsageError(
                f"{place}: a key has {SHORTEST} signs or more and no space, such as what "
                "`openssl rand -hex 24` gives."
            )
    return Keys(tuple(hashlib.sha256(key.encode()).digest() for _, key in named))


def check_bind(host: str, keys: Keys, anyone: bool) -> None:
    """Refuse to listen beyond this machine without a key, unless that is asked for by `anyone`.

    Raises:
        UsageError: says what to give.
    """
    if is_loopback(host) or keys.digests or anyone:
        return
    raise UsageError(
        f"--host {host} can be reached by other machines: give --api-key-file or {VARIABLE}, or "
        "--open to serve anyone who reaches it."
    )
