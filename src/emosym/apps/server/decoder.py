"""The process that decodes pictures: bytes in, pixels out, and nothing else within its reach.

It is started as `python -m emosym.apps.server.decoder` and asked over its standard input. A
decoder that a hostile picture brings down, or that needs too much memory, ends this process and not
the server. It writes no file, and ends when its input does.
"""

from __future__ import annotations

import resource
import signal
import struct
import sys
from typing import BinaryIO

from emosym.data.images import decode, square
from emosym.errors import UsageError
from emosym.models.odd_shapes import is_odd

ASK = struct.Struct("!QQII")  # bytes of the picture, most pixels, side of the square, bytes of name
ANSWER = struct.Struct("!BIIQ")  # kind, width, height, bytes that follow
PIXELS, SENTENCE = 0, 1
MEMORY = 4 * 1024**3


def main() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the server
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(limit)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (most, hard))
    source, target = sys.stdin.buffer, sys.stdout.buffer
    while len(head := source.read(ASK.size)) == ASK.size:
        for part in answer(source, *ASK.unpack(head)):
            target.write(part)
        target.flush()


def answer(
    source: BinaryIO, count: int, pixels: int, side: int, name_bytes: int
) -> tuple[bytes, bytes]:
    """Read one picture and return the answer: its pixels as RGB, or a sentence.

    With a `side` it is cut square to it; a picture of an odd shape is not, for the model's own
    processor must see it first (`odd_shapes.check_shape`).
    """
    name = source.read(name_bytes).decode("utf-8", "replace")
    data = source.read(count)
    try:
        image = decode(data, name, pixels, max_bytes=count + 1)
    except UsageError as error:
        told = str(error).encode("utf-8", "backslashreplace")
        return ANSWER.pack(SENTENCE, 0, 0, len(told)), told
    if side and not is_odd(image.size):
        image = square(image, side)
    raw = image.tobytes()
    return ANSWER.pack(PIXELS, image.width, image.height, len(raw)), raw


if __name__ == "__main__":
    main()
