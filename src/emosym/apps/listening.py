"""Where a page or a server listens: addresses of this machine alone, and ports that are free."""

from __future__ import annotations

import errno
import ipaddress
import socket

from emosym.errors import EmoSymError, UsageError


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Raises:
        EmoSymError: when the port is in use.
        UsageError: for a host or port that cannot be had.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, OverflowError, UnicodeError) as error:
        raise UsageError(f"--host {host} is no address of this machine ({error}).") from None
    made = socket.socket(family, kind, number)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(128)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise EmoSymError(
                f"Port {port} of {host} is in use: give another one, --port {port + 1}, or 0 for "
                "any that is free."
            ) from None
        raise UsageError(f"{host} port {port} cannot be listened at: {error.strerror}.") from None
    return made
