"""Many pictures on one sheet, to be looked at, and a number for their sharpness."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from emosym.errors import UsageError


def edge_energy(pictures: np.ndarray) -> float:
    """Return the mean absolute difference of neighbouring pixels of (N, H, W, 3), 0..255."""
    values = pictures.astype(np.float32)
    steps = [np.abs(np.diff(values, axis=axis)).mean() for axis in (1, 2)]
    return float(np.mean(steps))


def contact_sheet(*rows: np.ndarray, columns: int = 8, scale: int = 2, most: int = 32) -> bytes:
    """Return a PNG with groups of rows, one per array (N, H, W, 3), `columns` pictures wide."""
    bands = []
    for first in range(0, min(len(rows[0]), most) // columns * columns, columns):
        bands += [np.concatenate(list(row[first : first + columns]), axis=1) for row in rows]
    if not bands:
        raise UsageError(f"A contact sheet needs at least {columns} pictures.")
    sheet = Image.fromarray(np.concatenate(bands))
    stream = io.BytesIO()
    sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST).save(
        stream, "PNG"
    )
    return stream.getvalue()
