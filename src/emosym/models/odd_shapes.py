"""Pictures that decode but that a model family's image processor refuses, such as strips."""

from __future__ import annotations

from typing import Any

from PIL import Image

from emosym.errors import UsageError

# A picture of a usual shape is not tried: no processor is known to refuse one.
USUAL_SIDE = 32
USUAL_RATIO = 50
# What processors raise for a shape that they cannot resize or take apart.
SHAPE_ERRORS = (ValueError, TypeError, IndexError, ZeroDivisionError, RuntimeError)


def is_odd(size: tuple[int, int]) -> bool:
    """Tell whether a picture of (width, height) is so small or long that it must be tried."""
    low, high = sorted(size)
    return low < USUAL_SIDE or high > USUAL_RATIO * low


def check_shape(processor: Any, picture: Image.Image, name: str = "The picture") -> None:
    """Refuse a decoded picture of a shape that a model's own image processor does not take.

    Only pictures of an odd shape are tried. Without a `processor` (`ChatModel.shaping`) none is
    refused.

    Raises:
        UsageError: with the size and what the processor says.
    """
    if processor is None or not is_odd(picture.size):
        return
    try:
        processor(images=[picture], return_tensors="pt")
    except SHAPE_ERRORS as error:
        said = str(error).strip().split("\n", 1)[0].rstrip(".") or type(error).__name__
        raise UsageError(
            f"{name} is {picture.width} x {picture.height} pixels, which this model's image "
            f"processor refuses ({said}); cut it to another shape."
        ) from error
