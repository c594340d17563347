"""Tiny clips made with PyAV: grey from dark to light, so that a picture tells its time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def clip(path: Path, seconds: float = 2.0, rate: int = 10, codec: str = "mpeg4") -> Path:
    """Write a clip whose grey rises by 100 a second from 20; one picture every 1/rate seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.gop_size = 5
        stream.codec_context.options = {"sc_threshold": "1000000000"}  # no other key pictures
        for number in range(round(seconds * rate)):
            grey = min(20 + 100 * number / rate, 255)
            frame = av.VideoFrame.from_ndarray(
                np.full((48, 64, 3), round(grey), np.uint8), format="rgb24"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def sparse(path: Path, seconds: int) -> Path:
    """Write a clip of two pictures that lie so many seconds apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1)
        for time in (0, seconds):
            frame = av.VideoFrame.from_ndarray(
                np.full((48, 64, 3), 200 if time else 50, np.uint8), format="rgb24"
            )
            frame.pts, frame.time_base = time, Fraction(1, 1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def sound(path: Path) -> Path:
    """Write a clip of sound alone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
