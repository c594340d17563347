"""Any decoded picture as 8-bit RGB: depth scaled, colours converted, transparency on white."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageCms

TIFF_BITS_PER_SAMPLE = 258
TIFF_PHOTOMETRIC = 262
TIFF_WHITE_IS_ZERO = 0
EXIF_ORIENTATION = 0x0112
TURNS: dict[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow raises on malformed EXIF; a camera's mistake there does not spoil the pixels.
EXIF_ERRORS = (
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    OSError,
    OverflowError,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,
    ZeroDivisionError,
)
HDR_MAX = 16.0


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a loaded picture of any Pillow mode as a new upright 8-bit RGB picture.

    16-bit and floating-point depths are scaled to 0..255, transparency is composited on white,
    CMYK and Lab are converted, the EXIF orientation is applied. The result carries no metadata,
    so that a second pass cannot turn it again.

    Raises:
        ValueError: when Pillow knows no conversion from the picture's mode.
    """
    turn = TURNS.get(orientation(image))
    if image.mode.startswith("I") or image.mode == "F":
        rgb = Image.fromarray(_gray(image)).convert("RGB")
    elif image.mode == "LAB":
        rgb = _from_lab(image)
    elif image.has_transparency_data:
        rgb = _on_white(image)
    else:
        rgb = image.convert("RGB")
    if turn is not None:
        rgb = rgb.transpose(turn)
    rgb.info.clear()
    return rgb


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation 1..8 of a picture; 1 (upright) where it is absent or broken."""
    try:
        value = image.getexif().get(EXIF_ORIENTATION, 1)
    except EXIF_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    overlay = image.convert("RGBA")
    paper = Image.new("RGBA", overlay.size, (255, 255, 255, 255))
    return Image.alpha_composite(paper, overlay).convert("RGB")


def _from_lab(image: Image.Image) -> Image.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    if converted is None:
        raise ValueError("Lab colours could not be converted")
    return converted


def _gray(image: Image.Image) -> np.ndarray:
    """Scale a one-channel picture of more than 8 bits to uint8 (H, W), clipping nothing."""
    values = np.asarray(image).astype(np.float32)  # (H, W)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return np.zeros(values.shape, dtype=np.uint8)
    black, white = _range(image, float(finite.min()), float(finite.max()))
    if getattr(image, "tag_v2", {}).get(TIFF_PHOTOMETRIC) == TIFF_WHITE_IS_ZERO:
        black, white = white, black
    # Halved terms: the span of two float32 numbers can be above the largest float32.
    span = (white / 2 - black / 2) or 1.0
    scaled = (values / 2 - black / 2) / span * 255.0
    scaled = np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _range(image: Image.Image, low: float, high: float) -> tuple[float, float]:
    """Return the values that mean black and white.

    Files of 16 bits say so. For 32-bit integers and floats nothing in the file does, so the
    smallest usual range (0..1 for floats, 0..255, 0..65535) that holds every value is taken, and
    else the span of the values themselves; floats a little above 1 are high dynamic range.
    """
    if image.mode.startswith("I;16"):
        bits = getattr(image, "tag_v2", {}).get(TIFF_BITS_PER_SAMPLE, (16,))
        depth = bits[0] if isinstance(bits, tuple) and bits else 16
        return 0.0, float(2 ** min(int(depth), 16) - 1)
    if image.mode == "I" and image.format == "PPM":
        return 0.0, 65535.0
    if low < 0.0:
        return low, high
    if image.mode == "F" and high <= HDR_MAX:
        return 0.0, max(high, 1.0)
    ceiling = next((top for top in (255.0, 65535.0) if high <= top), math.inf)
    return (0.0, ceiling) if math.isfinite(ceiling) else (low, high)
